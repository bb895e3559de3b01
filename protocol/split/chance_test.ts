/** Vectors: Newcombe, Statistics in Medicine 17 (1998), pages 857 and 873, both to four digits. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { rankDifference, shareDifference, shareInterval, Z_OF_99_PERCENT } from "./chance.ts";

const Z_OF_95_PERCENT = 1.959963984540054;

Deno.test("Wilson's interval is as published", () => {
  for (
    const [hits, total, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const
  ) {
    const interval = shareInterval({ hits, total }, Z_OF_95_PERCENT);
    assertAlmostEquals(interval.low, low, 5e-5);
    assertAlmostEquals(interval.high, high, 5e-5);
  }
  assertEquals(shareInterval({ hits: 0, total: 0 }, Z_OF_95_PERCENT), { low: 0, high: 1 });
});

Deno.test("Newcombe's interval of a difference is as published", () => {
  for (
    const [a, m, b, n, low, high] of [
      [56, 70, 48, 80, 0.0524, 0.3339],
      [9, 10, 3, 10, 0.1705, 0.8090],
      [5, 56, 0, 29, -0.0381, 0.1926],
      [10, 10, 0, 10, 0.6075, 1],
    ] as const
  ) {
    const interval = shareDifference({ hits: a, total: m }, { hits: b, total: n }, Z_OF_95_PERCENT);
    assertAlmostEquals(interval.low, low, 5e-5);
    assertAlmostEquals(interval.high, high, 5e-5);
  }
  assertEquals(shareDifference({ hits: 0, total: 0 }, { hits: 1, total: 2 }, 1), { low: -1, high: 1 });
});

Deno.test("ranks: by hand, with ties and without", () => {
  // U is 0 of 25: (0 − 12.5) ÷ √(5·5·11 ÷ 12)
  assertAlmostEquals(rankDifference([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), -12.5 / Math.sqrt(275 / 12), 1e-12);
  assertAlmostEquals(rankDifference([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]), 12.5 / Math.sqrt(275 / 12), 1e-12);
  // Ranks of the first 1.5, 1.5, 4: sum 7 of a mean of 10.5; ties of 2 and 3 take (6 + 24) ÷ 30 off the 7
  assertAlmostEquals(rankDifference([1, 1, 2], [2, 2, 3]), -3.5 / Math.sqrt(9 / 12 * (7 - 30 / 30)), 1e-12);
  assertEquals([rankDifference([1, 1], [1, 1]), rankDifference([], [1]), rankDifference([], [])], [0, 0, 0]);
});

Deno.test("sides that are alike are told apart about once in a hundred times, those that are not nearly always", () => {
  const random = new SeededRandom(5);
  const isFound = (shift: number) => {
    const values = (shift: number) =>
      Array.from({ length: 60 }, () => -Math.log(1 - random.next()) + shift).toSorted((one, other) => one - other);
    const share = (chance: number) => ({
      hits: Array.from({ length: 200 }, () => random.next()).filter((drawn) => drawn < chance).length,
      total: 200,
    });
    const { low, high } = shareDifference(share(0.7), share(0.7 + shift / 4), Z_OF_99_PERCENT);
    return [Math.abs(rankDifference(values(0), values(shift))) > Z_OF_99_PERCENT, low > 0 || high < 0];
  };
  const count = (shift: number) => {
    const found = Array.from({ length: 1000 }, () => isFound(shift));
    return [0, 1].map((which) => found.filter((one) => one[which]).length);
  };
  for (const alike of count(0)) assert(alike <= 25, `${alike} of 1000 alike ones are told apart`);
  for (const apart of count(0.8)) assert(apart >= 900, `${apart} of 1000 that differ are told apart`);
});
