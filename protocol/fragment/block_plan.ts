/**
 * How bytes are cut into blocks, and how many shards a block gets.
 *
 * A fragment fills its size class or is padded to it, so a block is cut to fill one: the plan is the one that carries the
 * most bytes for what goes over the legs. A few bytes become a block of one data shard, whose parity shards are copies:
 * that is less than an almost empty fragment for each of `dataShards`, and the first to come completes it.
 */

import { SHARD_HEAD_BYTES } from "./frames.ts";
import { FRAGMENT_OVERHEAD_BYTES, FRAGMENT_SIZES } from "./leg_seal.ts";
import { MAX_SHARDS } from "./opening.ts";

/** What a fragment costs beside its bytes: messages, system calls, sealing. */
const PER_FRAGMENT_BYTES = 1000;
/** One block of everything is better than the best, and then another, if it wastes not much more. */
const ACCEPTED_SHARE = 0.7;
const SHARD_ROOMS = FRAGMENT_SIZES.map((size) => size - FRAGMENT_OVERHEAD_BYTES - SHARD_HEAD_BYTES);
const LARGEST_ROOM = SHARD_ROOMS.at(-1)!;

export interface BlockPlan {
  readonly dataShards: number;
  readonly blockBytes: number;
}

/** How to cut the next block from `bytes` that are there, one at least. */
export function planBlock(bytes: number, most: { dataShards: number; parityShards: number }): BlockPlan {
  const full = most.dataShards * LARGEST_ROOM;
  if (bytes >= full) return { dataShards: most.dataShards, blockBytes: full };
  const some = { dataShards: most.dataShards, blockBytes: bytes, share: 0 };
  const all = { ...some };
  for (const [at, room] of SHARD_ROOMS.entries()) {
    for (let dataShards = 1; dataShards <= most.dataShards; dataShards++) {
      const blockBytes = Math.min(bytes, dataShards * room);
      const share = blockBytes / ((dataShards + most.parityShards) * (FRAGMENT_SIZES[at]! + PER_FRAGMENT_BYTES));
      if (share > some.share) Object.assign(some, { dataShards, blockBytes, share });
      if (blockBytes === bytes && share > all.share) Object.assign(all, { dataShards, share });
    }
  }
  return all.share >= some.share * ACCEPTED_SHARE ? all : some;
}

/** As many blocks may need another round trip to be repaired. */
const ACCEPTED_REPAIRS = 0.03;

/** The fewest shards within bounds with which repairs are rare at that loss. */
export function adaptTotalShards(
  dataShards: number,
  bounds: { least: number; most: number },
  lossShare: number,
): number {
  let total = bounds.least;
  while (total < Math.min(bounds.most, MAX_SHARDS) && shareLost(dataShards, total, lossShare) > ACCEPTED_REPAIRS) {
    total++;
  }
  return total;
}

/** How likely it is that fewer than `dataShards` of `total` come. */
export function shareLost(dataShards: number, total: number, lossShare: number): number {
  if (lossShare <= 0) return 0;
  if (lossShare >= 1) return 1;
  let term = lossShare ** total; // that none comes
  let sum = 0;
  for (let come = 0; come < dataShards; come++) {
    sum += term;
    term *= (total - come) / (come + 1) * (1 - lossShare) / lossShare;
  }
  return sum;
}
