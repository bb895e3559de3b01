/**
 * What the kernel tells the members of a netlink group, as it happens.
 *
 *   const events = new NetlinkEvents(libc, NETLINK_ROUTE, RTMGRP_LINK, signal);   // from here on nothing is lost unseen
 *   for await (const messages of events) …                                        // undefined: some were lost
 *
 * The wait is a `poll` on another thread, ended through an eventfd. Aborting the signal ends the loop, and what is open is
 * closed as soon as that poll has come back.
 */

import { type NetlinkMessage, readNetlinkMessages } from "../protocol/netlink.ts";
import { Errno } from "./errno.ts";
import { Fd } from "./fd.ts";
import type { Libc } from "./libc.ts";
import { netlinkAddress, openNetlinkFd } from "./netlink.ts";

const SOCK_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const POLLFD_BYTES = 8;
const POLLIN = 1;
const RECEIVE_BYTES = 65_536;
const RECEIVE_SIZE = BigInt(RECEIVE_BYTES);
const COUNT_SIZE = 8n;
const POLL_COUNT = 2n;

export class NetlinkEvents implements AsyncIterable<readonly NetlinkMessage[] | undefined> {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #wake: Fd;
  readonly #signal: AbortSignal;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);

  /** Joins the group at once. Whoever makes it must iterate it, to its end or until the signal aborts. */
  constructor(libc: Libc, { protocol, groups }: { protocol: number; groups: number }, signal: AbortSignal) {
    this.#libc = libc;
    this.#signal = signal;
    using guard = new DisposableStack();
    this.#fd = guard.use(openNetlinkFd(libc, protocol, SOCK_NONBLOCK));
    const address = netlinkAddress(groups);
    if (libc.call.bind(this.#fd.number, address, address.length) < 0) throw libc.error("listen to netlink", "bind");
    this.#wake = guard.use(new Fd(libc, libc.call.eventfd(0, EFD_CLOEXEC), "listen to netlink", "eventfd"));
    guard.move();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly NetlinkMessage[] | undefined> {
    using _fd = this.#fd;
    using wake = this.#wake;
    const stop = () => this.#libc.call.write(wake.number, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), COUNT_SIZE);
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
    throw this.#libc.error("listen to netlink", "recv");
  }

  async #wait(): Promise<void> {
    const polled = new Uint8Array(2 * POLLFD_BYTES);
    const view = new DataView(polled.buffer);
    for (const [index, fd] of [this.#fd, this.#wake].entries()) {
      view.setInt32(index * POLLFD_BYTES, fd.number, true);
      view.setInt16(index * POLLFD_BYTES + 4, POLLIN, true);
    }
    await this.#libc.call.pollLater(polled, POLL_COUNT, -1);
  }
}
