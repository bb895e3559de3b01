/**
 * Sockets at which services say by sd_notify(3) how they are: one for each, so that none speaks for another, and one
 * thread that waits for all of them.
 *
 *   await using sockets = new NotifySockets(libc, clock);
 *   using socket = sockets.open("/run/culvert/kcp.notify", ({ text, pid }) => …);
 *
 * Anybody on the machine may send to it, as to systemd's, since services have users of their own: the kernel says which
 * process a datagram is from. What is longer than `MAX_NOTICE_BYTES` is dropped, and so are descriptors that come along.
 * One that says much is heard `REST_MS` later; its sender waits meanwhile, and the others do not.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { MAX_NOTICE_BYTES } from "../protocol/manager/notify_text.ts";
import { Slab } from "../protocol/slab.ts";
import { Epoll, EPOLLIN, EPOLLONESHOT } from "./epoll.ts";
import { Errno, SysError } from "./errno.ts";
import type { Fd } from "./fd.ts";
import { CMSGHDR, cmsgSpace, IOVEC, MSGHDR, putU64, SlabAddresses } from "./layout.ts";
import type { Libc } from "./libc.ts";
import { EventFd } from "./poll.ts";
import { removeIfThereSync } from "./remove_if_there.ts";
import { SOL_SOCKET } from "./udp_options.ts";
import { openUnixDatagram, unixAddress } from "./unix_datagram.ts";

/** What has come, and who has sent it by what the kernel says. */
export interface NotifyDatagram {
  readonly text: string;
  readonly pid: number;
  readonly uid: number;
}

const SO_PASSCRED = 16;
const SCM_CREDENTIALS = 2;
const MSG_TRUNC = 0x20;
/** Descriptors that would come along are closed with the program that we start. */
const MSG_CMSG_CLOEXEC = 0x4000_0000;
/** struct ucred { int pid; unsigned uid; unsigned gid } */
const UCRED = { pid: 0, uid: 4, size: 12 } as const;

/** So many are taken from a socket before the others' turn, fewer than the kernel queues, */
const MOST_AT_ONCE = 8;
/** and when there may be more, it is left alone for so long. */
const REST_MS = 100;
const ANYBODY_MAY_SEND = 0o666;

interface NotifySocket {
  readonly fd: Fd;
  readonly onMessage: (datagram: NotifyDatagram) => void;
  rest: Timer | undefined;
}

export class NotifySockets implements AsyncDisposable {
  readonly #libc: Libc;
  readonly #clock: Clock;
  readonly #epoll: Epoll;
  readonly #wake: EventFd;
  readonly #sockets = new Map<number, NotifySocket>();
  readonly #inbox = new Inbox();
  readonly #resources: DisposableStack;
  #running: Promise<void> | undefined;
  #isClosed = false;

  constructor(libc: Libc, clock: Clock) {
    this.#libc = libc;
    this.#clock = clock;
    using resources = new DisposableStack();
    this.#epoll = resources.use(new Epoll(libc));
    this.#wake = resources.use(new EventFd(libc));
    this.#epoll.add(this.#wake.fd);
    this.#resources = resources.move();
  }

