import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { parseIp } from "../ip.ts";
import { HandshakeLimiter } from "./handshake_limiter.ts";

function ip(text: string) {
  return parseIp(text)!;
}

/** How many of `count` handshakes at that moment are allowed. */
function burst(limiter: HandshakeLimiter, from: string, { nowMs, count = 100 }: { nowMs: number; count?: number }) {
  let allowed = 0;
  for (let number = 0; number < count; number++) if (limiter.allow(ip(from), nowMs)) allowed++;
  return allowed;
}

Deno.test("five at once, then one every 50 ms", () => {
  const limiter = new HandshakeLimiter(new SeededRandom(1));
  const rows = [
    { nowMs: 1000, allowed: 5 },
    { nowMs: 1049, allowed: 0 },
    { nowMs: 1050, allowed: 1 },
    { nowMs: 1099, allowed: 0 },
    { nowMs: 1200, allowed: 3 },
    { nowMs: 1449, allowed: 4 },
    { nowMs: 1450, allowed: 1 },
    { nowMs: 9000, allowed: 5 },
  ];
  for (const { nowMs, allowed } of rows) assertEquals(burst(limiter, "192.0.2.1", { nowMs }), allowed, `at ${nowMs}`);
});

Deno.test("addresses are counted apart, those of one /64 together", () => {
  const limiter = new HandshakeLimiter(new SeededRandom(2));
  const rows = [
    { from: "192.0.2.1", allowed: 5 },
    { from: "192.0.2.2", allowed: 5 },
    { from: "2001:db8::1", allowed: 5 },
    { from: "2001:db8::ffff:ffff:ffff:ffff", allowed: 0 },
    { from: "2001:db8:0:1::1", allowed: 5 },
    { from: "2001:db9::1", allowed: 5 },
    { from: "0.0.0.0", allowed: 5 },
    { from: "::", allowed: 5 },
    { from: "c000:201::", allowed: 5 },
  ];
  for (const { from, allowed } of rows) assertEquals(burst(limiter, from, { nowMs: 0 }), allowed, from);
});

Deno.test("against a slow twin, over random places and times", () => {
  const step = fc.record({ place: fc.nat(5), laterMs: fc.nat(80) });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const limiter = new HandshakeLimiter(new SeededRandom(3));
    const buckets = new Map<number, { tokens: number; atMs: number }>();
    let nowMs = 0;
    for (const { place, laterMs } of steps) {
      nowMs += laterMs;
      const bucket = buckets.get(place) ?? { tokens: 250, atMs: nowMs };
      const tokens = Math.min(250, bucket.tokens + nowMs - bucket.atMs);
      const isAllowed = tokens >= 50;
      buckets.set(place, { tokens: isAllowed ? tokens - 50 : tokens, atMs: nowMs });
      assertEquals(limiter.allow(Uint8Array.of(10, 0, 0, place), nowMs), isAllowed);
    }
  }));
});

Deno.test("more places than the table holds are refused, never let in beyond it, and it empties by itself", () => {
  const limiter = new HandshakeLimiter(new SeededRandom(4));
  let allowed = 0;
  for (let place = 0; place < 100_000; place++) {
    if (limiter.allow(Uint8Array.of(10, place >> 16, place >> 8, place), 0)) allowed++;
  }
  assert(allowed > 8000 && allowed <= 8192, `${allowed}`);
  assertEquals(burst(limiter, "192.0.2.1", { nowMs: 50 }), 5);
});

Deno.test("thousands of places do not crowd each other out", () => {
  const limiter = new HandshakeLimiter(new SeededRandom(5));
  const random = new SeededRandom(6);
  let refused = 0;
  for (let place = 0; place < 2000; place++) {
    if (!limiter.allow(random.fill(new Uint8Array(16)), 0)) refused++;
  }
  assert(refused <= 2, `${refused}`);
});
