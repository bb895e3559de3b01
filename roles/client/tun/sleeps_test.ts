import { assertEquals } from "@std/assert";
import type { Clock } from "../../../protocol/clock.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { watchSleeps } from "./sleeps.ts";

Deno.test("a sleep is noticed within a second of its end, and a clock that is put right a little is none", async () => {
  const time = new FakeClock();
  let sleptMs = 0;
  const clock: Clock = {
    now: () => time.now(),
    wallNow: () => time.wallNow() + sleptMs,
    after: (delayMs, callback) => time.after(delayMs, callback),
  };
  const stop = new AbortController();
  let wakes = 0;
  const watching = watchSleeps(clock, () => wakes++, stop.signal);
  await time.advanceAsync(10_000);
  sleptMs += 2_000;
  await time.advanceAsync(10_000);
  assertEquals(wakes, 0);
  sleptMs += 3_600_000;
  await time.advanceAsync(1_000);
  assertEquals(wakes, 1);
  sleptMs -= 60_000;
  await time.advanceAsync(10_000);
  assertEquals(wakes, 1);
  stop.abort();
  await watching;
});
