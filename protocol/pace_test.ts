import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Pace } from "./pace.ts";

Deno.test("a burst goes on at once, and then one for each share of a second", () => {
  const pace = new Pace();
  const limit = { perSecond: 10, burst: 3 };
  assertEquals([1, 2, 3, 4].map(() => pace.allow(limit, 1000)), [true, true, true, false]);
  assert(!pace.allow(limit, 1099));
  assert(pace.allow(limit, 1100));
  assert(!pace.allow(limit, 1101));
  assertEquals([1, 2, 3, 4].map(() => pace.allow(limit, 9000)), [true, true, true, false]);
});

Deno.test("to ask whether one might go on counts nothing", () => {
  const pace = new Pace();
  const limit = { perSecond: 10, burst: 2 };
  assert(pace.has(limit, 1000) && pace.has(limit, 1000) && pace.has(limit, 1000));
  assertEquals([1, 2, 3].map(() => pace.allow(limit, 1000)), [true, true, false]);
  assertEquals([pace.has(limit, 1099), pace.has(limit, 1100)], [false, true]);
});

Deno.test("no stretch of time sees more than its share and one burst", () => {
  const limit = { perSecond: 100, burst: 5 };
  fc.assert(fc.property(fc.array(fc.nat(40), { maxLength: 200 }), (steps) => {
    const pace = new Pace();
    let nowMs = 0;
    const allowed: number[] = [];
    for (const step of steps) {
      nowMs += step;
      if (pace.allow(limit, nowMs)) allowed.push(nowMs);
    }
    for (let first = 0; first < allowed.length; first++) {
      const spanMs = allowed.at(-1)! - allowed[first]!;
      assert(allowed.length - first <= limit.burst + spanMs * limit.perSecond / 1000 + 1e-6);
    }
  }));
});
