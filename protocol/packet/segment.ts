/**
 * From TUN to datagrams: takes what one read of a TUN device gave, a packet of up to 64 KiB behind a virtio header, and
 * lays it out as packets of the size the header asks for, each with room around it to be sealed in place:
 *
 *   to                        to + stride
 *   | lead | packet | padding | tail | lead | packet | …
 *
 * so that a run of equal segments is one send with UDP_SEGMENT. Every header is made right: lengths, IPv4 id, sequence
 * numbers, flags, checksums. Splits TCP over IPv4 and IPv6, and UDP where the kernel hands it over (USO). A packet that is
 * not to be split only gets its checksum finished, where it lies.
 *
 * Padding is counted, not written: who seals writes it. Packets come from our own kernel, yet nothing in them is believed
 * beyond the length of the read. The source must not overlap what is written, and is changed.
 */

import { complement, swap16, swapWords } from "./checksum.ts";
import {
  IPV4_ADDRESSES,
  IPV4_BYTES,
  IPV4_CHECKSUM,
  IPV4_ID,
  IPV4_TOTAL_LENGTH,
  IPV6_ADDRESSES,
  IPV6_BYTES,
  IPV6_PAYLOAD_LENGTH,
  MAX_IP_BYTES,
  TCP,
  TCP_BYTES,
  TCP_CHECKSUM,
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS,
  TCP_OFFSET_FLAGS_WINDOW,
  TCP_PSH,
  TCP_SEQUENCE,
  UDP,
  UDP_BYTES,
  UDP_CHECKSUM,
  UDP_LENGTH,
} from "./headers.ts";
import type { PacketSlab } from "./packet_slab.ts";
import {
  NEEDS_CHECKSUM,
  SEGMENT_ECN,
  SEGMENT_NONE,
  SEGMENT_TCP4,
  SEGMENT_TCP6,
  SEGMENT_UDP,
  VIRTIO_CHECKSUM_OFFSET,
  VIRTIO_CHECKSUM_START,
  VIRTIO_FLAGS,
  VIRTIO_HEADER_BYTES,
  VIRTIO_SEGMENT_BYTES,
  VIRTIO_SEGMENTATION,
} from "./virtio.ts";

export interface SegmentLayout {
  /** Bytes left free before each packet. */
  readonly lead: number;
  /** Bytes left free behind each packet and its padding. */
  readonly tail: number;
  /** Packets are padded to a multiple of this (a power of two), never beyond the MTU. */
  readonly padding: number;
  /** The TUN device's; may change, see `Segmenter.mtu`. */
  readonly mtu: number;
}

/** What `Segmenter.begin` found. */
export const REFUSED = 0;
/** One packet, finished where it lies: `packetAt`, `packetLength`. */
export const WHOLE = 1;
/** To be laid out by `next`. */
export const SPLIT = 2;

export class Segmenter {
  /** The TUN device's MTU. */
  mtu: number;

  /** After `begin`: the packet behind the virtio header. */
  packetAt = 0;
  packetLength = 0;

  /** After `next`: how many segments were laid out, and the length of the packet in all but the last, and in the last. */
  count = 0;
  firstLength = 0;
  lastLength = 0;
  /** From one segment's lead to the next one's. */
  stride = 0;

  readonly #slab: PacketSlab;
  readonly #lead: number;
  readonly #tail: number;
  readonly #paddingMask: number;

  #isV6 = false;
  #protocol = TCP;
  /** With extension headers. */
  #ipBytes = 0;
  #headerBytes = 0;
  #segmentBytes = 0;
  #payloadAt = 0;
  #end = 0;
  #id = 0;
  #sequence = 0;
  #flags = 0;
  #ipSum = 0;
  #transportSum = 0;

  constructor(slab: PacketSlab, layout: SegmentLayout) {
    const { padding } = layout;
    if (!Number.isInteger(padding) || padding < 1 || (padding & (padding - 1)) !== 0) {
      throw new RangeError(`Cannot split packets: their padding must be a power of two, got ${padding}`);
    }
    this.#slab = slab;
    this.mtu = layout.mtu;
    this.#lead = layout.lead;
    this.#tail = layout.tail;
    this.#paddingMask = padding - 1;
  }

  /** Bytes of payload that `next` has still to lay out. */
  get remaining(): number {
    return this.#end - this.#payloadAt;
  }

