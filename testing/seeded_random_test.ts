import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { randomInt } from "../protocol/random.ts";
import { nextWord, SeededRandom, withSeed } from "./seeded_random.ts";

/** The generator as its authors wrote it, in big numbers: slow and easy to compare with the C source. */
function referenceWords(start: readonly [bigint, bigint, bigint, bigint], count: number): number[] {
  const mask = 0xffff_ffffn;
  const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  const s = [...start] as [bigint, bigint, bigint, bigint];
  return Array.from({ length: count }, () => {
    const result = (rotl((s[1] * 5n) & mask, 7n) * 9n) & mask;
    const t = (s[1] << 9n) & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11n);
    return Number(result);
  });
}

Deno.test("the generator gives the known answers for state 1, 2, 3, 4 (test of the rand_xoshiro crate)", () => {
  const state = Uint32Array.of(1, 2, 3, 4);
  assertEquals(
    Array.from({ length: 10 }, () => nextWord(state)),
    [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804],
  );
});

Deno.test("the generator agrees with its readable twin over a long run", () => {
  const state = Uint32Array.of(0xdeadbeef, 0x8000_0000, 0xffff_ffff, 7);
  const fast = Array.from({ length: 5000 }, () => nextWord(state));
  assertEquals(fast, referenceWords([0xdeadbeefn, 0x8000_0000n, 0xffff_ffffn, 7n], 5000));
});

Deno.test("the same seed gives the same numbers, another seed others", () => {
  const draw = (seed: number) => {
    const random = new SeededRandom(seed);
    return [random.next(), random.next(), ...random.fill(new Uint8Array(7))];
  };
  assertEquals(draw(42), draw(42));
  assertNotEquals(draw(42), draw(43));
});

Deno.test("numbers lie in [0, 1) and spread evenly", () => {
  const random = new SeededRandom(1);
  const buckets = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 20_000; draw++) buckets[randomInt(random, 10)]!++;
  assert(buckets.every((count) => count > 1800 && count < 2200), buckets.join(" "));
});

Deno.test("a failure under withSeed names the seed", async () => {
  await assertRejects(() => withSeed(99, () => Promise.reject(new Error("no luck"))), Error, "With seed 99: no luck");
  assertEquals(await withSeed(5, (random) => random.seed), 5);
});
