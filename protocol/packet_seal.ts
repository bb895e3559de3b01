/**
 * What lies between a protocol over packets and its carrier: hides the bytes of one datagram and proves them, in place.
 *
 *   sealed:  head │ body │ tail        the body is written at start + headBytes
 */

import type { Slab } from "./slab.ts";

export interface PacketSeal {
  readonly headBytes: number;
  readonly tailBytes: number;
  /** Seals the datagram at [start, end), head and tail included, whose body is in its place. */
  seal(slab: Slab, start: number, end: number): void;
  /** Opens the datagram at [start, end); its body is then in its place. False: it is not genuine, or too short. */
  open(slab: Slab, start: number, end: number): boolean;
}
