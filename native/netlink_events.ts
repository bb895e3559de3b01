/**
 * What the kernel tells the members of a netlink group, as it happens.
 *
 *   const events = new NetlinkEvents(libc, { protocol, groups }, signal);   // from here on nothing is lost unseen
 *   for await (const messages of events) …                                        // undefined: some were lost
 *
 * The wait is a `poll` on another thread, since this is for the main program, which has more to do. Aborting the signal
 * ends it and the loop, and what is open is closed as soon as that poll has come back.
 */

import { type NetlinkMessage, readNetlinkMessages } from "../protocol/netlink.ts";
import { Slab } from "../protocol/slab.ts";
import { Errno, SysError } from "./errno.ts";
import type { Fd } from "./fd.ts";
import { POLLFD } from "./layout.ts";
import type { Libc } from "./libc.ts";
import { netlinkAddress, openNetlinkFd } from "./netlink.ts";
import { EventFd, POLLIN } from "./poll.ts";

const SOCK_NONBLOCK = 0o4000;
const RECEIVE_BYTES = 65_536;
const RECEIVE_SIZE = BigInt(RECEIVE_BYTES);
const POLL_COUNT = 2n;

export class NetlinkEvents implements AsyncIterable<readonly NetlinkMessage[] | undefined> {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #wake: EventFd;
  readonly #signal: AbortSignal;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  /** The other thread writes here for as long as it waits, so this must neither move nor go before it is back. */
  readonly #polled = new Slab(Number(POLL_COUNT) * POLLFD.size);

  /** Joins the group at once. Whoever makes it must iterate it, to its end or until the signal aborts. */
  constructor(libc: Libc, { protocol, groups }: { protocol: number; groups: number }, signal: AbortSignal) {
    this.#libc = libc;
    this.#signal = signal;
    using guard = new DisposableStack();
    this.#fd = guard.use(openNetlinkFd(libc, protocol, SOCK_NONBLOCK));
    const address = netlinkAddress(groups);
    if (libc.call.bind(this.#fd.number, address, address.length) < 0) throw libc.error("listen to netlink", "bind");
    this.#wake = guard.use(new EventFd(libc));
    guard.move();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly NetlinkMessage[] | undefined> {
    using _fd = this.#fd;
    using wake = this.#wake;
    const stop = () => wake.wake();
    this.#signal.addEventListener("abort", stop);
    try {
      while (!this.#signal.aborted) {
        const messages = this.#receive();
        if (messages === "none") await this.#wait();
        else yield messages;
      }
    } finally {
      this.#signal.removeEventListener("abort", stop);
    }
  }

  /** What has come; undefined when the kernel had to drop some. */
  #receive(): readonly NetlinkMessage[] | undefined | "none" {
    const length = this.#libc.call.recv(this.#fd.number, this.#buffer, RECEIVE_SIZE, 0);
    if (length >= 0) return readNetlinkMessages(this.#buffer.slice(0, length));
    const errno = this.#libc.errno();
    if (errno === Errno.ENOBUFS) return undefined;
    if (errno === Errno.EAGAIN || errno === Errno.EINTR) return "none";
    throw new SysError("listen to netlink", "recv", errno);
  }

  async #wait(): Promise<void> {
    const { bytes, view } = this.#polled;
    for (const [index, fd] of [this.#fd.number, this.#wake.fd].entries()) {
      view.setInt32(index * POLLFD.size + POLLFD.fd, fd, true);
      view.setInt16(index * POLLFD.size + POLLFD.events, POLLIN, true);
    }
    await this.#libc.call.pollLater(bytes, POLL_COUNT, -1);
  }
}
