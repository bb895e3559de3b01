import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { quantileOf, Sample } from "./sample.ts";

Deno.test("a sample holds all there is while there is room, and then as many, evenly from first to last", () => {
  const sample = new Sample(new SeededRandom(1), 1000);
  for (const value of [3, 1, 2]) sample.add(value);
  assertEquals(sample.sorted(), [1, 2, 3]);
  for (let value = 4; value <= 100_000; value++) sample.add(value);
  const kept = sample.sorted();
  assertEquals([kept.length, sample.count], [1000, 100_000]);
  const early = kept.filter((value) => value <= 50_000).length;
  assert(early > 440 && early < 560, `${early} of 1000 are of the first half`);
});

Deno.test("a quantile is a value that was there", () => {
  const values = Array.from({ length: 100 }, (_, at) => at + 1);
  assertEquals([0, 0.5, 0.99, 1].map((at) => quantileOf(values, at)), [1, 50, 99, 100]);
  assertEquals(quantileOf([7], 0.99), 7);
  assertEquals(quantileOf([], 0.5), undefined);
});
