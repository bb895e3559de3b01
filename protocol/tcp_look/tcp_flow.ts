/**
 * Packets to one place: writes their headers, each as its look has it come after the one before.
 */

import type { PacketSlab } from "../packet/packet_slab.ts";

export interface TcpFlow {
  /** Before the payload at [at, end), `at` a multiple of four; gives where the packet begins. `nowMs` on any clock. */
  wrap(slab: PacketSlab, at: number, end: number, nowMs: number): number;
  /**
   * As one packet, for the kernel to cut up into payloads of `segmentBytes`. Left out by looks whose packets do not follow
   * one another as TCP's do.
   */
  wrapLong?(slab: PacketSlab, at: number, end: number, segmentBytes: number, nowMs: number): number;
  /** What the last packet from there said, for looks that answer to it. */
  heard?(nextSequence: number, timestamp: number): void;
  /** The flag words that packets take turns with from now on, for looks that have some; none: as in the beginning. */
  useFlags?(flags: readonly number[]): void;
}
