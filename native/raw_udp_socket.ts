/**
 * Datagrams from and to a UDP port that another socket owns, of one family: a raw socket for IPPROTO_UDP. The kernel offers
 * it a copy of every UDP packet that comes in; a filter in the kernel refuses all but those to our port whose payload begins
 * with a byte that WireGuard never sends, so what is bulk is neither copied nor seen here.
 *
 *   v4 reads:   IP header with options │ UDP header │ payload       v6 reads:   UDP header │ payload
 *
 * What it sends has a TTL of its own: a card or driver may join datagrams of one flow (GRO), but never those of different
 * TTLs, so ours are not taken for the tail of somebody's bulk. IPv6 checksums are the kernel's work, those of IPv4 are
 * made here, of the source address that the kernel will choose. Checksums of what comes in are not looked at: all of it
 * carries proof of its own. Needs CAP_NET_RAW, and CAP_NET_ADMIN for a mark.
 */

import { complement, sumBytes, swap16 } from "../protocol/packet/checksum.ts";
import { Slab } from "../protocol/slab.ts";
import { Errno, SysError } from "./errno.ts";
import { Fd } from "./fd.ts";
import {
  CMSGHDR,
  cmsgLength,
  cmsgSpace,
  IN6_PKTINFO,
  IN_PKTINFO,
  IOVEC,
  MSGHDR,
  putU64,
  SOCKADDR_IN,
  SOCKADDR_IN6,
} from "./layout.ts";
import { addressOf, type Libc } from "./libc.ts";
import type { SourceAddresses } from "./source_address.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";
import * as option from "./udp_options.ts";

/** What WireGuard's messages begin with is below it: 1 to 4. */
export const FIRST_OURS = 0xc0;
/** Longer datagrams arrive cut off, and none is sent. As long as a handshake initiation. */
export const RAW_PAYLOAD_BYTES = 148;

const UDP_HEADER_BYTES = 8;
const IP_HEADER_BYTES = 20;
const MOST_HEADER_BYTES = 60 + UDP_HEADER_BYTES;
/** Not what systems begin with (64, 128, 255). */
const OWN_TTL = 60;
/** Room for some hundred datagrams; a flood of them finds it full. */
const RECEIVE_BUFFER_BYTES = 65_536;

const NAME_AT = MSGHDR.size;
const IOVEC_AT = NAME_AT + 32;
const CONTROL_AT = IOVEC_AT + IOVEC.size;
const CONTROL_BYTES = 64;
const DATA_AT = CONTROL_AT + CONTROL_BYTES;
const DATA_BYTES = MOST_HEADER_BYTES + RAW_PAYLOAD_BYTES;

export interface RawDatagram {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** It also knows the address of ours that was sent to. */
  readonly from: UdpEndpoint;
}

export interface RawUdpOptions {
  /** The UDP port, of whoever owns it. */
  readonly port: number;
  readonly mark?: number;
}

export class RawUdpSocket implements Disposable {
  readonly isV6: boolean;
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #port: number;
  readonly #nameBytes: number;
  readonly #message = new Slab(DATA_AT + DATA_BYTES);

