import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { utcCalendar as calendar } from "./calendar.ts";
import { type CapLimits, DataCaps, type Usage, usageSchema } from "./data_caps.ts";

const KIB = 1024;
const DAY_MS = 24 * 3_600_000;
const NOON_MS = Date.UTC(2026, 0, 30, 12);

function capsOf(limits: CapLimits, nowMs = NOON_MS, usage: Usage | undefined = undefined): DataCaps {
  return new DataCaps(limits, { calendar, nowMs, usage });
}

/** Covers a block, as if the disk were instant, and takes. */
function take(caps: DataCaps, bytes: number): boolean {
  caps.covered(caps.plan());
  return caps.take(bytes);
}

Deno.test("nothing passes before it is covered, nor beyond a cap", () => {
  const caps = capsOf({ dayBytes: 100 * KIB });
  assertEquals(caps.take(1), false);
  assert(take(caps, 60 * KIB));
  assertEquals(caps.leftBytes, 40 * KIB);
  assertEquals(take(caps, 41 * KIB), false);
  assertEquals(caps.spent, undefined);
  assert(take(caps, 40 * KIB));
  assertEquals(caps.spent, { cap: "day", untilMs: Date.UTC(2026, 0, 31) });
  assertEquals(caps.leftBytes, 0);
  assertEquals(take(caps, 1), false);
});

Deno.test("a new day, and a new month, begin by the calendar", () => {
  const caps = capsOf({ dayBytes: 100, monthBytes: 150 });
  assert(take(caps, 100));
  caps.roll(NOON_MS + DAY_MS);
  assertEquals(caps.leftBytes, 50);
  assert(take(caps, 50));
  assertEquals(caps.spent, { cap: "month", untilMs: Date.UTC(2026, 1, 1) });
  caps.roll(Date.UTC(2026, 1, 1));
  assertEquals(caps.leftBytes, 100);
  assertEquals(caps.usage, { day: "2026-02-01", dayBytes: 0, month: "2026-02-01", monthBytes: 0, totalBytes: 150 });
});

Deno.test("a month may begin on another day than the first", () => {
  const table: [nowMs: number, month: string, endsMs: number][] = [
    [Date.UTC(2026, 0, 14, 23, 59), "2025-12-15", Date.UTC(2026, 0, 15)],
    [Date.UTC(2026, 0, 15), "2026-01-15", Date.UTC(2026, 1, 15)],
    [Date.UTC(2026, 11, 31), "2026-12-15", Date.UTC(2027, 0, 15)],
  ];
  for (const [nowMs, month, endsMs] of table) {
    const caps = capsOf({ monthBytes: 1, monthDay: 15 }, nowMs);
    assert(take(caps, 1));
    assertEquals([caps.usage.month, caps.spent?.untilMs], [month, endsMs]);
  }
});

Deno.test("what one day's figure covers does not pass on the next", () => {
  const caps = capsOf({ dayBytes: 100 * KIB });
  caps.covered(caps.plan());
  caps.roll(NOON_MS + DAY_MS);
  assertEquals(caps.take(1), false);
  const plan = caps.plan();
  caps.roll(NOON_MS + 2 * DAY_MS);
  caps.covered(plan); // was written, but is yesterday's
  assertEquals(caps.take(1), false);
});

Deno.test("a clock that is put back gives nothing back, and the next day begins as usual", () => {
  const caps = capsOf({ dayBytes: 100 });
  assert(take(caps, 100));
  caps.roll(NOON_MS - 3 * DAY_MS);
  assertEquals(caps.leftBytes, 0);
  caps.roll(NOON_MS - 2 * DAY_MS);
  assertEquals(caps.leftBytes, 100);
});

Deno.test("what is killed and begins again has used at least what passed, and at most a block more", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("take" as const), bytes: fc.integer({ min: 0, max: 300 * KIB }) }),
    fc.record({ do: fc.constantFrom("write" as const, "kill" as const, "end" as const) }),
    fc.record({ do: fc.constant("sleep" as const), ms: fc.integer({ min: 1, max: DAY_MS }) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const limits = { dayBytes: 1024 * KIB, monthBytes: 3000 * KIB };
    const blockBytes = 256 * KIB;
    let nowMs = NOON_MS;
    let disk: Usage | undefined;
    let caps = capsOf(limits, nowMs);
    const passed = new Map<string, number>();
    let lost = 0;
    const pass = (bytes: number) => {
      for (const key of [caps.usage.day, `month ${caps.usage.month}`]) passed.set(key, (passed.get(key) ?? 0) + bytes);
    };
    for (const step of steps) {
      if (step.do === "take" && caps.take(step.bytes)) pass(step.bytes);
      if (step.do === "write") caps.covered(disk = caps.plan());
      if (step.do === "sleep") caps.roll(nowMs += step.ms);
      if (step.do === "end") disk = caps.usage;
      if (step.do !== "kill" && step.do !== "end") continue;
      const usedBytes = caps.usage.dayBytes;
      caps = capsOf(limits, nowMs, disk && usageSchema.parse(disk));
      assert(caps.usage.dayBytes >= usedBytes);
      assert(caps.usage.dayBytes <= usedBytes + blockBytes);
      lost += caps.usage.dayBytes - usedBytes;
    }
    for (const [key, bytes] of passed) {
      assert(bytes <= (key.startsWith("month") ? limits.monthBytes : limits.dayBytes), key);
    }
    assert(lost <= blockBytes * steps.filter((step) => step.do === "kill").length);
  }));
});

Deno.test("without caps everything is counted and nothing ends", () => {
  const caps = capsOf({});
  assertEquals(caps.leftBytes, Infinity);
  assert(caps.isLow);
  assert(take(caps, 1024 * KIB));
  assertEquals([caps.isLow, caps.spent, caps.usage.totalBytes], [false, undefined, 1024 * KIB]);
  caps.give(24 * KIB);
  assertEquals(caps.usage.totalBytes, 1000 * KIB);
});
