import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay } from "../protocol/clock.ts";
import { FakeClock } from "./fake_clock.ts";
import { SeededRandom } from "./seeded_random.ts";

Deno.test("timers fire in the order they fall due, each at its own time", () => {
  const clock = new FakeClock(1000);
  const fired: string[] = [];
  for (const [name, ms] of [["c", 30], ["a", 10], ["b", 20], ["late", 41]] as const) {
    clock.after(ms, () => fired.push(`${name}@${clock.now()}`));
  }
  clock.advance(40);
  assertEquals(fired, ["a@10", "b@20", "c@30"]);
  assertEquals([clock.now(), clock.wallNow(), clock.pendingTimers, clock.nextTimerMs], [40, 1040, 1, 1]);
});

Deno.test("timers that fall due together fire in the order they were set", () => {
  const clock = new FakeClock();
  const fired: number[] = [];
  for (let name = 0; name < 50; name++) clock.after(5, () => fired.push(name));
  clock.advance(5);
  assertEquals(fired, Array.from({ length: 50 }, (_, name) => name));
});

Deno.test("a timer set by a timer fires in the same advance when it falls due", () => {
  const clock = new FakeClock();
  const fired: number[] = [];
  const tick = () => {
    fired.push(clock.now());
    clock.after(10, tick);
  };
  clock.after(10, tick);
  clock.advance(35);
  assertEquals(fired, [10, 20, 30]);
});

Deno.test("a cancelled timer does not fire, and cancelling again is harmless", () => {
  const clock = new FakeClock();
  let fired = 0;
  const timer = clock.after(5, () => fired++);
  {
    using _scoped = clock.after(5, () => fired++);
  }
  timer.cancel();
  timer.cancel();
  clock.advance(10);
  assertEquals([fired, clock.pendingTimers, clock.nextTimerMs], [0, 0, undefined]);
});

Deno.test("fifty thousand timers, half of them cancelled, fire in order and quickly", () => {
  const clock = new FakeClock();
  const random = new SeededRandom(7);
  let previousMs = 0;
  let fired = 0;
  const timers = Array.from({ length: 50_000 }, () =>
    clock.after(Math.floor(random.next() * 100_000), () => {
      assert(clock.now() >= previousMs);
      previousMs = clock.now();
      fired++;
    }));
  for (let at = 0; at < timers.length; at += 2) timers[at]!.cancel();
  assertEquals(clock.pendingTimers, 25_000);
  clock.advance(100_000);
  assertEquals([fired, clock.pendingTimers], [25_000, 0]);
});

Deno.test("advanceAsync lets long chains of promises run between timers", async () => {
  const clock = new FakeClock();
  const seen: number[] = [];
  async function work() {
    for (let round = 0; round < 3; round++) {
      await delay(clock, 10);
      for (let step = 0; step < 500; step++) await Promise.resolve();
      seen.push(clock.now());
    }
  }
  const done = work();
  await clock.advanceAsync(30);
  assertEquals(seen, [10, 20, 30]);
  await done;
});

Deno.test("runUntil passes just the time that a promise needs", async () => {
  const clock = new FakeClock();
  assertEquals(await clock.runUntil(delay(clock, 1234).then(() => "done")), "done");
  assertEquals(clock.now(), 1234);
});

Deno.test("runUntil rejects when nothing is left that could settle the promise", async () => {
  const clock = new FakeClock();
  await assertRejects(() => clock.runUntil(new Promise(() => {})), Error, "nothing is left to happen");
  clock.after(50, () => {});
  await assertRejects(() => clock.runUntil(new Promise(() => {}), 40), Error, "within 40 ms");
});
