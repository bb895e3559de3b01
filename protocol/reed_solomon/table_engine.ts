/**
 * The engine without WebAssembly: each byte is one look-up in a row of 256 products.
 */

import type { ShardMemory } from "./code.ts";
import type { Engine, Sums } from "./engine.ts";
import type { FieldTables } from "./field_tables.ts";

export class TableEngine implements Engine {
  readonly #products: Uint8Array;

  constructor(tables: FieldTables) {
    this.#products = tables.products;
  }

  fill({ bytes }: ShardMemory, shardBytes: number, sums: Sums): void {
    const { known, knownCount, wanted, wantedCount, coefficients } = sums;
    const products = this.#products;
    for (let w = 0; w < wantedCount; w++) {
      const to = wanted[w]! * shardBytes;
      bytes.fill(0, to, to + shardBytes);
      for (let k = 0; k < knownCount; k++) {
        const row = coefficients[w * knownCount + k]! << 8;
        const from = known[k]! * shardBytes;
        for (let i = 0; i < shardBytes; i++) bytes[to + i]! ^= products[row | bytes[from + i]!]!;
      }
    }
  }
}
