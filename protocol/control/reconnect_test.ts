import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { Random } from "../random.ts";
import type { ClientEnd } from "./client_end.ts";
import { Reconnect } from "./reconnect.ts";

const A = { url: "wss://a.example/", supernodeId: "a" };
const B = { url: "wss://b.example/", supernodeId: "b" };
const C = { url: "wss://c.example/", supernodeId: "c" };

/** Every wait is as long as it can be. */
const unlucky: Random = { fill: (into) => into, next: () => 0.999_999 };

function reconnect(supernodes = [A, B, C], random: Random = unlucky) {
  const subject = new Reconnect({ supernodes, random });
  /** Where it tries next, and after how long. */
  const ended = (reason: ClientEnd, nowMs: number, { wasOpen = false } = {}): [string, number] => {
    const isWorthAnother = wasOpen && reason !== "silent";
    const waitMs = subject.after({ reason, wasOpen, retryAfterMs: 0, isWorthAnother }, nowMs);
    return [subject.supernode.supernodeId, Math.round(waitMs)];
  };
  return { subject, ended };
}

Deno.test("after a loss each supernode is tried quickly, the same one first, and then with backoff", () => {
  const { subject, ended } = reconnect();
  subject.opened(0);
  assertEquals(ended("lost", 100_000, { wasOpen: true }), ["a", 250]);
  assertEquals(ended("unreachable", 100_250), ["b", 250]);
  assertEquals(ended("unreachable", 100_500), ["c", 250]);
  assertEquals(ended("unreachable", 100_750), ["a", 500]);
  assertEquals(ended("unreachable", 101_250), ["b", 1000]);
});

Deno.test("after a silence the next is tried first", () => {
  const { subject, ended } = reconnect();
  subject.opened(0);
  assertEquals(ended("silent", 100_000, { wasOpen: true }), ["b", 250]);
});

Deno.test("a stream that was lost soon is worth a quick round too, but only one in a while", () => {
  const { subject, ended } = reconnect([A]);
  subject.opened(0);
  assertEquals(ended("lost", 1000, { wasOpen: true }), ["a", 250]);
  subject.opened(1250);
  assertEquals(ended("lost", 1500, { wasOpen: true }), ["a", 500]);
  subject.opened(2000);
  assertEquals(ended("lost", 2500, { wasOpen: true }), ["a", 1000]);
  subject.opened(3500);
  assertEquals(ended("lost", 31_000, { wasOpen: true }), ["a", 250]);
  assertEquals(ended("unreachable", 31_250), ["a", 2000], "it had not been good for long enough");
});

Deno.test("what ends for another reason is never hurried", () => {
  for (const reason of ["replaced", "shutdown", "expired"] as const) {
    const { subject, ended } = reconnect([A]);
    subject.opened(0);
    assertLessOrEqual(500, ended(reason, 100_000, { wasOpen: true })[1], reason);
  }
});

Deno.test("in a round a supernode that hangs is passed over, but a lone one is waited for", () => {
  const several = reconnect();
  assertEquals(several.subject.connectWithinMs, Infinity, "at the start");
  several.subject.opened(0);
  several.ended("lost", 100_000, { wasOpen: true });
  assertEquals(several.subject.connectWithinMs, 3000);
  const alone = reconnect([A]);
  alone.subject.opened(0);
  alone.ended("lost", 100_000, { wasOpen: true });
  assertEquals(alone.subject.connectWithinMs, Infinity);
});

Deno.test("ten thousand that lost the same supernode come spread over its absence, and are back soon after it", () => {
  const random = new SeededRandom(7);
  const BACK_MS = 5000;
  const tries = new Map<number, number>();
  let lastMs = 0;
  for (let peer = 0; peer < 10_000; peer++) {
    const { subject, ended } = reconnect([A], random);
    subject.opened(-60_000);
    let nowMs = ended("lost", 0, { wasOpen: true })[1];
    for (; nowMs < BACK_MS; nowMs += ended("unreachable", nowMs)[1]) {
      const slot = Math.floor(nowMs / 50);
      tries.set(slot, (tries.get(slot) ?? 0) + 1);
    }
    lastMs = Math.max(lastMs, nowMs);
  }
  assert(tries.size > 90, "all the time somebody tries");
  for (const [slot, count] of tries) assertLess(count, 3300, `a third of them at ${slot * 50} ms`);
  for (let slot = 40; slot < 100; slot++) assertLess(tries.get(slot)!, 500, "fewer and fewer");
  assertGreater(lastMs, BACK_MS);
  assertLess(lastMs, BACK_MS + 30_000);
});
