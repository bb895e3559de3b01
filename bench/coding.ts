/**
 * How fast the Reed–Solomon code is on one core, in GB of data per second; decoding with as many shards lost as may be,
 * all of them with data in them.
 */

import { clockOf } from "../protocol/clock.ts";
import { openReedSolomon } from "../protocol/reed_solomon.ts";
import { median } from "./rounds.ts";

const CODES = [[2, 3], [10, 14]] as const;
/** As large as shards of bulk are. */
const SHARD_BYTES = 32 * 1024;
const ROUNDS = 5;

export function measureCoding(roundMs: number): Record<string, number> {
  const figures: Record<string, number> = {};
  const factory = openReedSolomon();
  for (const [dataShards, totalShards] of CODES) {
    const code = factory.code(dataShards, totalShards);
    const memory = factory.memory(totalShards * SHARD_BYTES);
    crypto.getRandomValues(memory.bytes.subarray(0, SHARD_BYTES));
    const all = 2 ** totalShards - 1;
    const worst = all & ~(2 ** (totalShards - dataShards) - 1);
    const name = `${dataShards}of${totalShards}_gb_s`;
    const dataBytes = dataShards * SHARD_BYTES;
    figures[`encode_${name}`] = rate(dataBytes, roundMs, () => code.encode(memory, SHARD_BYTES));
    figures[`decode_${name}`] = rate(dataBytes, roundMs, () => code.decode(memory, SHARD_BYTES, worst));
  }
  return figures;
}

/** The median of some rounds. */
function rate(dataBytes: number, roundMs: number, run: () => unknown): number {
  const clock = clockOf(globalThis);
  const round = () => {
    const startMs = clock.now();
    let [turns, tookMs] = [0, 0];
    for (; tookMs < roundMs; tookMs = clock.now() - startMs) for (let each = 0; each < 16; each++, turns++) run();
    return turns * dataBytes / tookMs / 1e6;
  };
  return median(Array.from({ length: ROUNDS }, round));
}
