import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../testing/seeded_random.ts";
import { CulvertError } from "./errors.ts";
import { Health, type HealthOptions } from "./health.ts";

function health(options?: HealthOptions, seed = 1): Health {
  return new Health(0, new SeededRandom(seed), options);
}

function fallen(options?: HealthOptions): Health {
  const one = health(options);
  one.probeFailed(0);
  one.probeFailed(0);
  assert(!one.up);
  return one;
}

Deno.test("a member starts up and settled, and is probed within the first second", () => {
  const one = health();
  assert(one.up && one.isSettled(0));
  assert(one.nextProbeAtMs >= 0 && one.nextProbeAtMs < 1000);
});

Deno.test("only failures in a row take a member down, and the event that does says so", () => {
  const one = health({ failuresToDown: 3 });
  assertEquals([one.probeFailed(1), one.dialFailed(2)], [false, false]);
  one.dialSucceeded(3);
  assertEquals([one.dialFailed(4), one.probeFailed(5)], [false, false]);
  assert(one.up);
  assertEquals(one.dialFailed(6), true);
  assert(!one.up);
  assertEquals(one.dialFailed(7), false);
});

Deno.test("only successes in a row bring it back, and it is settled a while later", () => {
  const one = fallen({ settleMs: 1000 });
  assertEquals(one.probeSucceeded(10, 1), false);
  assertEquals(one.probeFailed(11), false);
  assertEquals(one.probeSucceeded(12, 1), false);
  assertEquals(one.dialSucceeded(13), true);
  assert(one.up);
  assert(!one.isSettled(1012));
  assert(one.isSettled(1013));
});

Deno.test("probes come at their interval, give or take a quarter, while all is well", () => {
  for (let seed = 0; seed < 50; seed++) {
    const one = health({ probeEveryMs: 1000 }, seed);
    one.probeSucceeded(500, 1);
    assert(one.nextProbeAtMs >= 500 + 750 && one.nextProbeAtMs < 500 + 1250);
  }
});

Deno.test("a dial that fails by the member's fault, or may have, brings the next probe forward, but not to a storm", () => {
  for (const event of ["dialFailed", "suspect"] as const) {
    const one = health({ failuresToDown: 9 });
    one.probeSucceeded(1000, 1);
    one[event](5000);
    assertEquals(one.nextProbeAtMs, 5000);
    one.probeSucceeded(5000, 1);
    one[event](5001);
    assertEquals(one.nextProbeAtMs, 5250);
  }
});

Deno.test("waits between probes of a down member grow to their ceiling and have jitter", () => {
  const waits = new Set<number>();
  let longestMs = 0;
  const one = health({ retryBaseMs: 1000, retryMaxMs: 8000 });
  for (let nowMs = 0, round = 0; round < 100; round++) {
    one.probeFailed(nowMs);
    const waitMs = one.nextProbeAtMs - nowMs;
    assert(waitMs >= 250 && waitMs <= Math.max(250, Math.min(8000, 1000 * 2 ** round)), `round ${round}: ${waitMs}`);
    waits.add(waitMs);
    longestMs = Math.max(longestMs, waitMs);
    nowMs = one.nextProbeAtMs;
  }
  assert(waits.size > 50 && longestMs > 6000);
});

Deno.test("a first success after long failure is confirmed soon", () => {
  const one = health({ retryBaseMs: 1000 });
  for (let round = 0; round < 20; round++) one.probeFailed(0);
  one.probeSucceeded(100, 1);
  assert(!one.up);
  assertEquals(one.nextProbeAtMs, 1100);
});

Deno.test("latency is smoothed", () => {
  const one = health({ latencyWeight: 0.5 });
  assertEquals(one.latencyMs, undefined);
  one.probeSucceeded(0, 100);
  assertEquals(one.latencyMs, 100);
  one.probeSucceeded(0, 200);
  assertAlmostEquals(one.latencyMs!, 150);
});

Deno.test("whatever happens, state changes only after enough events in a row, and no probe lies in the past", () => {
  const events = fc.array(fc.tuple(fc.nat(5000), fc.constantFrom("pOk", "pFail", "dOk", "dFail", "odd")), {
    maxLength: 200,
  });
  fc.assert(fc.property(events, fc.nat(), (events, seed) => {
    const one = health({ failuresToDown: 3, successesToUp: 2 }, seed);
    let nowMs = 0;
    const row = { good: 0, bad: 0 };
    for (const [stepMs, event] of events) {
      nowMs += stepMs;
      const wasUp = one.up;
      if (event.endsWith("Ok")) [row.good, row.bad] = [row.good + 1, 0];
      if (event.endsWith("Fail")) [row.good, row.bad] = [0, row.bad + 1];
      const changed = {
        pOk: () => one.probeSucceeded(nowMs, 5),
        pFail: () => one.probeFailed(nowMs),
        dOk: () => one.dialSucceeded(nowMs),
        dFail: () => one.dialFailed(nowMs),
        odd: () => (one.suspect(nowMs), false),
      }[event]!();
      assertEquals(changed, one.up !== wasUp);
      if (changed) assert(one.up ? row.good >= 2 : row.bad >= 3);
      if (event.startsWith("p")) assert(one.nextProbeAtMs >= nowMs + 250 || one.up);
      assert(!one.isSettled(nowMs) || one.up);
    }
  }));
});

Deno.test("options out of range are named", () => {
  const rows: [HealthOptions, string][] = [
    [{ failuresToDown: 0 }, "failuresToDown must be a number from 1, got 0"],
    [{ settleMs: -1 }, "settleMs must be a number from 0, got -1"],
    [{ probeEveryMs: NaN }, "probeEveryMs must be a number from 1, got NaN"],
    [{ latencyWeight: 2 }, "latencyWeight must be above 0 and at most 1, got 2"],
  ];
  for (const [options, message] of rows) assertThrows(() => health(options), CulvertError, message);
});
