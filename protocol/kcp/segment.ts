/**
 * A KCP segment as it lies on the wire, several to a datagram; all numbers little endian.
 *
 *   conv u32 | command u8 | fragments after this one u8 | window u16 | time u32 ms | sn u32 | una u32 | length u32 | data
 *
 * `window` is how many segments more the sender of this one would take, `una` the first it has not had; an ACK names the
 * segment it answers by `sn` and gives its `time` back. KCP knows no end; `BYE` is ours, and others ignore it.
 */

import type { Slab } from "../slab.ts";

export const KCP_HEADER_BYTES = 24;

/** What kcp-go allows for a datagram's segments; no segment of a peer is longer. */
export const KCP_MAX_MTU_BYTES = 1500;

export const KcpCommand = {
  PUSH: 81,
  ACK: 82,
  /** Asks for the window. */
  WASK: 83,
  /** Tells it. */
  WINS: 84,
  BYE: 85,
} as const;

export const CONV_AT = 0;
export const COMMAND_AT = 4;
export const FRAGMENT_AT = 5;
export const WINDOW_AT = 6;
export const TIME_AT = 8;
export const SN_AT = 12;
export const UNA_AT = 16;
export const LENGTH_AT = 20;

/** What all segments of one flush say alike. */
export interface SegmentHead {
  conv: number;
  window: number;
  una: number;
}

/** Writes a header; gives where the data go. */
export function writeSegmentHead(
  { view }: Slab,
  at: number,
  head: SegmentHead,
  command: number,
  timeMs: number,
  sn: number,
  length: number,
): number {
  view.setInt32(at, head.conv, true);
  view.setUint16(at + COMMAND_AT, command, true); // and no fragments: this is a stream
  view.setUint16(at + WINDOW_AT, head.window, true);
  view.setInt32(at + TIME_AT, timeMs, true);
  view.setInt32(at + SN_AT, sn, true);
  view.setInt32(at + UNA_AT, head.una, true);
  view.setUint32(at + LENGTH_AT, length, true);
  return at + KCP_HEADER_BYTES;
}

/** What begins a session: the first segment of a stream. Gives its conv, or undefined. */
export function openingConv({ view }: Slab, start: number, end: number): number | undefined {
  if (end - start < KCP_HEADER_BYTES || view.getUint8(start + COMMAND_AT) !== KcpCommand.PUSH) return undefined;
  return view.getInt32(start + SN_AT, true) === 0 ? view.getUint32(start, true) : undefined;
}
