/**
 * The sending half of forward error correction: gives each datagram its head, and after each group its parity.
 *
 *   due = encoder.protect(slab, start, end, nowMs); … for (i < due) { length = encoder.writeParity(i, slab, at); … }
 *
 * One group is in the making at a time, copied as it goes by: (data + parity) × `mostBytes` of memory from the first
 * datagram on, and nothing more ever.
 */

import { CulvertError } from "../errors.ts";
import type { ReedSolomon, ReedSolomonFactory, ShardMemory } from "../reed_solomon.ts";
import type { Slab } from "../slab.ts";
import { FEC_HEAD_BYTES, FEC_SHARD_START, FEC_SIZE_BYTES, fecNumbersEnd, FecType, MAX_FEC_SHARDS } from "./fec_head.ts";

export interface FecShards {
  readonly dataShards: number;
  readonly parityShards: number;
}

export interface FecEncoderOptions extends FecShards {
  readonly codes: ReedSolomonFactory;
  /** The longest datagram that will be protected, its FEC head included. */
  readonly mostBytes: number;
  /**
   * A group whose last datagram comes so long after the one before gets no parity: what is that slow is better sent again
   * (as kcp-go does since 5.6.8, with 500). Default Infinity: parity always.
   */
  readonly quietMs?: number;
  /** The number of the first datagram, a multiple of a group. Default 0. */
  readonly firstNumber?: number;
}

export class FecEncoder {
  readonly headBytes: number = FEC_HEAD_BYTES;
  readonly #code: ReedSolomon;
  readonly #codes: ReedSolomonFactory;
  readonly #shards: FecShards;
  readonly #strideBytes: number;
  readonly #quietMs: number;
  readonly #end: number;
  /** What each data shard holds of the group before, to be zeroed where the new one is shorter. */
  readonly #lengths: Uint16Array;
  #memory: ShardMemory | undefined;
  #next: number;
  #filled = 0;
  #longest = 0;
  #parityStart = 0;
  #lastMs = -Infinity;

  constructor(options: FecEncoderOptions) {
    checkFecShards(options);
    const { codes, dataShards, parityShards, mostBytes, quietMs = Infinity, firstNumber = 0 } = options;
    this.#codes = codes;
    this.#code = codes.code(dataShards, dataShards + parityShards);
    this.#shards = { dataShards, parityShards };
    this.#strideBytes = mostBytes - FEC_SHARD_START;
    this.#quietMs = quietMs;
    this.#end = fecNumbersEnd(dataShards + parityShards);
    this.#lengths = new Uint16Array(dataShards);
    this.#next = firstNumber;
  }

  /**
   * Writes the head of the datagram at [start, end), whose payload begins `headBytes` after `start`. Gives how many parity
   * packets are to follow it, 0 unless it ends a group; they are there until the next call.
   */
  protect(slab: Slab, start: number, end: number, nowMs: number): number {
    const { dataShards, parityShards } = this.#shards;
    const size = end - start - FEC_SHARD_START;
    if (size < FEC_SIZE_BYTES || size > this.#strideBytes) throw tooLong(end - start, this.#strideBytes);
    this.#writeHead(slab, start, FecType.data);
    slab.view.setUint16(start + FEC_SHARD_START, size, true);
    this.#keep(slab, start + FEC_SHARD_START, size);
    const isSlow = nowMs - this.#lastMs >= this.#quietMs;
    this.#lastMs = nowMs;
    if (this.#filled < dataShards) return 0;
    this.#filled = 0;
    this.#parityStart = this.#next;
    this.#next = (this.#next + parityShards) % this.#end;
    if (isSlow) return 0;
    this.#code.encode(this.#memory!, this.#strideBytes);
    return parityShards;
  }

  /** Writes a parity packet, head included, at `at`; gives its length, which is that of the longest of its group. */
  writeParity(index: number, slab: Slab, at: number): number {
    const { view, bytes } = slab;
    view.setUint32(at, this.#parityStart + index, true);
    view.setUint16(at + 4, FecType.parity, true);
    const from = (this.#shards.dataShards + index) * this.#strideBytes;
    bytes.set(this.#memory!.bytes.subarray(from, from + this.#longest), at + FEC_SHARD_START);
    return FEC_SHARD_START + this.#longest;
  }

  #writeHead(slab: Slab, start: number, type: number): void {
    slab.view.setUint32(start, this.#next, true);
    slab.view.setUint16(start + 4, type, true);
    this.#next = (this.#next + 1) % this.#end;
  }

  #keep(slab: Slab, from: number, size: number): void {
    const { dataShards, parityShards } = this.#shards;
    const memory = this.#memory ??= this.#codes.memory((dataShards + parityShards) * this.#strideBytes);
    const shard = this.#filled++;
    const at = shard * this.#strideBytes;
    memory.bytes.set(slab.bytes.subarray(from, from + size), at);
    const before = this.#lengths[shard]!;
    if (before > size) memory.bytes.fill(0, at + size, at + before);
    this.#lengths[shard] = size;
    this.#longest = shard === 0 ? size : Math.max(this.#longest, size);
  }
}

/** Throws unless there is a code for them. */
export function checkFecShards({ dataShards, parityShards }: FecShards): void {
  const areCounts = Number.isInteger(dataShards) && Number.isInteger(parityShards) && dataShards >= 1 &&
    parityShards >= 1;
  if (areCounts && dataShards + parityShards <= MAX_FEC_SHARDS) return;
  throw new CulvertError(
    "bad_option",
    `Cannot correct errors: data and parity shards must be 1 or more and at most ${MAX_FEC_SHARDS} together, ` +
      `got ${dataShards} and ${parityShards}`,
  );
}

function tooLong(bytes: number, strideBytes: number): RangeError {
  return new RangeError(
    `Cannot protect a datagram: it must be ${FEC_HEAD_BYTES} to ${strideBytes + FEC_SHARD_START} bytes, got ${bytes}`,
  );
}
