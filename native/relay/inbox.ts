/**
 * Where the relay's sockets are read into: a row of slots that all of them share, each with room for 64 KiB of equal
 * datagrams that the kernel has coalesced (UDP_GRO), and what the kernel says about them. One call fills one slot or all.
 *
 *   slot of headers: mmsghdr      slot of parts: iovec 16 │ sockaddr 32 │ control 128      slot of data: 64 KiB
 *
 * What is in the slots stays until the next `receive`. Nothing is allocated per datagram but what `place` makes.
 */

import type { IpAddress } from "../../protocol/ip.ts";
import { Slab } from "../../protocol/slab.ts";
import { CMSGHDR, IN6_PKTINFO, IN_PKTINFO, IOVEC, MMSGHDR, MSGHDR, putU64 } from "../layout.ts";
import { addressOf, type Libc } from "../libc.ts";
import { UdpEndpoint } from "../udp_endpoint.ts";
import * as option from "../udp_options.ts";
import { V4_MAPPED_WORD } from "./relay_place.ts";

export const INBOX_SLOTS = 32;
const SLOT_BYTES = 65_536;
const NAME_AT = IOVEC.size;
const CONTROL_AT = NAME_AT + 32;
/** The coalesced size, our address and the type of service, with some to spare. */
const CONTROL_BYTES = 128;
const PART_BYTES = CONTROL_AT + CONTROL_BYTES;

export class Inbox {
  /** Slot n holds its datagrams from `offset(n)` on. */
  readonly data = new Slab(INBOX_SLOTS * SLOT_BYTES);
  readonly #libc: Libc;
  readonly #isV6: boolean;
  readonly #nameBytes: number;
  readonly #headers = new Slab(INBOX_SLOTS * MMSGHDR.size);
  readonly #parts = new Slab(INBOX_SLOTS * PART_BYTES);
  readonly #lengths = new Int32Array(INBOX_SLOTS);
  readonly #segmentBytes = new Int32Array(INBOX_SLOTS);
  readonly #tos = new Uint8Array(INBOX_SLOTS);
  /** The word of #parts with the address that the datagrams came to; -1 if it is not known. */
  readonly #oursAt = new Int32Array(INBOX_SLOTS);
  readonly #host4: IpAddress = new Uint8Array(4);
  readonly #host16: IpAddress = new Uint8Array(16);

  /** `isV6`: the sockets are of both families, otherwise of IPv4 alone. */
  constructor(libc: Libc, isV6: boolean) {
    this.#libc = libc;
    this.#isV6 = isV6;
    this.#nameBytes = isV6 ? 28 : 16;
    for (let slot = 0; slot < INBOX_SLOTS; slot++) this.#layOut(slot);
  }

