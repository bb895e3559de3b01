/**
 * What joining packets needs to know of one: which flow it belongs to, and whether it looks like one of many that a
 * sender cut from a longer one. Reads only within the packet's own length, whatever its fields say.
 */

import { fold, ipv4HeaderSum, swap16 } from "./checksum.ts";
import {
  DONT_FRAGMENT,
  FRAGMENT_MASK,
  ICMPV6,
  IPV4_ADDRESSES,
  IPV4_BYTES,
  IPV4_FRAGMENT,
  IPV4_PLAIN,
  IPV4_PROTOCOL,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  IPV6_ADDRESSES,
  IPV6_BYTES,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  TCP,
  TCP_ACK,
  TCP_ACKNOWLEDGEMENT,
  TCP_BYTES,
  TCP_FLAGS,
  TCP_OFFSET_FLAGS_WINDOW,
  TCP_PSH,
  UDP,
  UDP_BYTES,
  UDP_CHECKSUM,
  UDP_LENGTH,
} from "./headers.ts";
import type { PacketSlab } from "./packet_slab.ts";

/** Belongs to no flow that is watched: goes by itself. */
export const ALONE = 0;
/** May belong to any flow (a fragment, a packet with options): nothing that comes later may overtake it. */
export const BARRIER = 1;
/** Of a flow, and not to be joined: an ACK without data, a SYN, a datagram without checksum. */
export const OF_FLOW = 2;
/** Of a flow, and may be joined to others of it. */
export const JOINABLE = 3;
export type PacketKind = typeof ALONE | typeof BARRIER | typeof OF_FLOW | typeof JOINABLE;

/** PSH in the word of data offset, flags and window. */
const PSH_IN_WORD = TCP_PSH << 16;

/** Reads one packet after the other; what it found stays until the next. */
export class PacketReader {
  at = 0;
  length = 0;
  protocol = TCP;
  isV6 = false;
  ipBytes = 0;
  /** IP and transport headers. */
  headerBytes = 0;
  payloadBytes = 0;
  /** The sender asks for delivery now: nothing is to be joined behind it. */
  pushes = false;
  /** Of a packet of a flow: from addresses and ports, 16 bits. */
  hash = 0;

  readonly #slab: PacketSlab;
  readonly #joins: { readonly tcp: boolean; readonly udp: boolean };

  /** Packets of a protocol that is not to be joined are `ALONE`. */
  constructor(slab: PacketSlab, joins: { readonly tcp: boolean; readonly udp: boolean }) {
    this.#slab = slab;
    this.#joins = joins;
  }

  read(at: number, length: number): PacketKind {
    this.at = at;
    this.length = length;
    if (length < IPV4_BYTES) return ALONE;
    const version = this.#slab.bytes[at]! >> 4;
    if (version === 4) return this.#readIpv4();
    return version === 6 && length >= IPV6_BYTES ? this.#readIpv6() : ALONE;
  }

