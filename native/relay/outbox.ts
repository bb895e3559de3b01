/**
 * Sends what lies in slabs, nothing copied: datagrams of one size for one place go together, gathered from wherever they
 * lie, and the kernel cuts them up again (UDP_SEGMENT). So a coalesced receive is one send, and a row of small datagrams of
 * one flow that came one by one is too. What is added must lie still until `flush`.
 *
 * A full send buffer means that the datagrams are dropped, as a router does; what else the kernel refuses is tried in the
 * way that the refusal suggests:
 *   EIO, EINVAL, EMSGSIZE   segmentation does not work on this way (a card without checksums, a smaller MTU): one by one,
 *                           and so the next batches to that place, until it is tried again
 *   EINVAL, ENETUNREACH, …  our address, which the place last wrote to, may be gone: without it
 */

import { Slab } from "../../protocol/slab.ts";
import { Errno } from "../errno.ts";
import { Iovec } from "../iovec.ts";
import { CMSGHDR, cmsgLength, cmsgSpace, IN6_PKTINFO, IN_PKTINFO, MSGHDR, putU64 } from "../layout.ts";
import { addressOf, type Libc } from "../libc.ts";
import type { UdpEndpoint } from "../udp_endpoint.ts";
import { isV4Place, V4_MAPPED_WORD } from "./relay_place.ts";
import * as option from "../udp_options.ts";

/** The kernel's limits: UDP_MAX_SEGMENTS of Linux 4.18 to 6.8, and what fits an IPv4 packet. */
const MAX_SEGMENTS = 64;
const MAX_BYTES = 65_507;
/** So many batches to a place go one by one before segmentation is tried again. */
const PLAIN_BATCHES = 1024;

/** control: segment size │ our address │ type of service │ traffic class; each family ignores the other's. */
const SEGMENT_SPACE = cmsgSpace(2);
const TOS_SPACE = cmsgSpace(4);
const NAME_AT = MSGHDR.size;
const CONTROL_AT = NAME_AT + 32;

/** The control message by which a family is told from which of our addresses to send. */
const PKTINFO = {
  6: { ...IN6_PKTINFO, ours: IN6_PKTINFO.address, level: option.IPPROTO_IPV6, type: option.IPV6_PKTINFO },
  4: { ...IN_PKTINFO, ours: IN_PKTINFO.specDst, level: option.IPPROTO_IP, type: option.IP_PKTINFO },
} as const;

export class Outbox {
  /** Datagrams that did not go: no route, no room, a filter, … `lastErrno` has the last reason. */
  refusedDatagrams = 0;
  lastErrno = 0;
  readonly #libc: Libc;
  readonly #canSegment: boolean;
  readonly #message = new Slab(CONTROL_AT + SEGMENT_SPACE + cmsgSpace(IN6_PKTINFO.size) + 2 * TOS_SPACE);
  readonly #address = Number(addressOf(this.#message.bytes));
  /** Where in the message our address lies, and where the control ends without and with a type of service. */
  readonly #oursAt: number;
  readonly #tosAt: number;
  readonly #pieces = new Iovec(MAX_SEGMENTS);
  readonly #piecesAddress = Number(addressOf(this.#pieces.entries));
  readonly #offsets = new Int32Array(MAX_SEGMENTS);
  readonly #lengths = new Int32Array(MAX_SEGMENTS);
  readonly #single = new Iovec(1);
  readonly #singleAddress = Number(addressOf(this.#single.entries));
  #fd = -1;
  #slab: Slab | undefined;
  #to: UdpEndpoint | undefined;
  #segmentBytes = 0;
  #tos = 0;
  #segments = 0;
  /** The last datagram was shorter than the others, which ends a batch. */
  #isComplete = false;

