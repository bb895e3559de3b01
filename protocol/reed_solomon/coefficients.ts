/**
 * Which sum of k shards gives another one.
 *
 * The code is systematic Vandermonde. At every byte position, shard i is p(i) for the one polynomial p of degree below
 * k with p(0), …, p(k-1) the data bytes. So any k shards fix p, and Lagrange's formula says how every other shard comes
 * from them, parity when encoding as well as data when decoding:
 *
 *   shard(x) = Σ c_j · shard(x_j)     with     c_j = Π_{m≠j} (x - x_m) / (x_j - x_m)
 *
 * That gives the rows of the matrix that klauspost/reedsolomon, and with it kcp-go, makes by default: the Vandermonde
 * matrix r^c times the inverse of its upper square, which `reference.ts` computes literally.
 */

import type { Sums } from "./engine.ts";
import type { FieldTables } from "./field_tables.ts";

/** Writes the coefficients of every wanted shard over the known ones. */
export function writeCoefficients({ products, inverses }: FieldTables, sums: Sums): void {
  const { known, knownCount, wanted, wantedCount, coefficients } = sums;
  for (let w = 0; w < wantedCount; w++) {
    for (let j = 0; j < knownCount; j++) {
      let numerator = 1;
      let denominator = 1;
      for (let m = 0; m < knownCount; m++) {
        if (m === j) continue;
        numerator = products[numerator << 8 | wanted[w]! ^ known[m]!]!;
        denominator = products[denominator << 8 | known[j]! ^ known[m]!]!;
      }
      coefficients[w * knownCount + j] = products[numerator << 8 | inverses[denominator]!]!;
    }
  }
}
