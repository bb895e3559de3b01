/**
 * Waiting for file descriptors, for a thread that has nothing else to do (a Worker): `PollSet` over one array the kernel
 * reads and writes, and `EventFd`, by which another thread ends the wait.
 *
 *   const poll = new PollSet(libc), tunAt = poll.add(tun.fd), wakeAt = poll.add(wake.fd);
 *   for (;;) { poll.wait(timeoutMs); if (poll.has(wakeAt, POLLIN)) wake.drain(); … }
 */

import { Slab } from "../protocol/slab.ts";
import { Errno, SysError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { POLLFD } from "./layout.ts";
import type { Libc } from "./libc.ts";

export const POLLIN = 0x001;
export const POLLOUT = 0x004;
/** These three are reported without being asked for. */
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLNVAL = 0x020;

const DEFAULT_CAPACITY = 16;
/** The longest wait poll can express. */
const MAX_TIMEOUT_MS = 0x7fffffff;

export class PollSet {
  readonly #libc: Libc;
  readonly #entries: Slab;
  readonly #capacity: number;
  #size = 0;
  /** As FFI takes it, so that no wait makes one. */
  #sizeU64 = 0n;

  constructor(libc: Libc, capacity: number = DEFAULT_CAPACITY) {
    this.#libc = libc;
    this.#capacity = capacity;
    this.#entries = new Slab(capacity * POLLFD.size);
  }

  /** Watches a descriptor; gives the index by which it is asked about. */
  add(fd: number, events: number = POLLIN): number {
    if (this.#size === this.#capacity) {
      throw new RangeError(`Cannot watch a descriptor: the poll set must have room, it has ${this.#capacity}`);
    }
    const index = this.#size++;
    this.#sizeU64 = BigInt(this.#size);
    this.set(index, fd, events);
    return index;
  }

  /** Watches another descriptor at this index, or for other events; a negative descriptor is skipped by the kernel. */
  set(index: number, fd: number, events: number = POLLIN): void {
    const at = this.#at(index);
    this.#entries.view.setInt32(at + POLLFD.fd, fd, true);
    this.#entries.view.setInt16(at + POLLFD.events, events, true);
    this.#entries.view.setInt16(at + POLLFD.revents, 0, true);
  }

  /**
   * Waits until something is ready or `timeoutMs` is over (Infinity: for as long as it takes; a part of a millisecond is
   * waited whole, so that a timer is due afterwards). Gives how many are ready; an interrupted wait counts as none.
   */
  wait(timeoutMs: number): number {
    const timeout = timeoutMs >= MAX_TIMEOUT_MS ? -1 : timeoutMs > 0 ? Math.ceil(timeoutMs) : 0;
    const ready = this.#libc.call.poll(this.#entries.bytes, this.#sizeU64, timeout);
    if (ready >= 0) return ready;
    const errno = this.#libc.errno();
    this.#forget();
    if (errno !== Errno.EINTR && errno !== Errno.EAGAIN) throw new SysError("wait for descriptors", "poll", errno);
    return 0;
  }

  /** Which events the last wait saw at an index. */
  events(index: number): number {
    return this.#entries.view.getInt16(index * POLLFD.size + POLLFD.revents, true);
  }

  has(index: number, events: number): boolean {
    return (this.events(index) & events) !== 0;
  }

  /** A failed poll leaves the answers of the one before. */
  #forget(): void {
    for (let index = 0; index < this.#size; index++) {
      this.#entries.view.setInt16(index * POLLFD.size + POLLFD.revents, 0, true);
    }
  }

  #at(index: number): number {
    if (!(index >= 0 && index < this.#size)) {
      throw new RangeError(`Cannot change a poll set: the index must be below ${this.#size}, got ${index}`);
    }
    return index * POLLFD.size;
  }
}

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const COUNTER_BYTES = 8n;

/** A counter that makes a poll return: one thread waits on `fd` and drains it, any other wakes it. */
export class EventFd implements Disposable {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #counter = new Slab(8);

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#fd = new Fd(libc, libc.call.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make a wake-up", "eventfd");
  }

  /** For the poll set, and for another thread to call `wakeEventFd` with. */
  get fd(): number {
    return this.#fd.number;
  }

  wake(): void {
    wakeEventFd(this.#libc, this.#fd.number);
  }

  /** Makes it quiet again; how often it had been woken. */
  drain(): number {
    return drainEventFd(this.#libc, this.#fd.number, this.#counter);
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

/** `EventFd.drain` where only its number is known; `counter` is any slab of eight bytes. */
export function drainEventFd(libc: Libc, fd: number, counter: Slab): number {
  return libc.call.read(fd, counter.bytes, COUNTER_BYTES) > 0 ? counter.view.getUint32(0, true) : 0;
}

/** Wakes the owner of an `EventFd` on another thread, where only its number is known. A full counter is awake already. */
export function wakeEventFd(libc: Libc, fd: number): void {
  const one = new Uint8Array(8);
  one[0] = 1;
  libc.call.write(fd, one, COUNTER_BYTES);
}