  /** `isV6`: the sockets are of both families; `canSegment`: the kernel has UDP_SEGMENT. */
  constructor(libc: Libc, { isV6, canSegment }: { readonly isV6: boolean; readonly canSegment: boolean }) {
    this.#libc = libc;
    this.#canSegment = canSegment;
    const pktinfo = PKTINFO[isV6 ? 6 : 4];
    this.#oursAt = CONTROL_AT + SEGMENT_SPACE + CMSGHDR.data + pktinfo.ours;
    this.#tosAt = CONTROL_AT + SEGMENT_SPACE + cmsgSpace(pktinfo.size);
    this.#layOut(pktinfo);
  }

  /** Takes slab[offset, offset+length) as datagrams of `segmentBytes`, the last maybe shorter. */
  add(
    fd: number,
    slab: Slab,
    offset: number,
    length: number,
    segmentBytes: number,
    to: UdpEndpoint,
    tos: number,
  ): void {
    const segments = length > segmentBytes ? Math.ceil(length / segmentBytes) : 1;
    if (!this.#fits(fd, slab, length, segmentBytes, segments, to, tos)) this.flush();
    if (this.#segments === 0) this.#begin(fd, slab, segmentBytes, to, tos);
    const count = this.#pieces.count;
    this.#pieces.add(slab, offset, length);
    this.#offsets[count] = offset;
    this.#lengths[count] = length;
    this.#segments += segments;
    this.#isComplete = length % this.#segmentBytes !== 0;
  }

  /** Sends what was added; nothing of it is needed any more. */
  flush(): void {
    if (this.#segments === 0) return;
    const to = this.#to!;
    const isBatch = this.#segments > 1;
    if (isBatch && (!this.#canSegment || to.plainBatches > 0 || this.#pieces.bytes > MAX_BYTES)) {
      if (to.plainBatches > 0) to.plainBatches--;
      this.#sendOneByOne();
    } else if (!this.#send(this.#piecesAddress, this.#pieces.count, isBatch)) {
      this.#rescue(isBatch, to);
    }
    this.#segments = 0;
    this.#pieces.clear();
  }

  #fits(
    fd: number,
    slab: Slab,
    length: number,
    segmentBytes: number,
    segments: number,
    to: UdpEndpoint,
    tos: number,
  ): boolean {
    const isSame = fd === this.#fd && to === this.#to && tos === this.#tos && slab === this.#slab;
    const isTail = segmentBytes === this.#segmentBytes || (segments === 1 && length < this.#segmentBytes);
    return isSame && isTail && this.#canSegment && !this.#isComplete &&
      this.#segments + segments <= MAX_SEGMENTS && this.#pieces.bytes + length <= MAX_BYTES;
  }

  #begin(fd: number, slab: Slab, segmentBytes: number, to: UdpEndpoint, tos: number): void {
    this.#fd = fd;
    this.#slab = slab;
    this.#segmentBytes = segmentBytes;
    this.#to = to;
    this.#tos = tos;
    this.#putPlace(to);
    if (tos === 0) return;
    const { view } = this.#message;
    view.setInt32(this.#tosAt + CMSGHDR.data, tos, true);
    view.setInt32(this.#tosAt + TOS_SPACE + CMSGHDR.data, tos, true);
  }

  #putPlace(to: UdpEndpoint): void {
    const { words } = this.#message;
    const nameWords = to.nameWords, nameAt = NAME_AT >> 2, oursAt = this.#oursAt >> 2;
    for (let at = 0; at < nameWords; at++) words[nameAt + at] = to.words[at]!;
    for (let at = nameWords; at < to.words.length; at++) words[oursAt + at - nameWords] = to.words[at]!;
    // To an IPv4 place "you choose" is said as ::ffff:0.0.0.0.
    if (isV4Place(to)) words[oursAt + 2] = V4_MAPPED_WORD;
  }

  /** False when the kernel refused it; `lastErrno` says why. */
  #send(iovecAddress: number, iovecCount: number, isBatch: boolean): boolean {
    const { view } = this.#message;
    const begin = isBatch ? CONTROL_AT : CONTROL_AT + SEGMENT_SPACE;
    const end = this.#tos === 0 ? this.#tosAt : this.#tosAt + 2 * TOS_SPACE;
    if (isBatch) view.setUint16(CONTROL_AT + CMSGHDR.data, this.#segmentBytes, true);
    putU64(view, MSGHDR.iovec, iovecAddress);
    view.setUint32(MSGHDR.iovecCount, iovecCount, true);
    putU64(view, MSGHDR.control, this.#address + begin);
    view.setUint32(MSGHDR.controlLength, end - begin, true);
    while (this.#libc.call.sendmsg(this.#fd, this.#message.bytes, option.MSG_NOSIGNAL) < 0) {
      this.lastErrno = this.#libc.errno();
      if (this.lastErrno !== Errno.EINTR) return false;
    }
    return true;
  }

  /** What was refused goes in another way, or is given up and counted. */
  #rescue(isBatch: boolean, to: UdpEndpoint): void {
    if (isBatch && isOddlyShaped(this.lastErrno)) {
      to.plainBatches = PLAIN_BATCHES;
      return this.#sendOneByOne();
    }
    if (mayBeOurAddress(this.lastErrno) && to.hasOurAddress) {
      to.forgetOurAddress();
      this.#putPlace(to);
      if (this.#send(this.#piecesAddress, this.#pieces.count, isBatch)) return;
    }
    this.refusedDatagrams += this.#segments;
  }

  #sendOneByOne(): void {
    const count = this.#pieces.count, to = this.#to!;
    for (let piece = 0; piece < count; piece++) {
      const end = this.#offsets[piece]! + this.#lengths[piece]!;
      for (let at = this.#offsets[piece]!; at < end; at += this.#segmentBytes) {
        this.#single.clear();
        this.#single.add(this.#slab!, at, Math.min(this.#segmentBytes, end - at));
        if (this.#send(this.#singleAddress, 1, false)) continue;
        if (mayBeOurAddress(this.lastErrno) && to.hasOurAddress) {
          to.forgetOurAddress();
          this.#putPlace(to);
          if (this.#send(this.#singleAddress, 1, false)) continue;
        }
        this.refusedDatagrams++;
      }
    }
  }

  #layOut(pktinfo: (typeof PKTINFO)[4 | 6]): void {
    const { view } = this.#message;
    putU64(view, MSGHDR.name, this.#address + NAME_AT);
    view.setUint32(MSGHDR.nameLength, pktinfo === PKTINFO[6] ? 28 : 16, true);
    this.#layOutControl(CONTROL_AT, 2, option.SOL_UDP, option.UDP_SEGMENT);
    this.#layOutControl(CONTROL_AT + SEGMENT_SPACE, pktinfo.size, pktinfo.level, pktinfo.type);
    this.#layOutControl(this.#tosAt, 4, option.IPPROTO_IP, option.IP_TOS);
    this.#layOutControl(this.#tosAt + TOS_SPACE, 4, option.IPPROTO_IPV6, option.IPV6_TCLASS);
  }

  #layOutControl(at: number, dataBytes: number, level: number, type: number): void {
    const { view } = this.#message;
    view.setUint32(at + CMSGHDR.length, cmsgLength(dataBytes), true);
    view.setInt32(at + CMSGHDR.level, level, true);
    view.setInt32(at + CMSGHDR.type, type, true);
  }
}

function isOddlyShaped(errno: number): boolean {
  return errno === Errno.EIO || errno === Errno.EINVAL || errno === Errno.EMSGSIZE;
}

/** What IPv6 and IPv4 say when they are to send from an address that is not there. */
function mayBeOurAddress(errno: number): boolean {
  return errno === Errno.EINVAL || errno === Errno.ENETUNREACH || errno === Errno.EHOSTUNREACH ||
    errno === Errno.EADDRNOTAVAIL;
}
