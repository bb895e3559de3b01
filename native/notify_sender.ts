/**
 * Says something to whoever started this process, by sd_notify(3): one datagram to the socket in `$NOTIFY_SOCKET`.
 *
 * Each is sent to the path anew, not over a connection: a manager that is started again listens at the same path with
 * another socket. It never waits; what cannot be taken at once (nobody is there, or its queue is full) is refused.
 */

import { Slab } from "../protocol/slab.ts";
import type { Fd } from "./fd.ts";
import { IOVEC, MSGHDR, putU64, SlabAddresses } from "./layout.ts";
import { type Libc, openLibc } from "./libc.ts";
import { MSG_NOSIGNAL } from "./udp_options.ts";
import { openUnixDatagram, unixAddress } from "./unix_datagram.ts";

const MSG_DONTWAIT = 0x40;

export class NotifySender implements Disposable {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #address: Slab;
  readonly #addressLength: number;
  readonly #resources: DisposableStack;

  constructor(path: string) {
    const address = unixAddress(path);
    this.#addressLength = address.length;
    this.#address = new Slab(address.length);
    this.#address.bytes.set(address);
    using resources = new DisposableStack();
    this.#libc = resources.use(openLibc());
    this.#fd = resources.use(openUnixDatagram(this.#libc));
    this.#resources = resources.move();
  }

  /** Whether it was taken. */
  send(text: string): boolean {
    const bytes = new TextEncoder().encode(text);
    const data = new Slab(bytes.length);
    data.bytes.set(bytes);
    const piece = new Slab(IOVEC.size);
    const message = new Slab(MSGHDR.size);
    const addresses = new SlabAddresses();
    putU64(piece.view, IOVEC.base, addresses.of(data));
    putU64(piece.view, IOVEC.length, bytes.length);
    putU64(message.view, MSGHDR.name, addresses.of(this.#address));
    message.view.setUint32(MSGHDR.nameLength, this.#addressLength, true);
    putU64(message.view, MSGHDR.iovec, addresses.of(piece));
    putU64(message.view, MSGHDR.iovecCount, 1);
    return this.#libc.call.sendmsg(this.#fd.number, message.bytes, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
