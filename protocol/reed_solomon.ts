/**
 * Reed–Solomon coders for any number of shards up to 32, on the fastest engine the host has.
 */

import type { ReedSolomon, ReedSolomonFactory, ShardMemory } from "./reed_solomon/code.ts";
import { Coder } from "./reed_solomon/coder.ts";
import type { Engine } from "./reed_solomon/engine.ts";
import { type FieldTables, makeFieldTables } from "./reed_solomon/field_tables.ts";
import { TableEngine } from "./reed_solomon/table_engine.ts";

export type { ReedSolomon, ReedSolomonFactory, ShardMemory } from "./reed_solomon/code.ts";

export type EngineName = "simd" | "tables";

/** Coders that share their tables and scratch memory; one factory per thread is enough. */
export function openReedSolomon(): ReedSolomonFactory {
  return new Coders();
}

class Coders implements ReedSolomonFactory {
  readonly #tables: FieldTables = makeFieldTables();
  readonly #engine: Engine = new TableEngine(this.#tables);
  readonly #codes = new Map<string, ReedSolomon>();

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
