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

import { complement, fold, swap16, swapWords } from "./checksum.ts";
import {
  IPV4_ADDRESSES,
  IPV4_BYTES,
  IPV4_CHECKSUM,
  IPV4_ID,
  IPV4_PROTOCOL,
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
  #transportBytes = 0;
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
    this.#slab = slab;
    this.mtu = layout.mtu;
    this.#lead = layout.lead;
    this.#tail = layout.tail;
    this.#paddingMask = layout.padding - 1;
  }

  /** Bytes of payload that `next` has still to lay out. */
  get remaining(): number {
    return this.#end - this.#payloadAt;
  }

  /** What a packet of that length takes with padding, lead and tail. */
  datagramBytes(packetLength: number): number {
    const padded = Math.min((packetLength + this.#paddingMask) & ~this.#paddingMask, this.mtu);
    return this.#lead + Math.max(padded, packetLength) + this.#tail;
  }

  /** Takes the `length` bytes of a read, virtio header first, at `at`. What was left of the packet before is forgotten. */
  begin(at: number, length: number): typeof REFUSED | typeof WHOLE | typeof SPLIT {
    return REFUSED;
  }

  /**
   * Lays segments from `to` on, at most `maxSegments` of them and `maxBytes` in all, and gives their number; 0 when none
   * is left or not one fits. Call it again for the rest, elsewhere or in the same place.
   */
  next(to: number, maxSegments: number, maxBytes: number): number {
    return 0;
  }
}
