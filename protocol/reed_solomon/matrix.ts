/**
 * Matrices over GF(2^8), as arrays of rows: what the reference coder is made of.
 */

import { invert, multiply, power } from "./field.ts";

export type Matrix = readonly (readonly number[])[];

/**
 * The matrix that makes `total` shards of `data` ones: Vandermonde (row r is r^0, r^1, …) times the inverse of its
 * upper square, so that its own upper square is the identity and the first shards are the data.
 */
export function systematicVandermonde(data: number, total: number): Matrix {
  const vandermonde = Array.from({ length: total }, (_, r) => Array.from({ length: data }, (_, c) => power(r, c)));
  return times(vandermonde, inverse(vandermonde.slice(0, data)));
}

export function times(a: Matrix, b: Matrix): Matrix {
  return a.map((row) =>
    b[0]!.map((_, column) => row.reduce((sum, value, i) => sum ^ multiply(value, b[i]![column]!), 0))
  );
}

/** The inverse of a square matrix that has one, by Gauss and Jordan: what makes `matrix` the identity makes the identity it. */
export function inverse(matrix: Matrix): Matrix {
  const rows = matrix.map((row, r) => [...row, ...matrix.map((_, c) => r === c ? 1 : 0)]);
  for (let column = 0; column < rows.length; column++) {
    const pivot = rows.findIndex((row, r) => r >= column && row[column]);
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const scale = invert(rows[column]![column]!);
    const scaled = rows[column]!.map((value) => multiply(value, scale));
    rows.forEach((row, r) => {
      const factor = row[column]!;
      rows[r] = r === column ? scaled : row.map((value, c) => value ^ multiply(factor, scaled[c]!));
    });
  }
  return rows.map((row) => row.slice(rows.length));
}
