/**
 * Arithmetic in GF(2^8), the field whose elements are bytes: polynomials over GF(2) modulo x^8 + x^4 + x^3 + x^2 + 1
 * (0x11D), as in QR codes, RAID 6 and klauspost/reedsolomon. Sums and differences are both XOR.
 *
 * Written to be read: it makes coefficients and tables, and the reference coder. Bulk data never comes here.
 */

const POLYNOMIAL = 0x11d;

/** The product, as long multiplication: shifted copies of `a` are added where `b` has a bit. */
export function multiply(a: number, b: number): number {
  let product = 0;
  for (let shifted = a, bits = b; bits; bits >>= 1) {
    if (bits & 1) product ^= shifted;
    shifted <<= 1;
    if (shifted & 0x100) shifted ^= POLYNOMIAL;
  }
  return product;
}

/** `base` times itself, `exponent` times; 1 for exponent 0, whatever the base. */
export function power(base: number, exponent: number): number {
  let product = 1;
  for (let left = exponent, square = base; left; left >>= 1) {
    if (left & 1) product = multiply(product, square);
    square = multiply(square, square);
  }
  return product;
}

/** What `a`, which is not 0, must be multiplied with to give 1: all 255 of them have a^255 = 1. */
export function invert(a: number): number {
  return power(a, 254);
}
