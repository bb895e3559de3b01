/**
 * Sends what lies in slabs, nothing copied, a row of messages by one sendmmsg: each is equal datagrams for one place, which
 * the kernel cuts up (UDP_SEGMENT). What is added must lie still until `flush`. A row has a fixed size and is sent when it is
 * full; of places nothing is remembered.
 *
 *   part of a slot:  iovec 16 │ sockaddr 32 │ control: segment size │ type of service │ traffic class
 *
 * A full send buffer means that datagrams are dropped, as a router does. Where segmentation does not work on the way (a card
 * without checksums, a smaller MTU) they go one by one, and so do the next batches until it is tried again.
 */

import { Slab } from "../../protocol/slab.ts";
import { Errno } from "../errno.ts";
import { CMSGHDR, cmsgLength, cmsgSpace, IOVEC, MMSGHDR, MSGHDR, putU64, SlabAddresses } from "../layout.ts";
import { addressOf, type Libc } from "../libc.ts";
import { nameWord } from "../udp_endpoint.ts";
import * as option from "../udp_options.ts";

const SLOTS = 64;
/** The kernel's limits: UDP_MAX_SEGMENTS of Linux 4.18 to 6.8, and what fits an IPv4 packet. */
const MAX_SEGMENTS = 64;
const MAX_BYTES = 65_507;
/** So many batches go one by one before segmentation is tried again. */
const PLAIN_BATCHES = 256;

const NAME_AT = IOVEC.size;
const CONTROL_AT = NAME_AT + 32;
const SEGMENT_SPACE = cmsgSpace(2);
const TOS_SPACE = cmsgSpace(4);
const STRIDE = CONTROL_AT + SEGMENT_SPACE + 2 * TOS_SPACE;
const TOS_AT = CONTROL_AT + SEGMENT_SPACE;

export interface RouteOutboxOptions {
  /** The sockets are of both families, otherwise of IPv4 alone. */
  readonly isV6: boolean;
  /** The kernel has UDP_SEGMENT. */
  readonly canSegment: boolean;
}

export class RouteOutbox {
  /** Datagrams that went to the kernel, and those that it refused: no route, no room, a filter, … */
  sentDatagrams = 0;
  sentBytes = 0;
  refusedDatagrams = 0;
  lastErrno = 0;
  readonly #libc: Libc;
  readonly #isV6: boolean;
  readonly #canSegment: boolean;
  readonly #headers = new Slab(SLOTS * MMSGHDR.size);
  readonly #parts = new Slab(SLOTS * STRIDE);
  readonly #address = Number(addressOf(this.#parts.bytes));
  readonly #addresses = new SlabAddresses();
  readonly #segmentBytes = new Int32Array(SLOTS);
  readonly #lengths = new Int32Array(SLOTS);
  #fd = -1;
  #count = 0;
  #plainBatches = 0;

  constructor(libc: Libc, { isV6, canSegment }: RouteOutboxOptions) {
    this.#libc = libc;
    this.#isV6 = isV6;
    this.#canSegment = canSegment;
    for (let slot = 0; slot < SLOTS; slot++) this.#layOut(slot);
  }

  /** What is added next goes out by this socket. */
  open(fd: number): void {
    this.flush();
    this.#fd = fd;
  }

  /**
   * Takes datagrams of `segmentBytes`, the last maybe shorter, for a place: four words of its address (IPv4 as a mapped one)
   * from `at` on, and its port.
   */
  add(
    slab: Slab,
    offset: number,
    length: number,
    segmentBytes: number,
    tos: number,
    words: Uint32Array,
    at: number,
    port: number,
  ): void {
    if (length <= segmentBytes || this.#maySegment(length, segmentBytes)) {
      return this.#put(slab, offset, length, segmentBytes, tos, words, at, port);
    }
    const end = offset + length;
    for (let from = offset; from < end; from += segmentBytes) {
      const bytes = Math.min(segmentBytes, end - from);
      this.#put(slab, from, bytes, bytes, tos, words, at, port);
    }
  }

