/**
 * Waiting for any of thousands of descriptors: what a wait costs grows with how many are ready, not with how many are
 * watched, as it does in a `PollSet`. Level triggered: what is not read to its end is ready again in the next wait, behind
 * the others.
 *
 *   using epoll = new Epoll(libc); epoll.add(socket.fd);
 *   for (let ready = epoll.wait(timeoutMs), at = 0; at < ready; at++) … epoll.fd(at)
 */

import { Slab } from "../protocol/slab.ts";
import { Errno, SysError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { EPOLL_EVENT } from "./layout.ts";
import type { Libc } from "./libc.ts";

export const EPOLLIN = 0x001;
/** One event, and nothing more until `change`. */
export const EPOLLONESHOT = 0x4000_0000;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
/** How many ready descriptors one wait tells. */
const MAX_READY = 256;
/** The longest wait epoll can express. */
const MAX_TIMEOUT_MS = 0x7fffffff;

export class Epoll implements Disposable {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #ready = new Slab(MAX_READY * EPOLL_EVENT.size);
  readonly #change = new Slab(EPOLL_EVENT.size);

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#fd = new Fd(libc, libc.call.epoll_create1(EPOLL_CLOEXEC), "make an epoll instance", "epoll_create1");
  }

  /** Watches a descriptor until it is closed or removed. Throws EEXIST for one that is watched. */
  add(fd: number, events: number = EPOLLIN): void {
    this.#control(EPOLL_CTL_ADD, fd, "watch a descriptor", events);
  }

  /** Watches one that is watched for other events, or once more. */
  change(fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, "watch a descriptor", events);
  }

  remove(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, "stop watching a descriptor", 0);
  }

  /** Waits until something is ready or the time is over (Infinity: for as long as it takes); gives how many are. */
  wait(timeoutMs: number): number {
    const timeout = timeoutMs >= MAX_TIMEOUT_MS ? -1 : timeoutMs > 0 ? Math.ceil(timeoutMs) : 0;
    const ready = this.#libc.call.epoll_wait(this.#fd.number, this.#ready.bytes, MAX_READY, timeout);
    if (ready >= 0) return ready;
    const errno = this.#libc.errno();
    if (errno !== Errno.EINTR) throw new SysError("wait for descriptors", "epoll_wait", errno);
    return 0;
  }

  /** The descriptor at an index below what the last wait gave. */
  fd(index: number): number {
    return this.#ready.view.getInt32(index * EPOLL_EVENT.size + EPOLL_EVENT.data, true);
  }

  /** What `waitLater` needs. */
  get readyBytes(): number {
    return this.#ready.size;
  }

  /** Waits on another thread, for as long as it takes, and tells what is ready in `ready`. One at a time. */
  async waitLater(ready: Slab): Promise<number> {
    return Math.max(0, await this.#libc.call.epollWaitLater(this.#fd.number, ready.bytes, MAX_READY, -1));
  }

  /** The descriptor at an index of what `waitLater` told. */
  fdIn(ready: Slab, at: number): number {
    return ready.view.getInt32(at * EPOLL_EVENT.size + EPOLL_EVENT.data, true);
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }

  #control(operation: number, fd: number, action: string, events: number): void {
    const { call } = this.#libc;
    this.#change.view.setUint32(EPOLL_EVENT.events, events, true);
    this.#change.view.setInt32(EPOLL_EVENT.data, fd, true);
    if (call.epoll_ctl(this.#fd.number, operation, fd, this.#change.bytes) < 0) {
      throw this.#libc.error(action, "epoll_ctl");
    }
  }
}
