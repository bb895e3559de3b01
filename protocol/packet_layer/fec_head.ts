/**
 * The head that kcp-go puts before every datagram of a session with forward error correction. After each group of data
 * packets come parity packets, from which as many lost ones can be rebuilt as there is parity.
 *
 *   seqid u32 | type u16 | size u16 | payload …      data: size = payload + 2
 *   seqid u32 | type u16 | parity over size and payload of the group, shorter ones taken as followed by zeros
 *
 * All little endian. Numbers run over data and parity alike and start again at the largest multiple of a group below
 * 2³²-1, so that a number tells its group and its place in it. Read from packets of kcptun (reference §2.4).
 */

import type { Slab } from "../slab.ts";

/** What it takes of a datagram. */
export const FEC_HEAD_BYTES = 8;
/** Number and type; what follows them is what the parity is made of. */
export const FEC_SHARD_START = 6;
/** A shard's own length, its first field. */
export const FEC_SIZE_BYTES = 2;

/** The two bytes where a KCP segment without FEC has its command (81 to 84) and its fragment, so they are never taken for one. */
export const FecType = { data: 0x00f1, parity: 0x00f2 } as const;

/** The code behind it takes no more than this many shards together; kcp-go takes 256, its users 13. */
export const MAX_FEC_SHARDS = 32;

/** The number after the last: a multiple of the group that fits. */
export function fecNumbersEnd(groupShards: number): number {
  return Math.floor(0xffffffff / groupShards) * groupShards;
}

/** The type of a datagram's FEC head; undefined when it has none. */
export function fecTypeOf(slab: Slab, start: number, end: number): number | undefined {
  if (end - start < FEC_HEAD_BYTES) return undefined;
  const type = slab.view.getUint16(start + 4, true);
  return type === FecType.data || type === FecType.parity ? type : undefined;
}
