/**
 * What does the work on bulk bytes: sums of products over shards. `table_engine.ts` runs anywhere; `simd_engine.ts` is
 * ten times faster and needs WebAssembly with SIMD.
 */

import type { ShardMemory } from "./code.ts";

/** Each wanted shard is a sum over the same known ones. The arrays may be longer than what is used of them. */
export interface Sums {
  readonly known: Uint8Array;
  readonly knownCount: number;
  readonly wanted: Uint8Array;
  readonly wantedCount: number;
  /** Those of the first wanted shard over the known ones, then those of the second, and so on. */
  readonly coefficients: Uint8Array;
}

export interface Engine {
  /** Fills the wanted shards. None of them is a known one. */
  fill(memory: ShardMemory, shardBytes: number, sums: Sums): void;
}