  #readIpv4(): PacketKind {
    const { bytes, view } = this.#slab;
    const { at } = this;
    if (bytes[at] !== IPV4_PLAIN || (view.getUint16(at + IPV4_FRAGMENT) & FRAGMENT_MASK) !== 0) return BARRIER;
    if (view.getUint16(at + IPV4_TOTAL_LENGTH) !== this.length) return BARRIER;
    this.isV6 = false;
    this.ipBytes = IPV4_BYTES;
    return this.#readTransport(bytes[at + IPV4_PROTOCOL]!);
  }

  #readIpv6(): PacketKind {
    const { bytes, view } = this.#slab;
    if (view.getUint16(this.at + IPV6_PAYLOAD_LENGTH) !== this.length - IPV6_BYTES) return BARRIER;
    this.isV6 = true;
    this.ipBytes = IPV6_BYTES;
    const protocol = bytes[this.at + IPV6_NEXT_HEADER]!;
    // Any other header may have a transport header behind it.
    return protocol === TCP || protocol === UDP || protocol === ICMPV6 ? this.#readTransport(protocol) : BARRIER;
  }

  #readTransport(protocol: number): PacketKind {
    this.protocol = protocol;
    if (protocol === TCP && this.#joins.tcp) return this.#readTcp();
    return protocol === UDP && this.#joins.udp ? this.#readUdp() : ALONE;
  }

  #readTcp(): PacketKind {
    const { bytes } = this.#slab;
    const tcp = this.at + this.ipBytes;
    if (this.ipBytes + TCP_BYTES > this.length) return ALONE;
    const tcpBytes = (bytes[tcp + TCP_OFFSET_FLAGS_WINDOW]! >> 4) * 4;
    this.headerBytes = this.ipBytes + tcpBytes;
    this.payloadBytes = this.length - this.headerBytes;
    this.#hashFlow();
    const flags = bytes[tcp + TCP_FLAGS]!;
    this.pushes = (flags & TCP_PSH) !== 0;
    const isPlain = (flags & ~TCP_PSH) === TCP_ACK && tcpBytes >= TCP_BYTES && this.payloadBytes > 0;
    return isPlain ? JOINABLE : OF_FLOW;
  }

  #readUdp(): PacketKind {
    const { view } = this.#slab;
    const udp = this.at + this.ipBytes;
    this.headerBytes = this.ipBytes + UDP_BYTES;
    this.payloadBytes = this.length - this.headerBytes;
    if (this.payloadBytes < 0) return ALONE;
    this.#hashFlow();
    this.pushes = false;
    const isWhole = view.getUint16(udp + UDP_LENGTH) === this.length - this.ipBytes;
    return isWhole && this.payloadBytes > 0 && view.getUint16(udp + UDP_CHECKSUM) !== 0 ? JOINABLE : OF_FLOW;
  }

  #hashFlow(): void {
    const { view } = this.#slab;
    const { at } = this;
    let hash = view.getUint32(at + this.ipBytes, true);
    const addresses = this.isV6 ? at + IPV6_ADDRESSES : at + IPV4_ADDRESSES;
    for (let from = addresses; from < at + this.ipBytes; from += 4) hash ^= view.getUint32(from, true);
    hash = Math.imul(hash, 0x9e3779b1);
    this.hash = hash >>> 16;
  }

  /** Whether the packet belongs to the flow of another one that was read before. */
  isOfFlow(otherAt: number): boolean {
    const { bytes, view } = this.#slab;
    const { at, isV6 } = this;
    const protocolField = isV6 ? IPV6_NEXT_HEADER : IPV4_PROTOCOL;
    if (bytes[otherAt]! >> 4 !== bytes[at]! >> 4 || bytes[otherAt + protocolField] !== this.protocol) return false;
    // From the addresses to the ports there is nothing else.
    for (let field = isV6 ? IPV6_ADDRESSES : IPV4_ADDRESSES; field <= this.ipBytes; field += 4) {
      if (view.getUint32(at + field) !== view.getUint32(otherAt + field)) return false;
    }
    return true;
  }

  /** Whether a packet of the same flow has the same headers, but for what counts on from packet to packet, and PSH. */
  hasHeadersOf(otherAt: number): boolean {
    return (this.isV6 ? this.#sameIpv6(otherAt) : this.#sameIpv4(otherAt)) &&
      (this.protocol === UDP || this.#sameTcp(otherAt));
  }

  #sameIpv4(otherAt: number): boolean {
    const { bytes, view } = this.#slab;
    const { at } = this;
    return bytes[at + IPV4_TOS] === bytes[otherAt + IPV4_TOS] && bytes[at + IPV4_TTL] === bytes[otherAt + IPV4_TTL] &&
      view.getUint16(at + IPV4_FRAGMENT) === view.getUint16(otherAt + IPV4_FRAGMENT);
  }

  #sameIpv6(otherAt: number): boolean {
    const { bytes, view } = this.#slab;
    const { at } = this;
    // The first word is version, traffic class and flow label.
    return view.getUint32(at) === view.getUint32(otherAt) &&
      bytes[at + IPV6_HOP_LIMIT] === bytes[otherAt + IPV6_HOP_LIMIT];
  }

  #sameTcp(otherAt: number): boolean {
    const { view } = this.#slab;
    const tcp = this.at + this.ipBytes;
    const other = otherAt + this.ipBytes;
    if (view.getUint32(tcp + TCP_ACKNOWLEDGEMENT) !== view.getUint32(other + TCP_ACKNOWLEDGEMENT)) return false;
    const difference = view.getUint32(tcp + TCP_OFFSET_FLAGS_WINDOW) ^ view.getUint32(other + TCP_OFFSET_FLAGS_WINDOW);
    if ((difference & ~PSH_IN_WORD) !== 0) return false;
    for (let option = TCP_BYTES; option < this.headerBytes - this.ipBytes; option += 4) {
      if (view.getUint32(tcp + option) !== view.getUint32(other + option)) return false;
    }
    return true;
  }

  /** Whether the kernel may put another id into the packet: with DF set nobody looks at it, RFC 6864 §4.1. */
  get idMatters(): boolean {
    return !this.isV6 && (this.#slab.view.getUint16(this.at + IPV4_FRAGMENT) & DONT_FRAGMENT) === 0;
  }
}

/** Whether the checksums of a packet read as `JOINABLE` are right. */
export function isIntact(slab: PacketSlab, at: number, length: number, ipBytes: number, protocol: number): boolean {
  const isV6 = ipBytes === IPV6_BYTES;
  if (!isV6 && ipv4HeaderSum(slab, at) !== 0xffff) return false;
  // The addresses lie right before the transport header, so one sum covers most of the pseudo header too.
  const addresses = isV6 ? IPV6_ADDRESSES : IPV4_ADDRESSES;
  return fold(slab.sum(at + addresses, length - addresses) + swap16(protocol) + swap16(length - ipBytes)) === 0xffff;
}