  flush(): void {
    const { sendmmsg } = this.#libc.call;
    for (let at = 0; at < this.#count;) {
      const sent = sendmmsg(this.#fd, this.#headers.from(at * MMSGHDR.size), this.#count - at, option.MSG_NOSIGNAL);
      if (sent < 0) {
        this.lastErrno = this.#libc.errno();
        if (this.lastErrno === Errno.EINTR) continue;
        this.#rescue(at++);
        continue;
      }
      for (const end = at + sent; at < end; at++) this.#tally(at);
    }
    this.#count = 0;
  }

  #maySegment(length: number, segmentBytes: number): boolean {
    if (!this.#canSegment || length > MAX_BYTES || length > segmentBytes * MAX_SEGMENTS) return false;
    if (this.#plainBatches === 0) return true;
    this.#plainBatches--;
    return false;
  }

  #put(
    slab: Slab,
    offset: number,
    length: number,
    segmentBytes: number,
    tos: number,
    words: Uint32Array,
    at: number,
    port: number,
  ): void {
    const slot = this.#count++;
    const header = this.#headers.view, headerAt = slot * MMSGHDR.size;
    const parts = this.#parts.view, partAt = slot * STRIDE;
    this.#segmentBytes[slot] = segmentBytes;
    this.#lengths[slot] = length;
    putU64(parts, partAt + IOVEC.base, this.#addresses.of(slab) + offset);
    parts.setUint32(partAt + IOVEC.length, length, true);
    this.#putName((partAt + NAME_AT) >> 2, words, at, port);
    const isBatch = length > segmentBytes;
    const begin = isBatch ? CONTROL_AT : TOS_AT, end = tos === 0 ? TOS_AT : STRIDE;
    if (isBatch) parts.setUint16(partAt + CONTROL_AT + CMSGHDR.data, segmentBytes, true);
    if (tos !== 0) {
      parts.setInt32(partAt + TOS_AT + CMSGHDR.data, tos, true);
      parts.setInt32(partAt + TOS_AT + TOS_SPACE + CMSGHDR.data, tos, true);
    }
    putU64(header, headerAt + MSGHDR.control, this.#address + partAt + begin);
    header.setUint32(headerAt + MSGHDR.controlLength, end - begin, true);
    if (this.#count === SLOTS) this.flush();
  }

  #putName(nameAt: number, words: Uint32Array, at: number, port: number): void {
    const name = this.#parts.words;
    if (this.#isV6) {
      name[nameAt] = nameWord(option.AF_INET6, port);
      for (let word = 0; word < 4; word++) name[nameAt + 2 + word] = words[at + word]!;
    } else {
      // An IPv6 address comes out as one that nothing is sent to: the relay's policy knows that there are none.
      name[nameAt] = nameWord(option.AF_INET, port);
      name[nameAt + 1] = words[at]! === 0 ? words[at + 3]! : 0xffffffff;
    }
  }

  #tally(slot: number): void {
    const length = this.#lengths[slot]!;
    this.sentBytes += length;
    this.sentDatagrams += Math.ceil(length / this.#segmentBytes[slot]!);
  }

  /** What was refused goes one by one, if it was a batch, or is given up and counted. */
  #rescue(slot: number): void {
    const length = this.#lengths[slot]!, segmentBytes = this.#segmentBytes[slot]!;
    if (length <= segmentBytes || !isOddlyShaped(this.lastErrno)) {
      this.refusedDatagrams += Math.ceil(length / segmentBytes);
      return;
    }
    this.#plainBatches = PLAIN_BATCHES;
    const { view } = this.#headers, headerAt = slot * MMSGHDR.size;
    const parts = this.#parts.view, partAt = slot * STRIDE;
    const base = parts.getUint32(partAt + IOVEC.base, true) + parts.getUint32(partAt + IOVEC.base + 4, true) * 2 ** 32;
    const controlBytes = view.getUint32(headerAt + MSGHDR.controlLength, true) - SEGMENT_SPACE;
    putU64(view, headerAt + MSGHDR.control, this.#address + partAt + TOS_AT);
    view.setUint32(headerAt + MSGHDR.controlLength, controlBytes, true);
    for (let at = 0; at < length; at += segmentBytes) {
      const bytes = Math.min(segmentBytes, length - at);
      putU64(parts, partAt + IOVEC.base, base + at);
      parts.setUint32(partAt + IOVEC.length, bytes, true);
      if (this.#libc.call.sendmsg(this.#fd, this.#headers.from(headerAt), option.MSG_NOSIGNAL) < 0) {
        this.lastErrno = this.#libc.errno();
        this.refusedDatagrams++;
      } else {
        this.sentDatagrams++;
        this.sentBytes += bytes;
      }
    }
  }

  #layOut(slot: number): void {
    const header = this.#headers.view, headerAt = slot * MMSGHDR.size, partAt = slot * STRIDE;
    putU64(header, headerAt + MSGHDR.name, this.#address + partAt + NAME_AT);
    header.setUint32(headerAt + MSGHDR.nameLength, this.#isV6 ? 28 : 16, true);
    putU64(header, headerAt + MSGHDR.iovec, this.#address + partAt);
    header.setUint32(headerAt + MSGHDR.iovecCount, 1, true);
    this.#layOutControl(partAt + CONTROL_AT, 2, option.SOL_UDP, option.UDP_SEGMENT);
    this.#layOutControl(partAt + TOS_AT, 4, option.IPPROTO_IP, option.IP_TOS);
    this.#layOutControl(partAt + TOS_AT + TOS_SPACE, 4, option.IPPROTO_IPV6, option.IPV6_TCLASS);
  }

  #layOutControl(at: number, dataBytes: number, level: number, type: number): void {
    const { view } = this.#parts;
    view.setUint32(at + CMSGHDR.length, cmsgLength(dataBytes), true);
    view.setInt32(at + CMSGHDR.level, level, true);
    view.setInt32(at + CMSGHDR.type, type, true);
  }
}

function isOddlyShaped(errno: number): boolean {
  return errno === Errno.EIO || errno === Errno.EINVAL || errno === Errno.EMSGSIZE;
}
