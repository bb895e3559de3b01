import { assertEquals, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { Nonces } from "./nonces.ts";

Deno.test("a nonce is remembered until its time has passed, and then its room is free", () => {
  const nonces = new Nonces(2);
  assertEquals(nonces.remember("a", 120_000, 0), true);
  assertEquals(nonces.remember("a", 120_000, 0), false);
  assertEquals(nonces.remember("a", 60_000, 0), false, "with another time it is the same nonce");
  assertEquals(nonces.remember("a", 120_000, 119_999), false);
  assertEquals(nonces.remember("a", 260_000, 130_000), true);
  assertEquals(nonces.size, 1);
});

Deno.test("when it is full nothing is forgotten: new ones are not taken", () => {
  const nonces = new Nonces(2);
  nonces.remember("a", 60_000, 0);
  nonces.remember("b", 60_000, 0);
  assertEquals(nonces.remember("c", 60_000, 0), undefined);
  assertEquals(nonces.remember("a", 60_000, 0), false);
  assertEquals(nonces.remember("c", 130_000, 70_000), true);
});

Deno.test("what one remembers another can be told", () => {
  const nonces = new Nonces();
  nonces.remember("a", 60_000, 0);
  nonces.remember("b", 90_000, 0);
  const other = new Nonces();
  for (const [nonce, untilMs] of nonces.entries()) other.remember(nonce, untilMs, 1000);
  assertEquals(other.remember("a", 60_000, 1000), false);
  assertEquals([...other.entries()], [["a", 60_000], ["b", 90_000]]);
});

Deno.test("no nonce is taken twice before its time, however they come, and the memory keeps to its bound", () => {
  const step = fc.record({ nonce: fc.integer({ min: 0, max: 20 }), passMs: fc.integer({ min: 0, max: 30_000 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const nonces = new Nonces(8);
    const slow = new Map<string, number>();
    let nowMs = 0;
    for (const { nonce, passMs } of steps) {
      nowMs += passMs;
      const untilMs = nowMs + 60_000;
      const taken = nonces.remember(String(nonce), untilMs, nowMs);
      if ((slow.get(String(nonce)) ?? -1) >= nowMs) assertEquals(taken, false);
      if (taken) slow.set(String(nonce), untilMs);
      assertLessOrEqual(nonces.size, 8);
    }
  }));
});

Deno.test("what ended before the time that it tells of may be forgotten, and nothing else, wherever the clock goes", () => {
  const step = fc.record({ nowMs: fc.integer({ min: 0, max: 600_000 }), aheadMs: fc.integer({ min: 0, max: 90_000 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const nonces = new Nonces(8);
    const taken = new Map<string, number>();
    for (const [at, { nowMs, aheadMs }] of steps.entries()) {
      const untilMs = Math.max(nowMs, nonces.forgottenBeforeMs) + aheadMs;
      if (nonces.remember(String(at), untilMs, nowMs)) taken.set(String(at), untilMs);
      for (const [nonce, endMs] of taken) {
        if (endMs >= nonces.forgottenBeforeMs) assertEquals(nonces.remember(nonce, endMs, 0), false);
      }
      assertLessOrEqual(nonces.size, 8);
    }
  }));
});

Deno.test("a full memory whose clock was set back far makes room by going on in time", () => {
  const nonces = new Nonces(2);
  nonces.remember("a", 1_000_000, 900_000);
  nonces.remember("b", 3_000_000, 2_000_000);
  assertEquals(nonces.forgottenBeforeMs, 1_010_000);
  assertEquals(nonces.remember("c", 1_050_000, 0), true);
  assertEquals(nonces.remember("d", 1_060_000, 0), true);
  assertEquals(nonces.forgottenBeforeMs, 1_060_000);
  assertEquals(nonces.remember("b", 3_000_000, 0), false);
  assertEquals(nonces.remember("e", 5_000_000, 1_060_000), undefined, "not while the clock is right");
});