  /** Throws a SysError: EPERM without the capabilities. */
  constructor(libc: Libc, isV6: boolean, { port, mark = 0 }: RawUdpOptions) {
    this.#libc = libc;
    this.isV6 = isV6;
    this.#port = port;
    this.#nameBytes = isV6 ? SOCKADDR_IN6.size : SOCKADDR_IN.size;
    using stack = new DisposableStack();
    const action = `share UDP port ${port}`;
    const number = libc.call.socket(isV6 ? option.AF_INET6 : option.AF_INET, option.RAW_SOCKET, option.IPPROTO_UDP);
    if (number < 0) throw notOpened(action, libc.errno());
    this.#fd = stack.use(new Fd(libc, number, action, "socket"));
    this.#attachFilter(action);
    this.#set(option.SOL_SOCKET, option.SO_RCVBUF, RECEIVE_BUFFER_BYTES, action);
    if (mark !== 0) this.#set(option.SOL_SOCKET, option.SO_MARK, mark, `mark datagrams with ${mark}`);
    if (isV6) {
      this.#set(option.IPPROTO_IPV6, option.IPV6_CHECKSUM, 6, action);
      this.#set(option.IPPROTO_IPV6, option.IPV6_RECVPKTINFO, 1, action);
      this.#set(option.IPPROTO_IPV6, option.IPV6_UNICAST_HOPS, OWN_TTL, action);
    } else {
      this.#set(option.IPPROTO_IP, option.IP_TTL, OWN_TTL, action);
    }
    this.#layOut();
    // What came between the two calls was not filtered.
    while (this.#read() >= 0);
    stack.move();
  }

  /** For a poll set. */
  get fd(): number {
    return this.#fd.number;
  }

  /** The next datagram that waits; undefined when none does. */
  receive(): RawDatagram | undefined {
    for (let length = this.#read(); length >= 0; length = this.#read()) {
      const datagram = this.isV6 ? this.#readV6(length) : this.#readV4(length);
      if (datagram) return datagram;
    }
    return undefined;
  }

  /** False when it could not go: too long, no route, no room, or a filter. */
  send(payload: Uint8Array, to: UdpEndpoint, sources: SourceAddresses): boolean {
    if (payload.length > RAW_PAYLOAD_BYTES) return false;
    const ours = ourAddress(to) ?? sources.to(to);
    if (!ours) return false;
    const { view, words, bytes } = this.#message;
    // No port: raw sockets of IPv6 take it for a protocol.
    for (let at = 0; at < to.nameWords; at++) words[(NAME_AT >> 2) + at] = to.words[at]!;
    view.setUint16(NAME_AT + 2, 0);
    view.setUint32(MSGHDR.nameLength, this.#nameBytes, true);
    const length = UDP_HEADER_BYTES + payload.length;
    view.setUint16(DATA_AT, this.#port);
    view.setUint16(DATA_AT + 2, to.port);
    view.setUint16(DATA_AT + 4, length);
    view.setUint16(DATA_AT + 6, 0);
    bytes.set(payload, DATA_AT + UDP_HEADER_BYTES);
    if (!this.isV6) view.setUint16(DATA_AT + 6, this.#checksumV4(ours, to.address, length), true);
    putU64(view, IOVEC_AT + IOVEC.length, length);
    this.#putSource(ours);
    return this.#libc.call.sendmsg(this.#fd.number, bytes, option.MSG_NOSIGNAL) >= 0;
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }

  /** The length of what was read, cut off maybe; -1 when nothing waits. */
  #read(): number {
    const { view, bytes } = this.#message;
    view.setUint32(MSGHDR.nameLength, this.#nameBytes, true);
    view.setUint32(MSGHDR.controlLength, CONTROL_BYTES, true);
    putU64(view, IOVEC_AT + IOVEC.length, DATA_BYTES);
    return this.#libc.call.recvmsg(this.#fd.number, bytes, 0);
  }

  #readV4(length: number): RawDatagram | undefined {
    const { bytes, words } = this.#message;
    if (length < IP_HEADER_BYTES) return undefined;
    const udpAt = DATA_AT + (bytes[DATA_AT]! & 0xf) * 4;
    const own = new Uint32Array(3);
    own[0] = words[NAME_AT >> 2]!;
    own[1] = words[(NAME_AT >> 2) + 1]!;
    new Uint8Array(own.buffer).set(bytes.subarray(DATA_AT + 16, DATA_AT + 20), 8);
    return this.#readUdp(udpAt, DATA_AT + length, own);
  }

  #readV6(length: number): RawDatagram | undefined {
    const { bytes, words, view } = this.#message;
    const own = new Uint32Array(11);
    own.set(words.subarray(NAME_AT >> 2, (NAME_AT >> 2) + 7));
    own[1] = 0;
    const hasControl = view.getUint32(MSGHDR.controlLength, true) >= CMSGHDR.data + IN6_PKTINFO.size;
    if (hasControl && view.getInt32(CONTROL_AT + CMSGHDR.type, true) === option.IPV6_PKTINFO) {
      const address = CONTROL_AT + CMSGHDR.data + IN6_PKTINFO.address;
      new Uint8Array(own.buffer).set(bytes.subarray(address, address + 16), 28);
    }
    return this.#readUdp(DATA_AT, DATA_AT + length, own);
  }

  /** `words`: as in a UdpEndpoint, without the port. */
  #readUdp(udpAt: number, end: number, words: Uint32Array<ArrayBuffer>): RawDatagram | undefined {
    const { bytes, view } = this.#message;
    const payloadAt = udpAt + UDP_HEADER_BYTES;
    if (payloadAt >= end || bytes[payloadAt]! < FIRST_OURS || view.getUint16(udpAt + 2) !== this.#port) {
      return undefined;
    }
    new Uint8Array(words.buffer).set(bytes.subarray(udpAt, udpAt + 2), 2);
    return { bytes: bytes.slice(payloadAt, end), from: new UdpEndpoint(words) };
  }

  #checksumV4(source: Uint8Array, destination: Uint8Array, length: number): number {
    const pseudo = sumBytes(source, 0, 4) + sumBytes(destination, 0, 4) + swap16(option.IPPROTO_UDP) + swap16(length);
    // A checksum of zero would say that there is none.
    return complement(pseudo + sumBytes(this.#message.bytes, DATA_AT, length)) || 0xffff;
  }

  #putSource(ours: Uint8Array): void {
    const { view, bytes } = this.#message;
    const info = CONTROL_AT + CMSGHDR.data;
    const size = this.isV6 ? IN6_PKTINFO.size : IN_PKTINFO.size;
    bytes.fill(0, info, info + size);
    bytes.set(ours, info + (this.isV6 ? IN6_PKTINFO.address : IN_PKTINFO.specDst));
    view.setUint32(CONTROL_AT + CMSGHDR.length, cmsgLength(size), true);
    view.setInt32(CONTROL_AT + CMSGHDR.level, this.isV6 ? option.IPPROTO_IPV6 : option.IPPROTO_IP, true);
    view.setInt32(CONTROL_AT + CMSGHDR.type, this.isV6 ? option.IPV6_PKTINFO : option.IP_PKTINFO, true);
    view.setUint32(MSGHDR.controlLength, cmsgSpace(size), true);
  }

  #layOut(): void {
    const { view, bytes } = this.#message;
    const address = Number(addressOf(bytes));
    putU64(view, MSGHDR.name, address + NAME_AT);
    putU64(view, MSGHDR.iovec, address + IOVEC_AT);
    view.setUint32(MSGHDR.iovecCount, 1, true);
    putU64(view, MSGHDR.control, address + CONTROL_AT);
    putU64(view, IOVEC_AT + IOVEC.base, address + DATA_AT);
  }

