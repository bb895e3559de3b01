import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Shares } from "./shares.ts";

function draw(weights: readonly number[], count: number, seed = 1): number[] {
  const shares = new Shares(weights, new SeededRandom(seed));
  return Array.from({ length: count }, () => shares.next());
}

Deno.test("nobody is ever a whole draw ahead of its share, nor of two one behind", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 1, maxLength: 6 }),
    fc.integer(),
    (weights, seed) => {
      const sum = weights.reduce((sum, weight) => sum + weight, 0);
      const counts = weights.map(() => 0);
      for (const [at, side] of draw(weights, 300, seed).entries()) {
        counts[side]!++;
        for (const [side, weight] of weights.entries()) {
          const ahead = counts[side]! - (at + 1) * weight / sum;
          assert(ahead < 1 + 1e-9, `${ahead} ahead`);
          assert(weights.length !== 2 || ahead > -1 - 1e-9, `${ahead} behind`);
        }
      }
    },
  ));
});

Deno.test("shares of nine to one are that, exactly, whenever it can be", () => {
  const counts = Array.from({ length: 50 }, (_, seed) => draw([9, 1], 1000, seed).filter((side) => side === 1).length);
  assertEquals(counts, counts.map(() => 100));
});

Deno.test("which is next is left to chance: what comes by turns is not sorted by the turns", () => {
  const drawn = draw([1, 1], 2000);
  const evenToFirst = drawn.filter((side, at) => at % 2 === 0 && side === 0).length;
  assert(evenToFirst > 420 && evenToFirst < 580, `${evenToFirst} of 1000`);
});