  /** Fills at most `most` slots from a socket; gives how many, 0 when nothing waits. */
  receive(fd: number, most: number): number {
    const { recvmsg, recvmmsg } = this.#libc.call;
    if (most > 1) {
      const count = recvmmsg(fd, this.#headers.bytes, most, 0, null);
      for (let slot = 0; slot < count; slot++) {
        this.#read(slot, this.#headers.view.getUint32(slot * MMSGHDR.size + MMSGHDR.length, true));
      }
      return count < 0 ? 0 : count;
    }
    const length = recvmsg(fd, this.#headers.bytes, 0);
    if (length < 0) return 0;
    this.#read(0, length);
    return 1;
  }

  offset(slot: number): number {
    return slot * SLOT_BYTES;
  }

  /** Of all the datagrams in a slot together. */
  length(slot: number): number {
    return this.#lengths[slot]!;
  }

  /** Of each datagram in a slot but the last, which may be shorter. */
  segmentBytes(slot: number): number {
    return this.#segmentBytes[slot]!;
  }

  /** Type of service, or traffic class: ECN is in it. */
  tos(slot: number): number {
    return this.#tos[slot]!;
  }

  /** Whether the datagrams of a slot came from there. */
  isFrom(slot: number, place: UdpEndpoint): boolean {
    const { words } = this.#parts;
    const known = place.words, nameAt = (slot * PART_BYTES + NAME_AT) >> 2;
    const count = this.#isV6 ? 7 : 2;
    for (let at = 0; at < count; at++) if (known[at] !== words[nameAt + at]) return false;
    return true;
  }

  /** What the words of the senders' sockaddrs lie in. */
  get names(): Slab {
    return this.#parts;
  }

  /** Where among those words the sockaddr of a slot's sender begins. */
  nameAt(slot: number): number {
    return (slot * PART_BYTES + NAME_AT) >> 2;
  }

  /** Where they came from, and to which address of ours. */
  place(slot: number): UdpEndpoint {
    const { words } = this.#parts;
    const nameAt = (slot * PART_BYTES + NAME_AT) >> 2, oursAt = this.#oursAt[slot]!;
    const nameWords = this.#isV6 ? 7 : 2, ourWords = this.#isV6 ? 4 : 1;
    const own = new Uint32Array(nameWords + ourWords);
    own.set(words.subarray(nameAt, nameAt + nameWords));
    if (oursAt >= 0) own.set(words.subarray(oursAt, oursAt + ourWords), nameWords);
    return new UdpEndpoint(own);
  }

  /** A place that is answered from the address of ours that it writes to now. */
  refreshOurAddress(slot: number, place: UdpEndpoint): void {
    const oursAt = this.#oursAt[slot]!;
    if (oursAt < 0) return;
    const { words } = this.#parts;
    for (let at = place.nameWords; at < place.words.length; at++) {
      place.words[at] = words[oursAt + at - place.nameWords]!;
    }
  }

  /** The address they came from, IPv4 as four bytes. The same memory every time. */
  host(slot: number): IpAddress {
    const at = slot * PART_BYTES + NAME_AT, { bytes, words } = this.#parts;
    if (!this.#isV6) return copy(bytes, at + 4, this.#host4);
    const word = at >> 2;
    const isV4 = words[word + 2] === 0 && words[word + 3] === 0 && words[word + 4] === V4_MAPPED_WORD;
    return isV4 ? copy(bytes, at + 20, this.#host4) : copy(bytes, at + 8, this.#host16);
  }

  /** Takes in what the kernel says about a slot, and makes it ready for the next time. */
  #read(slot: number, length: number): void {
    const { view } = this.#parts;
    const header = this.#headers.view, headerAt = slot * MMSGHDR.size;
    const controlAt = slot * PART_BYTES + CONTROL_AT;
    const end = controlAt + header.getUint32(headerAt + MSGHDR.controlLength, true);
    this.#lengths[slot] = length;
    this.#segmentBytes[slot] = length;
    this.#tos[slot] = 0;
    this.#oursAt[slot] = -1;
    for (let at = controlAt; at + CMSGHDR.data <= end;) {
      const size = view.getUint32(at + CMSGHDR.length, true);
      if (size < CMSGHDR.data) break;
      this.#readControl(slot, at, view.getInt32(at + CMSGHDR.level, true), view.getInt32(at + CMSGHDR.type, true));
      at += (size + 7) & ~7;
    }
    header.setUint32(headerAt + MSGHDR.nameLength, this.#nameBytes, true);
    header.setUint32(headerAt + MSGHDR.controlLength, CONTROL_BYTES, true);
  }

  #readControl(slot: number, at: number, level: number, type: number): void {
    const dataAt = at + CMSGHDR.data;
    if (level === option.SOL_UDP) {
      if (type === option.UDP_GRO) this.#segmentBytes[slot] = this.#parts.view.getInt32(dataAt, true);
    } else if (level === option.IPPROTO_IPV6) {
      if (type === option.IPV6_PKTINFO) this.#oursAt[slot] = (dataAt + IN6_PKTINFO.address) >> 2;
      else if (type === option.IPV6_TCLASS) this.#tos[slot] = this.#parts.bytes[dataAt]!;
    } else if (level === option.IPPROTO_IP) {
      if (type === option.IP_PKTINFO) this.#oursAt[slot] = (dataAt + IN_PKTINFO.specDst) >> 2;
      else if (type === option.IP_TOS) this.#tos[slot] = this.#parts.bytes[dataAt]!;
    }
  }

  #layOut(slot: number): void {
    const header = this.#headers.view, parts = this.#parts.view;
    const at = slot * MMSGHDR.size, partAt = slot * PART_BYTES;
    const address = Number(addressOf(this.#parts.bytes)) + partAt;
    putU64(header, at + MSGHDR.name, address + NAME_AT);
    header.setUint32(at + MSGHDR.nameLength, this.#nameBytes, true);
    putU64(header, at + MSGHDR.iovec, address);
    header.setUint32(at + MSGHDR.iovecCount, 1, true);
    putU64(header, at + MSGHDR.control, address + CONTROL_AT);
    header.setUint32(at + MSGHDR.controlLength, CONTROL_BYTES, true);
    putU64(parts, partAt + IOVEC.base, Number(addressOf(this.data.bytes)) + this.offset(slot));
    parts.setUint32(partAt + IOVEC.length, SLOT_BYTES, true);
  }
}

function copy(from: Uint8Array, at: number, into: IpAddress): IpAddress {
  for (let byte = 0; byte < into.length; byte++) into[byte] = from[at + byte]!;
  return into;
}