  /** What the next segment will take. */
  get nextDatagramBytes(): number {
    return this.datagramBytes(this.#headerBytes + Math.min(this.#segmentBytes, this.remaining));
  }

  /** What a packet of that length takes with padding, lead and tail. */
  datagramBytes(packetLength: number): number {
    const padded = Math.min((packetLength + this.#paddingMask) & ~this.#paddingMask, this.mtu);
    return this.#lead + Math.max(padded, packetLength) + this.#tail;
  }

  /** Takes the `length` bytes of a read, virtio header first, at `at`. What was left of the packet before is forgotten. */
  begin(at: number, length: number): typeof REFUSED | typeof WHOLE | typeof SPLIT {
    this.#payloadAt = this.#end = 0;
    const { bytes, view } = this.#slab;
    this.packetAt = at + VIRTIO_HEADER_BYTES;
    this.packetLength = length - VIRTIO_HEADER_BYTES;
    if (this.packetLength < IPV4_BYTES || at + length > this.#slab.size) return REFUSED;
    const version = bytes[this.packetAt]! >> 4;
    this.#isV6 = version === 6;
    if (version !== 4 && (!this.#isV6 || this.packetLength < IPV6_BYTES)) return REFUSED;
    const segmentation = bytes[at + VIRTIO_SEGMENTATION]! & ~SEGMENT_ECN;
    const needsChecksum = (bytes[at + VIRTIO_FLAGS]! & NEEDS_CHECKSUM) !== 0;
    const start = view.getUint16(at + VIRTIO_CHECKSUM_START, true);
    if (segmentation === SEGMENT_NONE) {
      return !needsChecksum || this.#finish(start, view.getUint16(at + VIRTIO_CHECKSUM_OFFSET, true)) ? WHOLE : REFUSED;
    }
    this.#segmentBytes = view.getUint16(at + VIRTIO_SEGMENT_BYTES, true);
    if (!needsChecksum || this.#segmentBytes === 0 || !this.#readHeaders(segmentation, start)) return REFUSED;
    this.#prepareIp();
    this.#prepareTransport();
    return SPLIT;
  }

  /** Finishes the checksum of a packet that is not split. False if the field does not lie in the packet. */
  #finish(start: number, offset: number): boolean {
    const slab = this.#slab;
    if (start + offset + 2 > this.packetLength) return false;
    const from = this.packetAt + start;
    const checksum = complement(slab.sum(from, this.packetLength - start));
    // Zero means "none" in UDP; its other form, all ones, means the same number to everyone.
    slab.view.setUint16(from + offset, checksum === 0 ? 0xffff : checksum, true);
    return true;
  }

  /** Finds where the headers end. False unless they are what the virtio header says and leave a payload. */
  #readHeaders(segmentation: number, transportStart: number): boolean {
    const { bytes } = this.#slab;
    const isTcp = segmentation === (this.#isV6 ? SEGMENT_TCP6 : SEGMENT_TCP4);
    if (!isTcp && segmentation !== SEGMENT_UDP) return false;
    const ipBytes = this.#isV6 ? IPV6_BYTES : (bytes[this.packetAt]! & 15) * 4;
    // IPv6 may have extension headers between; they are copied as they are.
    if (ipBytes < IPV4_BYTES || (this.#isV6 ? transportStart < ipBytes : transportStart !== ipBytes)) return false;
    const transportMin = isTcp ? TCP_BYTES : UDP_BYTES;
    if (transportStart + transportMin > this.packetLength) return false;
    const transportAt = this.packetAt + transportStart;
    const transportBytes = isTcp ? (bytes[transportAt + TCP_OFFSET_FLAGS_WINDOW]! >> 4) * 4 : UDP_BYTES;
    this.#protocol = isTcp ? TCP : UDP;
    this.#ipBytes = transportStart;
    this.#headerBytes = transportStart + transportBytes;
    const payloadAt = this.packetAt + this.#headerBytes;
    const end = this.packetAt + this.packetLength;
    if (transportBytes < transportMin || payloadAt >= end) return false;
    if (this.#headerBytes + this.#segmentBytes > MAX_IP_BYTES) return false;
    this.#payloadAt = payloadAt;
    this.#end = end;
    return true;
  }

  /** Clears what differs from segment to segment, so that what is left is summed once. */
  #prepareIp(): void {
    const { view } = this.#slab;
    const ip = this.packetAt;
    if (this.#isV6) return;
    this.#id = view.getUint16(ip + IPV4_ID);
    view.setUint32(ip + IPV4_TOTAL_LENGTH, 0);
    view.setUint16(ip + IPV4_CHECKSUM, 0);
    this.#ipSum = this.#slab.sum(ip, this.#ipBytes);
  }

  #prepareTransport(): void {
    const slab = this.#slab;
    const { bytes, view } = slab;
    const transport = this.packetAt + this.#ipBytes;
    if (this.#protocol === TCP) {
      this.#sequence = view.getUint32(transport + TCP_SEQUENCE);
      this.#flags = bytes[transport + TCP_FLAGS]!;
      view.setUint32(transport + TCP_SEQUENCE, 0);
      bytes[transport + TCP_FLAGS] = 0;
      view.setUint16(transport + TCP_CHECKSUM, 0);
    } else {
      view.setUint32(transport + UDP_LENGTH, 0);
    }
    const addresses = this.#isV6
      ? slab.sum(this.packetAt + IPV6_ADDRESSES, 32)
      : slab.sum(this.packetAt + IPV4_ADDRESSES, 8);
    this.#transportSum = addresses + swap16(this.#protocol) + slab.sum(transport, this.#headerBytes - this.#ipBytes);
  }

  /**
   * Lays segments from `to` on, at most `maxSegments` of them and `maxBytes` in all, and gives their number; 0 when none
   * is left or not one fits. Call it again for the rest, elsewhere or in the same place.
   */
  next(to: number, maxSegments: number, maxBytes: number): number {
    const slab = this.#slab;
    const headerBytes = this.#headerBytes;
    const end = Math.min(to + maxBytes, slab.size);
    this.firstLength = headerBytes + Math.min(this.#segmentBytes, this.remaining);
    this.stride = this.datagramBytes(this.firstLength);
    this.count = 0;
    for (let at = to; this.count < maxSegments && this.#payloadAt < this.#end; at += this.stride) {
      const payloadBytes = Math.min(this.#segmentBytes, this.remaining);
      const length = headerBytes + payloadBytes;
      if (at + this.datagramBytes(length) > end) break;
      const packet = at + this.#lead;
      slab.copySum(packet, this.packetAt, headerBytes);
      const payloadSum = slab.copySum(packet + headerBytes, this.#payloadAt, payloadBytes);
      this.#payloadAt += payloadBytes;
      this.#writeIp(packet, length);
      if (this.#protocol === TCP) this.#writeTcp(packet + this.#ipBytes, payloadBytes, payloadSum);
      else this.#writeUdp(packet + this.#ipBytes, payloadBytes, payloadSum);
      this.lastLength = length;
      this.count++;
    }
    return this.count;
  }

  #writeIp(ip: number, length: number): void {
    const { view } = this.#slab;
    if (this.#isV6) {
      view.setUint16(ip + IPV6_PAYLOAD_LENGTH, length - IPV6_BYTES);
      return;
    }
    view.setUint16(ip + IPV4_TOTAL_LENGTH, length);
    view.setUint16(ip + IPV4_ID, this.#id);
    view.setUint16(ip + IPV4_CHECKSUM, complement(this.#ipSum + swap16(length) + swap16(this.#id)), true);
    this.#id = (this.#id + 1) & 0xffff;
  }

  #writeTcp(tcp: number, payloadBytes: number, payloadSum: number): void {
    const { bytes, view } = this.#slab;
    const isLast = this.#payloadAt === this.#end;
    const flags = isLast ? this.#flags : this.#flags & ~(TCP_FIN | TCP_PSH);
    const segmentLength = this.#headerBytes - this.#ipBytes + payloadBytes;
    // The flags are the second byte of their word, so they count as they stand in the upper half.
    const sum = this.#transportSum + payloadSum + swap16(segmentLength) + swapWords(this.#sequence) + (flags << 8);
    view.setUint32(tcp + TCP_SEQUENCE, this.#sequence);
    bytes[tcp + TCP_FLAGS] = flags;
    view.setUint16(tcp + TCP_CHECKSUM, complement(sum), true);
    this.#sequence = (this.#sequence + payloadBytes) >>> 0;
    // Only the first segment says that the window was reduced, RFC 3168 §6.1.2.
    this.#flags &= ~TCP_CWR;
  }

  #writeUdp(udp: number, payloadBytes: number, payloadSum: number): void {
    const { view } = this.#slab;
    const length = UDP_BYTES + payloadBytes;
    // The length counts twice: in the pseudo header and in the header.
    const checksum = complement(this.#transportSum + payloadSum + 2 * swap16(length));
    view.setUint16(udp + UDP_LENGTH, length);
    view.setUint16(udp + UDP_CHECKSUM, checksum === 0 ? 0xffff : checksum, true);
  }
}
