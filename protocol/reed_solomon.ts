/**
 * Reed–Solomon coders for any number of shards up to 32, on the fastest engine the host has.
 */

import { CulvertError } from "./errors.ts";
import type { ReedSolomon, ReedSolomonFactory, ShardMemory } from "./reed_solomon/code.ts";
import { Coder } from "./reed_solomon/coder.ts";
import type { Engine } from "./reed_solomon/engine.ts";
import { type FieldTables, makeFieldTables } from "./reed_solomon/field_tables.ts";
import { openSimdEngine } from "./reed_solomon/simd_engine.ts";
import { TableEngine } from "./reed_solomon/table_engine.ts";

export type { ReedSolomon, ReedSolomonFactory, ShardMemory } from "./reed_solomon/code.ts";

export type EngineName = "simd" | "tables";

export interface ReedSolomonOptions {
  /** The fastest there is when left out; to compare them, tests and benchmarks name one. */
  readonly engine?: EngineName;
}

/** Coders that share their tables and scratch memory, 2 MiB; one factory per thread is enough. */
export function openReedSolomon({ engine }: ReedSolomonOptions = {}): ReedSolomonFactory {
  const tables = makeFieldTables();
  if (engine === "tables") return new Coders(tables, new TableEngine(tables));
  const simd = openSimdEngine(tables);
  if (!simd && engine === "simd") {
    throw new CulvertError(
      "unsupported",
      "Cannot code shards: this host must have WebAssembly with SIMD for it, and has not",
    );
  }
  return new Coders(tables, simd ?? new TableEngine(tables));
}

class Coders implements ReedSolomonFactory {
  readonly #tables: FieldTables;
  readonly #engine: Engine;
  readonly #codes = new Map<string, ReedSolomon>();

  constructor(tables: FieldTables, engine: Engine) {
    this.#tables = tables;
    this.#engine = engine;
  }

  code(dataShards: number, totalShards: number): ReedSolomon {
    const key = `${dataShards}/${totalShards}`;
    const known = this.#codes.get(key);
    if (known) return known;
    const code = new Coder(dataShards, totalShards, { tables: this.#tables, engine: this.#engine });
    this.#codes.set(key, code);
    return code;
  }

  memory(bytes: number): ShardMemory {
    return { bytes: new Uint8Array(bytes) };
  }
}