  #attachFilter(action: string): void {
    const instructions = this.isV6 ? filterV6(this.#port) : filterV4(this.#port);
    const code = new Slab(instructions.length * 8);
    for (const [index, [operation, whenTrue, whenFalse, value]] of instructions.entries()) {
      code.view.setUint16(index * 8, operation, true);
      code.bytes.set([whenTrue, whenFalse], index * 8 + 2);
      code.view.setUint32(index * 8 + 4, value, true);
    }
    const program = new Slab(16);
    program.view.setUint16(0, instructions.length, true);
    putU64(program.view, 8, Number(addressOf(code.bytes)));
    if (this.#libc.call.setsockopt(this.fd, option.SOL_SOCKET, option.SO_ATTACH_FILTER, program.bytes, 16) < 0) {
      throw this.#libc.error(action, "setsockopt");
    }
  }

  #set(level: number, name: number, value: number, action: string): void {
    const bytes = new Uint8Array(new Int32Array([value]).buffer);
    if (this.#libc.call.setsockopt(this.#fd.number, level, name, bytes, 4) < 0) {
      throw this.#libc.error(action, "setsockopt");
    }
  }
}

function notOpened(action: string, errno: number): SysError {
  return new SysError(action, "socket", errno, errno === Errno.EPERM ? "it needs CAP_NET_RAW" : undefined);
}

/** The address of ours that a datagram from there came to, if one did. */
function ourAddress(to: UdpEndpoint): Uint8Array | undefined {
  return to.hasOurAddress ? new Uint8Array(to.words.buffer, to.nameWords * 4) : undefined;
}

/** Operation, how many to skip when true and when false, operand (linux/bpf_common.h). */
type Instruction = readonly [operation: number, whenTrue: number, whenFalse: number, value: number];

const LOAD_IP_HEADER_LENGTH_INTO_X = 0xb1;
const LOAD_16_AT_X = 0x48;
const LOAD_8_AT_X = 0x50;
const LOAD_16 = 0x28;
const LOAD_8 = 0x30;
const IS_EQUAL = 0x15;
const IS_AT_LEAST = 0x35;
const RETURN = 0x06;

function filterV4(port: number): readonly Instruction[] {
  return [
    [LOAD_IP_HEADER_LENGTH_INTO_X, 0, 0, 0],
    [LOAD_16_AT_X, 0, 0, 2],
    [IS_EQUAL, 0, 3, port],
    [LOAD_8_AT_X, 0, 0, UDP_HEADER_BYTES],
    [IS_AT_LEAST, 0, 1, FIRST_OURS],
    [RETURN, 0, 0, DATA_BYTES],
    [RETURN, 0, 0, 0],
  ];
}

function filterV6(port: number): readonly Instruction[] {
  return [
    [LOAD_16, 0, 0, 2],
    [IS_EQUAL, 0, 3, port],
    [LOAD_8, 0, 0, UDP_HEADER_BYTES],
    [IS_AT_LEAST, 0, 1, FIRST_OURS],
    [RETURN, 0, 0, DATA_BYTES],
    [RETURN, 0, 0, 0],
  ];
}
