/**
 * Reads one packet of TCP over IPv4 (RFC 791) or IPv6 (RFC 8200), as far as one that belongs to no connection says anything:
 * its ends, sequence numbers, flags, timestamp (RFC 7323) and payload. Fragments and extension headers are refused, lengths
 * are not believed beyond the packet. Checksums are not looked at: on their way through one machine they are not there yet,
 * and what is carried proves itself.
 */

import {
  FRAGMENT_MASK,
  IPV4_BYTES,
  IPV4_FRAGMENT,
  IPV4_PROTOCOL,
  IPV4_TOTAL_LENGTH,
  IPV6_BYTES,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  TCP,
  TCP_ACKNOWLEDGEMENT,
  TCP_BYTES,
  TCP_OFFSET_FLAGS_WINDOW,
  TCP_SEQUENCE,
} from "../packet/headers.ts";
import type { Slab } from "../slab.ts";
import { ALL_FLAGS } from "./flags.ts";

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_TIMESTAMP = 8;
const TIMESTAMP_BYTES = 10;

export class SegmentReader {
  isV6 = false;
  /** Where the addresses lie: the source, straight after it the destination. */
  addressesAt = 0;
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgement = 0;
  flags = 0;
  window = 0;
  tcpAt = 0;
  payloadAt = 0;
  payloadEnd = 0;

  /** False: it is something else, or not whole. */
  read(slab: Slab, start: number, end: number): boolean {
    const { bytes, view } = slab;
    if (end > slab.size || end - start < IPV4_BYTES) return false;
    const version = bytes[start]! >> 4;
    const isRead = version === 4
      ? this.#readV4(slab, start, end)
      : version === 6 && end - start >= IPV6_BYTES && this.#readV6(slab, start, end);
    if (!isRead) return false;
    const tcp = this.tcpAt;
    if (tcp + TCP_BYTES > this.payloadEnd) return false;
    const offsetAndFlags = view.getUint16(tcp + TCP_OFFSET_FLAGS_WINDOW);
    const headerBytes = (offsetAndFlags >> 12) * 4;
    this.payloadAt = tcp + headerBytes;
    if (headerBytes < TCP_BYTES || this.payloadAt > this.payloadEnd) return false;
    this.sourcePort = view.getUint16(tcp);
    this.destinationPort = view.getUint16(tcp + 2);
    this.sequence = view.getUint32(tcp + TCP_SEQUENCE);
    this.acknowledgement = view.getUint32(tcp + TCP_ACKNOWLEDGEMENT);
    this.flags = offsetAndFlags & ALL_FLAGS;
    this.window = view.getUint16(tcp + TCP_OFFSET_FLAGS_WINDOW + 2);
    return true;
  }

  /** Where the timestamp of the packet that was read lies, value and echo; -1 when it has none. */
  timestampAt({ bytes, view }: Slab): number {
    let at = this.tcpAt + TCP_BYTES;
    // What everybody writes: two that say nothing, and the timestamp.
    if (this.payloadAt - at >= 12 && view.getUint32(at) === 0x0101080a) return at + 4;
    while (at < this.payloadAt) {
      const kind = bytes[at]!;
      if (kind === OPTION_END) break;
      const length = kind === OPTION_NOP ? 1 : at + 1 < this.payloadAt ? bytes[at + 1]! : 0;
      if (length < 1 || (kind !== OPTION_NOP && length < 2) || at + length > this.payloadAt) break;
      if (kind === OPTION_TIMESTAMP && length === TIMESTAMP_BYTES) return at + 2;
      at += length;
    }
    return -1;
  }

  #readV4({ bytes, view }: Slab, start: number, end: number): boolean {
    const headerBytes = (bytes[start]! & 15) * 4, length = view.getUint16(start + IPV4_TOTAL_LENGTH);
    if (headerBytes < IPV4_BYTES || length < headerBytes || start + length > end) return false;
    if (bytes[start + IPV4_PROTOCOL] !== TCP || (view.getUint16(start + IPV4_FRAGMENT) & FRAGMENT_MASK) !== 0) {
      return false;
    }
    this.isV6 = false;
    this.addressesAt = start + 12;
    this.tcpAt = start + headerBytes;
    this.payloadEnd = start + length;
    return true;
  }

  #readV6({ bytes, view }: Slab, start: number, end: number): boolean {
    const length = IPV6_BYTES + view.getUint16(start + IPV6_PAYLOAD_LENGTH);
    if (start + length > end || bytes[start + IPV6_NEXT_HEADER] !== TCP) return false;
    this.isV6 = true;
    this.addressesAt = start + 8;
    this.tcpAt = start + IPV6_BYTES;
    this.payloadEnd = start + length;
    return true;
  }
}
