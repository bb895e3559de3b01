/**
 * The coder in use: it finds the coefficients, an engine does the sums.
 */

import { checkMemory, checkShards, MAX_SHARDS, type ReedSolomon, type ShardMemory } from "./code.ts";
import { writeCoefficients } from "./coefficients.ts";
import type { Engine, Sums } from "./engine.ts";
import type { FieldTables } from "./field_tables.ts";

type OwnSums = { -readonly [K in keyof Sums]: Sums[K] };

export class Coder implements ReedSolomon {
  readonly dataShards: number;
  readonly totalShards: number;
  readonly #tables: FieldTables;
  readonly #engine: Engine;
  readonly #encoding: OwnSums;
  /** Of the last decoding: when legs fail, shards of the same places are missing from block after block. */
  readonly #decoding: OwnSums;
  #decodingPresent = 0;

  constructor(dataShards: number, totalShards: number, { tables, engine }: { tables: FieldTables; engine: Engine }) {
    checkShards(dataShards, totalShards);
    this.dataShards = dataShards;
    this.totalShards = totalShards;
    this.#tables = tables;
    this.#engine = engine;
    this.#encoding = emptySums(dataShards, totalShards - dataShards);
    this.#decoding = emptySums(dataShards, Math.min(dataShards, totalShards - dataShards));
    this.#prepare(this.#encoding, lowBits(dataShards), lowBits(totalShards) & ~lowBits(dataShards));
  }

  encode(memory: ShardMemory, shardBytes: number): void {
    checkMemory(memory, shardBytes, this.totalShards);
    this.#engine.fill(memory, shardBytes, this.#encoding);
  }

  decode(memory: ShardMemory, shardBytes: number, present: number): boolean {
    checkMemory(memory, shardBytes, this.totalShards);
    const known = present & lowBits(this.totalShards);
    const missing = ~known & lowBits(this.dataShards);
    if (missing === 0) return true;
    if (countBits(known) < this.dataShards) return false;
    if (known !== this.#decodingPresent) {
      this.#prepare(this.#decoding, known, missing);
      this.#decodingPresent = known;
    }
    this.#engine.fill(memory, shardBytes, this.#decoding);
    return true;
  }

  /** Of the known shards the first are used: data as far as they are there, then parity. */
  #prepare(sums: OwnSums, known: number, wanted: number): void {
    sums.knownCount = writeNumbers(known, sums.known);
    sums.wantedCount = writeNumbers(wanted, sums.wanted);
    writeCoefficients(this.#tables, sums);
  }
}

function emptySums(known: number, wanted: number): OwnSums {
  return {
    known: new Uint8Array(known),
    knownCount: 0,
    wanted: new Uint8Array(wanted),
    wantedCount: 0,
    coefficients: new Uint8Array(known * wanted),
  };
}

/** A mask of the first `count` bits of 32. */
function lowBits(count: number): number {
  return count === MAX_SHARDS ? -1 : (1 << count) - 1;
}

function countBits(mask: number): number {
  let count = 0;
  for (let left = mask; left !== 0; left &= left - 1) count++;
  return count;
}

/** Writes which bits are set, as many as there is room for; how many that were. */
function writeNumbers(mask: number, into: Uint8Array): number {
  let count = 0;
  for (let bit = 0; bit < MAX_SHARDS && count < into.length; bit++) {
    if (mask >>> bit & 1) into[count++] = bit;
  }
  return count;
}
