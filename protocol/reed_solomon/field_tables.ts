/**
 * The products and inverses of `field.ts`, all of them: 64 KiB that make multiplying one look-up.
 */

import { multiply } from "./field.ts";

export interface FieldTables {
  /** The product of a and b is at 256·a + b. */
  readonly products: Uint8Array<ArrayBuffer>;
  /** At 0 there is 0, which is the inverse of nothing. */
  readonly inverses: Uint8Array<ArrayBuffer>;
}

export function makeFieldTables(): FieldTables {
  const products = new Uint8Array(65536);
  const inverses = new Uint8Array(256);
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) {
      const product = multiply(a, b);
      products[a << 8 | b] = product;
      if (product === 1) inverses[a] = b;
    }
  }
  return { products, inverses };
}
