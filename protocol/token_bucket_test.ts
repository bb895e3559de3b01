import { assertAlmostEquals, assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { TokenBucket } from "./token_bucket.ts";

Deno.test("a bucket gives its burst at once and then its rate", () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 10, burst: 3 });
  assertEquals([1, 2, 3, 4].map(() => bucket.tryTake()), [true, true, true, false]);
  clock.advance(99);
  assertEquals(bucket.tryTake(), false);
  clock.advance(2);
  assertEquals(bucket.tryTake(), true);
  clock.advance(60_000);
  assertEquals([1, 2, 3, 4].map(() => bucket.tryTake()), [true, true, true, false]);
});

Deno.test("debts queue up: each taker waits for those before it", () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 1000, burst: 100 });
  assertEquals(bucket.take(100), 0);
  assertAlmostEquals(bucket.take(500), 500);
  assertAlmostEquals(bucket.take(500), 1000);
  clock.advance(400);
  assertAlmostEquals(bucket.take(0), 600);
  bucket.give(600);
  assertAlmostEquals(bucket.take(0), 0);
});

Deno.test("what cannot be cut passes while less than two bursts are owed, and the rate holds in the long run", () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 1000, burst: 100 });
  let passed = 0;
  for (; clock.now() < 60_000; clock.advance(10)) if (bucket.takeUnlessBehind(1200)) passed++;
  assertAlmostEquals(passed * 1200, 60_000, 1_300);
  bucket.take(300);
  assertEquals(bucket.takeUnlessBehind(1), false);
});

Deno.test("what is given back never exceeds the burst", () => {
  const bucket = new TokenBucket(new FakeClock(), { perSecond: 1, burst: 2 });
  bucket.give(100);
  assertEquals([bucket.tryTake(2), bucket.tryTake(1)], [true, false]);
});
