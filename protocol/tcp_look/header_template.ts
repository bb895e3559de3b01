/**
 * The headers of packets from one place to another, made once: every packet copies them and writes what differs, and their
 * part of the checksums is summed once.
 *
 *   | IPv4 20 or IPv6 40 | TCP 20 | options | payload …
 *   ^ at - bytes                            ^ at, a multiple of four
 */

import { complement, fold, sumBytes, swap16, swapWords } from "../packet/checksum.ts";
import {
  DONT_FRAGMENT,
  IPV4_BYTES,
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_ID,
  IPV4_PLAIN,
  IPV4_PROTOCOL,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  IPV6_BYTES,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  TCP,
  TCP_ACKNOWLEDGEMENT,
  TCP_BYTES,
  TCP_CHECKSUM,
  TCP_OFFSET_FLAGS_WINDOW,
  TCP_SEQUENCE,
} from "../packet/headers.ts";
import type { IpAddress } from "../ip.ts";
import type { PacketSlab } from "../packet/packet_slab.ts";

/** Who sends to whom; both addresses of one family. */
export interface FlowEnds {
  readonly source: IpAddress;
  readonly sourcePort: number;
  readonly destination: IpAddress;
  readonly destinationPort: number;
}

/** What all packets have in common. */
export interface HeaderShape {
  /** Type of service, or traffic class. */
  readonly tos: number;
  readonly dontFragment: boolean;
  readonly window: number;
  /** Whole words. */
  readonly options: readonly number[];
  /** Where among the options a timestamp's value lies, its echo behind it; -1: there is none. */
  readonly timestampAt: number;
}

/** TTL, or hop limit: what Linux begins with, and every look has. */
const HOPS = 64;

export class HeaderTemplate {
  /** The headers' length. */
  readonly bytes: number;
  readonly ipBytes: number;
  readonly isV6: boolean;

  /** What differs from packet to packet. */
  sequence = 0;
  acknowledgement = 0;
  flags = 0;
  /** Of IPv4. */
  id = 0;
  timestamp = 0;
  echo = 0;

  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #timestampAt: number;
  readonly #offsetBits: number;
  /** The sums of what never differs. */
  readonly #ipSum: number;
  readonly #tcpSum: number;
  readonly #pseudoSum: number;

  constructor(ends: FlowEnds, shape: HeaderShape) {
    this.isV6 = ends.source.length === 16;
    this.ipBytes = this.isV6 ? IPV6_BYTES : IPV4_BYTES;
    const tcpBytes = TCP_BYTES + shape.options.length;
    this.bytes = this.ipBytes + tcpBytes;
    this.#offsetBits = tcpBytes << 10;
    this.#timestampAt = shape.timestampAt < 0 ? -1 : this.ipBytes + TCP_BYTES + shape.timestampAt;
    const header = new Uint8Array(new ArrayBuffer(this.bytes)), view = new DataView(header.buffer);
    if (this.isV6) putV6(header, view, shape);
    else putV4(header, view, shape);
    header.set(ends.source, this.ipBytes - 2 * ends.source.length);
    header.set(ends.destination, this.ipBytes - ends.destination.length);
    view.setUint16(this.ipBytes, ends.sourcePort);
    view.setUint16(this.ipBytes + 2, ends.destinationPort);
    view.setUint16(this.ipBytes + TCP_OFFSET_FLAGS_WINDOW + 2, shape.window);
    header.set(shape.options, this.ipBytes + TCP_BYTES);
    this.#words = new Uint32Array(header.buffer);
    this.#ipSum = this.isV6 ? 0 : sumBytes(header, 0, IPV4_BYTES);
    this.#pseudoSum = sumBytes(header, this.ipBytes - 2 * ends.source.length, 2 * ends.source.length) + swap16(TCP);
    this.#tcpSum = sumBytes(header, this.ipBytes, tcpBytes);
  }

  /** Writes the headers of the payload at [at, end), checksums and all; gives where the packet begins. */
  write(slab: PacketSlab, at: number, end: number): number {
    const tcpLength = this.bytes - this.ipBytes + end - at;
    const start = this.#put(slab, at, tcpLength);
    const flagsWord = this.#offsetBits | this.flags;
    let sum = this.#pseudoSum + this.#tcpSum + swap16(tcpLength) + swapWords(this.sequence) +
      swapWords(this.acknowledgement) + swap16(flagsWord) + slab.sum(at, end - at);
    if (this.#timestampAt >= 0) sum += swapWords(this.timestamp) + swapWords(this.echo);
    slab.view.setUint16(start + this.ipBytes + TCP_CHECKSUM, complement(sum), true);
    return start;
  }

  /**
   * The same for a payload that the kernel or the card is to cut up: the checksum field holds the sum of the pseudo header,
   * as they expect it (`packet/virtio.ts`).
   */
  writeUnfinished(slab: PacketSlab, at: number, end: number): number {
    const tcpLength = this.bytes - this.ipBytes + end - at;
    const start = this.#put(slab, at, tcpLength);
    slab.view.setUint16(start + this.ipBytes + TCP_CHECKSUM, fold(this.#pseudoSum + swap16(tcpLength)), true);
    return start;
  }

  #put({ view, words }: PacketSlab, at: number, tcpLength: number): number {
    const start = at - this.bytes, template = this.#words;
    for (let word = 0, to = start >> 2; word < template.length; word++, to++) words[to] = template[word]!;
    if (this.isV6) {
      view.setUint16(start + IPV6_PAYLOAD_LENGTH, tcpLength);
    } else {
      const length = IPV4_BYTES + tcpLength;
      view.setUint16(start + IPV4_TOTAL_LENGTH, length);
      view.setUint16(start + IPV4_ID, this.id);
      view.setUint16(start + IPV4_CHECKSUM, complement(this.#ipSum + swap16(length) + swap16(this.id)), true);
    }
    const tcp = start + this.ipBytes;
    view.setUint32(tcp + TCP_SEQUENCE, this.sequence);
    view.setUint32(tcp + TCP_ACKNOWLEDGEMENT, this.acknowledgement);
    view.setUint16(tcp + TCP_OFFSET_FLAGS_WINDOW, this.#offsetBits | this.flags);
    if (this.#timestampAt >= 0) {
      view.setUint32(start + this.#timestampAt, this.timestamp);
      view.setUint32(start + this.#timestampAt + 4, this.echo);
    }
    return start;
  }
}

function putV4(header: Uint8Array, view: DataView, { tos, dontFragment }: HeaderShape): void {
  header[0] = IPV4_PLAIN;
  header[IPV4_TOS] = tos;
  if (dontFragment) view.setUint16(IPV4_FRAGMENT, DONT_FRAGMENT);
  header[IPV4_TTL] = HOPS;
  header[IPV4_PROTOCOL] = TCP;
}

function putV6(header: Uint8Array, view: DataView, { tos }: HeaderShape): void {
  view.setUint32(0, 6 * 2 ** 28 + tos * 2 ** 20);
  header[IPV6_NEXT_HEADER] = TCP;
  header[IPV6_HOP_LIMIT] = HOPS;
}
