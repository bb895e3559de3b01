/**
 * What a Reed–Solomon coder does, whoever does it: from `dataShards` equal pieces it makes parity pieces up to
 * `totalShards`, and any `dataShards` of all of them give the data back.
 *
 *   memory.bytes   data 0 | data 1 | … | data k-1 | parity 0 | … | parity n-k-1     each of `shardBytes` bytes
 *
 * No call makes a buffer, and nothing in `memory` is kept from one to the next. What is asked wrongly is the caller's
 * mistake and throws a RangeError: counts and lengths from the network are checked before they come here.
 */

/** Where shards lie. Plain memory: whoever has it may view and keep any part of it. */
export interface ShardMemory {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface ReedSolomon {
  readonly dataShards: number;
  readonly totalShards: number;
  /** Fills the parity shards from the data shards. */
  encode(memory: ShardMemory, shardBytes: number): void;
  /**
   * Bit i of `present` says that shard i is there. Rebuilds the data shards that are missing, in their places, and
   * leaves all others as they are; false, with nothing changed, when fewer than `dataShards` are there.
   */
  decode(memory: ShardMemory, shardBytes: number, present: number): boolean;
}

export interface ReedSolomonFactory {
  /** The coder for this many shards; the same one every time. 1 ≤ dataShards ≤ totalShards ≤ 32. */
  code(dataShards: number, totalShards: number): ReedSolomon;
  /** Room for shards of `bytes` bytes together. */
  memory(bytes: number): ShardMemory;
}

/** A bit mask of 32 bits says which shards are there. */
export const MAX_SHARDS = 32;
/** Twice what a fragment or a datagram holds. */
export const MAX_SHARD_BYTES = 64 * 1024;

/** Throws unless there is a code for this many shards. */
export function checkShards(dataShards: number, totalShards: number): void {
  checkWhole("dataShards", dataShards, 1, MAX_SHARDS);
  checkWhole("totalShards", totalShards, dataShards, MAX_SHARDS);
}

/** Throws unless the memory holds that many shards of that length. */
export function checkMemory({ bytes }: ShardMemory, shardBytes: number, totalShards: number): void {
  checkWhole("shardBytes", shardBytes, 1, MAX_SHARD_BYTES);
  const needed = totalShards * shardBytes;
  if (bytes.length < needed) {
    throw new RangeError(`Cannot code shards: their memory must be at least ${needed} bytes, got ${bytes.length}`);
  }
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`Cannot code shards: ${name} must be a whole number from ${least} to ${most}, got ${value}`);
}
