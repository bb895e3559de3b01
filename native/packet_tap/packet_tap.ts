/**
 * Sees the packets of some ports as they pass the interfaces of this machine, before any filter on the way in and after all on
 * the way out, whoever they belong to; nothing is held up or changed. Linux, CAP_NET_RAW.
 *
 *   using tap = new PacketTap(libc, { ports: { first: 45000, count: 1 } });
 *   await tap.run(signal, (packet) => …);
 */

import type { PortSpan } from "../../protocol/port_span.ts";
import { Slab } from "../../protocol/slab.ts";
import { Errno, SysError } from "../errno.ts";
import { Fd } from "../fd.ts";
import { IOVEC, MSGHDR, putU64 } from "../layout.ts";
import { addressOf, cString, type Libc } from "../libc.ts";
import { PacketLoop } from "../packets/packet_loop.ts";
import { tapFilter } from "./tap_filter.ts";

const AF_PACKET = 17;
/** SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC: packets begin with their IP header. */
const SOCKET_KIND = 2 | 0o4000 | 0o2000000;
/** ETH_P_ALL in network order: what leaves is seen, too. */
const ALL_PROTOCOLS = 0x0300;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUF = 8;
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** struct sockaddr_ll { u16 family; be16 protocol; i32 index; u16 hardware; u8 kind; u8 length; u8 address[8] } */
const SOCKADDR_LL = { family: 0, protocol: 2, index: 4, kind: 10, size: 20 } as const;
const PACKET_OUTGOING = 4;
/** What cards and the kernel join is no longer. */
const PACKET_BYTES = 65_536;

const NAME_AT = MSGHDR.size;
const IOVEC_AT = NAME_AT + 24;
const DATA_AT = IOVEC_AT + IOVEC.size;

export interface TappedPacket {
  readonly isOutgoing: boolean;
  readonly linkIndex: number;
  /** From the IP header on; valid during the call. */
  readonly slab: Slab;
  readonly start: number;
  readonly end: number;
}

export interface PacketTapOptions {
  /** Of either end. */
  readonly ports: PortSpan;
  /** Every interface when left out. */
  readonly interfaceName?: string;
}

export class PacketTap implements Disposable {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #memory = new Slab(DATA_AT + PACKET_BYTES);

  /** What passes from here on is seen. Throws `no_interface`, or a SysError: EPERM without the right. */
  constructor(libc: Libc, { ports, interfaceName }: PacketTapOptions) {
    this.#libc = libc;
    const action = "look at packets";
    using stack = new DisposableStack();
    const number = libc.call.socket(AF_PACKET, SOCKET_KIND, 0);
    if (number < 0) {
      const errno = libc.errno();
      throw new SysError(action, "socket", errno, errno === Errno.EPERM ? "it takes CAP_NET_RAW" : undefined);
    }
    this.#fd = stack.use(new Fd(libc, number, action, "socket"));
    this.#filter(action, tapFilter(ports));
    const room = new Uint8Array(new Int32Array([RECEIVE_BUFFER_BYTES]).buffer);
    libc.call.setsockopt(this.#fd.number, SOL_SOCKET, SO_RCVBUF, room, room.length);
    const index = interfaceName === undefined ? 0 : libc.call.if_nametoindex(cString(interfaceName));
    if (interfaceName !== undefined && index === 0) {
      throw new SysError(`${action} of ${interfaceName}`, "if_nametoindex", 19);
    }
    const name = new Uint8Array(SOCKADDR_LL.size), view = new DataView(name.buffer);
    view.setUint16(SOCKADDR_LL.family, AF_PACKET, true);
    view.setUint16(SOCKADDR_LL.protocol, ALL_PROTOCOLS, true);
    view.setInt32(SOCKADDR_LL.index, index, true);
    // Bound to no protocol until here, it has received nothing yet.
    if (libc.call.bind(this.#fd.number, name, name.length) < 0) throw libc.error(action, "bind");
    this.#layOut();
    stack.move();
  }

  /** Until the signal aborts. Rejects with what the kernel or `onPacket` throws. */
  async run(signal: AbortSignal, onPacket: (packet: TappedPacket) => void): Promise<void> {
    if (signal.aborted) return;
    const source = { fd: this.#fd.number, receive: () => this.#receive(onPacket) };
    using loop = new PacketLoop(this.#libc, [source], () => {});
    const end = () => loop.end();
    signal.addEventListener("abort", end, { once: true });
    try {
      await loop.run();
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  #receive(onPacket: (packet: TappedPacket) => void): number {
    const { view, bytes } = this.#memory;
    view.setUint32(MSGHDR.nameLength, SOCKADDR_LL.size, true);
    const length = this.#libc.call.recvmsg(this.#fd.number, bytes, 0);
    if (length < 0) {
      const errno = this.#libc.errno();
      // An interface that goes down says so once, and others go on.
      if (errno === Errno.EAGAIN || errno === Errno.EINTR || errno === Errno.ENETDOWN) return 0;
      throw new SysError("look at packets", "recvmsg", errno);
    }
    onPacket({
      isOutgoing: bytes[NAME_AT + SOCKADDR_LL.kind] === PACKET_OUTGOING,
      linkIndex: view.getInt32(NAME_AT + SOCKADDR_LL.index, true),
      slab: this.#memory,
      start: DATA_AT,
      end: DATA_AT + length,
    });
    return 1;
  }

  #filter(action: string, instructions: Uint8Array<ArrayBuffer>): void {
    const code = new Slab(instructions.length);
    code.bytes.set(instructions);
    const program = new Slab(16);
    program.view.setUint16(0, instructions.length / 8, true);
    putU64(program.view, 8, Number(addressOf(code.bytes)));
    if (this.#libc.call.setsockopt(this.#fd.number, SOL_SOCKET, SO_ATTACH_FILTER, program.bytes, 16) < 0) {
      throw this.#libc.error(action, "setsockopt");
    }
  }

  #layOut(): void {
    const { view, bytes } = this.#memory;
    const address = Number(addressOf(bytes));
    putU64(view, MSGHDR.name, address + NAME_AT);
    putU64(view, MSGHDR.iovec, address + IOVEC_AT);
    view.setUint32(MSGHDR.iovecCount, 1, true);
    putU64(view, IOVEC_AT + IOVEC.base, address + DATA_AT);
    putU64(view, IOVEC_AT + IOVEC.length, PACKET_BYTES);
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}