  /** Listens at a path until disposed, in place of what a manager that was killed has left there. `onMessage` must not throw. */
  open(path: string, onMessage: (datagram: NotifyDatagram) => void): Disposable {
    using guard = new DisposableStack();
    const fd = guard.use(openUnixDatagram(this.#libc));
    const on = new Slab(4);
    on.words[0] = 1;
    // First of all, so that no datagram comes without its sender.
    if (this.#libc.call.setsockopt(fd.number, SOL_SOCKET, SO_PASSCRED, on.bytes, on.size) < 0) {
      throw this.#libc.error("ask who sends", "setsockopt");
    }
    const address = unixAddress(path);
    removeIfThereSync(path);
    if (this.#libc.call.bind(fd.number, address, address.length) < 0) {
      const errno = this.#libc.errno();
      throw new SysError(`listen at ${path}`, "bind", errno);
    }
    guard.defer(() => removeIfThereSync(path));
    Deno.chmodSync(path, ANYBODY_MAY_SEND);
    const socket: NotifySocket = { fd, onMessage, rest: undefined };
    const { number } = fd;
    this.#epoll.add(number, EPOLLIN | EPOLLONESHOT);
    this.#sockets.set(number, socket);
    guard.defer(() => {
      socket.rest?.cancel();
      this.#sockets.delete(number);
    });
    this.#running ??= this.#run();
    return guard.move();
  }

  /** Ends the wait. Sockets that are open are heard no more; whoever has opened them closes them. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wake.wake();
    await this.#running;
    for (const { rest } of this.#sockets.values()) rest?.cancel();
    this.#resources.dispose();
  }

  async #run(): Promise<void> {
    // The other thread writes here, so it must not be what this one reads meanwhile.
    const ready = new Slab(this.#epoll.readyBytes);
    while (!this.#isClosed) {
      const count = await this.#epoll.waitLater(ready);
      for (let at = 0; at < count && !this.#isClosed; at++) this.#hear(this.#epoll.fdIn(ready, at));
    }
  }

  #hear(number: number): void {
    const socket = this.#sockets.get(number);
    if (!socket) return; // it was closed after the wait
    let heard = 0;
    while (heard < MOST_AT_ONCE && this.#isOpen(number, socket) && this.#hearOne(socket)) heard++;
    if (!this.#isOpen(number, socket)) return; // what it said has led to its end
    if (heard < MOST_AT_ONCE) return this.#listenOn(number);
    socket.rest = this.#clock.after(REST_MS, () => this.#listenOn(number));
  }

  #isOpen(number: number, socket: NotifySocket): boolean {
    return this.#sockets.get(number) === socket;
  }

  #listenOn(number: number): void {
    this.#epoll.change(number, EPOLLIN | EPOLLONESHOT);
  }

  /** Whether there was one. */
  #hearOne(socket: NotifySocket): boolean {
    const length = this.#libc.call.recvmsg(socket.fd.number, this.#inbox.prepare(), MSG_CMSG_CLOEXEC);
    if (length < 0) {
      const errno = this.#libc.errno();
      if (errno === Errno.EAGAIN || errno === Errno.EINTR) return false;
      throw new SysError("hear a service", "recvmsg", errno);
    }
    const datagram = this.#inbox.read(length);
    if (datagram) socket.onMessage(datagram);
    return true;
  }
}

/** Where the kernel puts one datagram and who has sent it. */
class Inbox {
  readonly #text = new Slab(MAX_NOTICE_BYTES);
  readonly #sender = new Slab(cmsgSpace(UCRED.size));
  readonly #piece = new Slab(IOVEC.size);
  readonly #message = new Slab(MSGHDR.size);
  readonly #decoder = new TextDecoder();

  constructor() {
    const addresses = new SlabAddresses();
    putU64(this.#piece.view, IOVEC.base, addresses.of(this.#text));
    putU64(this.#piece.view, IOVEC.length, this.#text.size);
    putU64(this.#message.view, MSGHDR.iovec, addresses.of(this.#piece));
    putU64(this.#message.view, MSGHDR.iovecCount, 1);
    putU64(this.#message.view, MSGHDR.control, addresses.of(this.#sender));
  }

  /** Ready for the next one. There is room for the sender alone, so the kernel closes descriptors that come along. */
  prepare(): Uint8Array<ArrayBuffer> {
    putU64(this.#message.view, MSGHDR.controlLength, this.#sender.size);
    this.#sender.bytes.fill(0);
    return this.#message.bytes;
  }

  read(length: number): NotifyDatagram | undefined {
    const { view } = this.#sender;
    const isWhole = (this.#message.view.getInt32(MSGHDR.flags, true) & MSG_TRUNC) === 0;
    const namesSender = view.getInt32(CMSGHDR.level, true) === SOL_SOCKET &&
      view.getInt32(CMSGHDR.type, true) === SCM_CREDENTIALS;
    if (!isWhole || !namesSender) return undefined;
    return {
      text: this.#decoder.decode(this.#text.bytes.subarray(0, length)),
      pid: view.getInt32(CMSGHDR.data + UCRED.pid, true),
      uid: view.getUint32(CMSGHDR.data + UCRED.uid, true),
    };
  }
}
