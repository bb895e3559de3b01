/**
 * Datagrams laid out for sendmsg and sendmmsg: a row of slots, each a mmsghdr with its iovec, sockaddr and control
 * messages, the pointers between them set once. What changes from one batch to the next is written on its own, and an
 * endpoint that a slot already holds is not written again.
 *
 *   part of a slot:     iovec 16 │ sockaddr 32 │ control
 *   control of a slot:  segment size │ our address │ type of service
 *
 * A batch of one segment leaves the first out, an ordinary datagram the last; our address may be zeros, "you choose".
 */

import { Slab } from "../protocol/slab.ts";
import { CMSGHDR, cmsgLength, cmsgSpace, IN6_PKTINFO, IN_PKTINFO, IOVEC, MMSGHDR, MSGHDR, putU64 } from "./layout.ts";
import { addressOf } from "./libc.ts";
import type { UdpEndpoint } from "./udp_endpoint.ts";
import { IP_PKTINFO, IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, IPV6_TCLASS } from "./udp_options.ts";
import { SOL_UDP, UDP_SEGMENT } from "./udp_options.ts";

const NAME_BYTES = 32;
const SEGMENT_SPACE = cmsgSpace(2);
const TOS_SPACE = cmsgSpace(4);
const NAME_AT = IOVEC.size;
const CONTROL_AT = NAME_AT + NAME_BYTES;

export class UdpMessages {
  readonly capacity: number;
  readonly #headers: Slab;
  readonly #parts: Slab;
  readonly #partsAddress: number;
  readonly #stride: number;
  /** Where in the control our address ends and the type of service begins. */
  readonly #tosAt: number;
  /** Where in the control our address lies. */
  readonly #oursAt: number;
  readonly #addresses: Float64Array;
  readonly #lengths: Int32Array;
  readonly #segmentBytes: Int32Array;
  readonly #tos: Uint8Array;
  readonly #destinations: (UdpEndpoint | undefined)[];

  constructor(capacity: number, isV6: boolean) {
    this.capacity = capacity;
    const pktinfo = isV6 ? IN6_PKTINFO : IN_PKTINFO;
    this.#oursAt = SEGMENT_SPACE + CMSGHDR.data + (isV6 ? IN6_PKTINFO.address : IN_PKTINFO.specDst);
    this.#tosAt = SEGMENT_SPACE + cmsgSpace(pktinfo.size);
    this.#stride = CONTROL_AT + this.#tosAt + TOS_SPACE;
    this.#headers = new Slab(capacity * MMSGHDR.size);
    this.#parts = new Slab(capacity * this.#stride);
    this.#partsAddress = Number(addressOf(this.#parts.bytes));
    this.#addresses = new Float64Array(capacity);
    this.#lengths = new Int32Array(capacity);
    this.#segmentBytes = new Int32Array(capacity);
    this.#tos = new Uint8Array(capacity);
    this.#destinations = new Array(capacity).fill(undefined);
    for (let slot = 0; slot < capacity; slot++) this.#layOut(slot, isV6);
  }

  /** Fills a slot with `length` bytes at an address, to be cut into datagrams of `segmentBytes` and a shorter last one. */
  put(slot: number, address: number, length: number, segmentBytes: number, to: UdpEndpoint, tos: number): void {
    const header = this.#headers.view, parts = this.#parts.view;
    const headerAt = slot * MMSGHDR.size, partAt = slot * this.#stride, controlAt = partAt + CONTROL_AT;
    this.#addresses[slot] = address;
    this.#lengths[slot] = length;
    this.#segmentBytes[slot] = segmentBytes;
    this.#tos[slot] = tos;
    if (this.#destinations[slot] !== to) this.#putEndpoint(slot, to);
    putU64(parts, partAt + IOVEC.base, address);
    parts.setUint32(partAt + IOVEC.length, length, true);
    const begin = length > segmentBytes ? 0 : SEGMENT_SPACE;
    const end = tos === 0 ? this.#tosAt : this.#tosAt + TOS_SPACE;
    if (begin === 0) parts.setUint16(controlAt + CMSGHDR.data, segmentBytes, true);
    if (tos !== 0) parts.setInt32(controlAt + this.#tosAt + CMSGHDR.data, tos, true);
    putU64(header, headerAt + MSGHDR.control, this.#partsAddress + controlAt + begin);
    header.setUint32(headerAt + MSGHDR.controlLength, end - begin, true);
  }

  /** The mmsghdrs from a slot on; the first of them begins with a msghdr. */
  from(slot: number): Uint8Array<ArrayBuffer> {
    return this.#headers.from(slot * MMSGHDR.size);
  }

  address(slot: number): number {
    return this.#addresses[slot]!;
  }

  length(slot: number): number {
    return this.#lengths[slot]!;
  }

  segmentBytes(slot: number): number {
    return this.#segmentBytes[slot]!;
  }

  tos(slot: number): number {
    return this.#tos[slot]!;
  }

  destination(slot: number): UdpEndpoint {
    return this.#destinations[slot]!;
  }

  /** An endpoint has changed: write it again wherever it stands. */
  refresh(endpoint: UdpEndpoint): void {
    for (let slot = 0; slot < this.capacity; slot++) {
      if (this.#destinations[slot] === endpoint) this.#putEndpoint(slot, endpoint);
    }
  }

  #putEndpoint(slot: number, to: UdpEndpoint): void {
    const { words } = this.#parts;
    const partAt = slot * this.#stride;
    const nameAt = (partAt + NAME_AT) >> 2, oursAt = (partAt + CONTROL_AT + this.#oursAt) >> 2;
    const nameWords = to.nameWords;
    for (let at = 0; at < nameWords; at++) words[nameAt + at] = to.words[at]!;
    for (let at = nameWords; at < to.words.length; at++) words[oursAt + at - nameWords] = to.words[at]!;
    this.#destinations[slot] = to;
  }

  #layOut(slot: number, isV6: boolean): void {
    const header = this.#headers.view;
    const headerAt = slot * MMSGHDR.size, partAt = slot * this.#stride;
    putU64(header, headerAt + MSGHDR.name, this.#partsAddress + partAt + NAME_AT);
    header.setUint32(headerAt + MSGHDR.nameLength, isV6 ? 28 : 16, true);
    putU64(header, headerAt + MSGHDR.iovec, this.#partsAddress + partAt);
    header.setUint32(headerAt + MSGHDR.iovecCount, 1, true);
    const level = isV6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const pktinfoBytes = isV6 ? IN6_PKTINFO.size : IN_PKTINFO.size;
    const controlAt = partAt + CONTROL_AT;
    this.#putControl(controlAt, SOL_UDP, UDP_SEGMENT, 2);
    this.#putControl(controlAt + SEGMENT_SPACE, level, isV6 ? IPV6_PKTINFO : IP_PKTINFO, pktinfoBytes);
    this.#putControl(controlAt + this.#tosAt, level, isV6 ? IPV6_TCLASS : IP_TOS, 4);
  }

  #putControl(at: number, level: number, type: number, dataBytes: number): void {
    const { view } = this.#parts;
    view.setUint32(at + CMSGHDR.length, cmsgLength(dataBytes), true);
    view.setInt32(at + CMSGHDR.level, level, true);
    view.setInt32(at + CMSGHDR.type, type, true);
  }
}
