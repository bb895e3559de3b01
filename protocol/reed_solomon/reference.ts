/**
 * The code as its definition reads, byte by byte, to hold the fast one against: shards are the data times a matrix, and
 * data are the shards that are there times the inverse of the matrix's rows that made them.
 *
 * klauspost/reedsolomon (Go) builds the same matrix by default, so its parity is ours. Slow; nothing but tests uses it.
 */

import { checkMemory, checkShards, type ReedSolomon, type ShardMemory } from "./code.ts";
import { multiply } from "./field.ts";
import { inverse, type Matrix, systematicVandermonde } from "./matrix.ts";

export class ReferenceCode implements ReedSolomon {
  readonly dataShards: number;
  readonly totalShards: number;
  readonly #matrix: Matrix;

  constructor(dataShards: number, totalShards: number) {
    checkShards(dataShards, totalShards);
    this.dataShards = dataShards;
    this.totalShards = totalShards;
    this.#matrix = systematicVandermonde(dataShards, totalShards);
  }

  encode(memory: ShardMemory, shardBytes: number): void {
    checkMemory(memory, shardBytes, this.totalShards);
    const parts = this.#parts(memory, shardBytes);
    const data = parts.slice(0, this.dataShards);
    for (let i = this.dataShards; i < this.totalShards; i++) parts[i]!.set(sum(this.#matrix[i]!, data));
  }

  decode(memory: ShardMemory, shardBytes: number, present: number): boolean {
    checkMemory(memory, shardBytes, this.totalShards);
    const isPresent = (_: unknown, i: number) => (present >>> i & 1) === 1;
    const parts = this.#parts(memory, shardBytes);
    const known = parts.filter(isPresent).slice(0, this.dataShards);
    if (known.length < this.dataShards) return false;
    const rows = this.#matrix.filter(isPresent).slice(0, this.dataShards);
    inverse(rows).forEach((row, i) => {
      if (!isPresent(row, i)) parts[i]!.set(sum(row, known));
    });
    return true;
  }

  #parts({ bytes }: ShardMemory, shardBytes: number): Uint8Array[] {
    return Array.from({ length: this.totalShards }, (_, i) => bytes.subarray(i * shardBytes, (i + 1) * shardBytes));
  }
}

/** The shards, each times its factor, added up. */
function sum(factors: readonly number[], shards: readonly Uint8Array[]): Uint8Array {
  return shards[0]!.map((_, at) => factors.reduce((total, factor, i) => total ^ multiply(factor, shards[i]![at]!), 0));
}
