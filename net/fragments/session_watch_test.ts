import { assertEquals } from "@std/assert";
import type { FragmentSessionStats, ReceiveLegStats, SendLegStats } from "../../protocol/fragment/session_types.ts";
import { LOOK_EVERY_MS, SessionWatch, type Verdict } from "./session_watch.ts";

const sender = (leg: number, more: Partial<SendLegStats> = {}): SendLegStats => ({
  leg,
  state: "up",
  rttMs: 10,
  lossShare: 0,
  windowBytes: 1e6,
  inFlightBytes: 0,
  sentFragments: 0,
  answeredAtMs: 0,
  ...more,
});
const receiver = (leg: number, more: Partial<ReceiveLegStats> = {}): ReceiveLegStats => ({
  leg,
  receivedFragments: 0,
  refusedFragments: 0,
  heardAtMs: 0,
  ...more,
});
const statsOf = (send: SendLegStats[], receive: ReceiveLegStats[]): FragmentSessionStats => ({
  send,
  receive,
  totalShards: 3,
  sentBlocks: 0,
  deliveredBlocks: 0,
  repairShards: 0,
  sendBufferBytes: 0,
  receiveBufferBytes: 0,
});

/** Looks every so often from 0 on, and gives the first verdict that is not "well" with its time. */
function firstVerdict(
  statsAt: (nowMs: number) => FragmentSessionStats,
  { isIdle = false, untilMs = 20_000 } = {},
): { atMs: number; verdict: Verdict } | undefined {
  const watch = new SessionWatch(0);
  for (let atMs = LOOK_EVERY_MS; atMs <= untilMs; atMs += LOOK_EVERY_MS) {
    const verdict = watch.look(statsAt(atMs), isIdle, atMs);
    if (verdict.isDead || verdict.badLegs.length > 0) return { atMs, verdict };
  }
  return undefined;
}

Deno.test("a session in which something is unanswered and nothing comes is dead after two looks", () => {
  const silent = () => statsOf([sender(0), sender(1)], [receiver(2)]);
  assertEquals(firstVerdict(silent), { atMs: 2500, verdict: { badLegs: [], isDead: true } });
  assertEquals(firstVerdict(silent, { isIdle: true }), undefined);
  const slow = () => statsOf([sender(0, { rttMs: 2000 })], [receiver(2)]);
  assertEquals(firstVerdict(slow)?.atMs, 9000);
});

Deno.test("a look that comes late says nothing", () => {
  const watch = new SessionWatch(0);
  const stats = statsOf([sender(0)], [receiver(1)]);
  for (let atMs = 10_000; atMs < 30_000; atMs += 10_000) {
    assertEquals(watch.look(stats, false, atMs), { badLegs: [], isDead: false });
  }
});

Deno.test("a suspect leg is bad when the others are answered", () => {
  const found = firstVerdict((nowMs) =>
    statsOf([sender(0, { answeredAtMs: nowMs }), sender(1, { state: "suspect" })], [receiver(2, { heardAtMs: nowMs })])
  );
  assertEquals(found, { atMs: 3500, verdict: { badLegs: [1], isDead: false } });
});

Deno.test("a leg by which nothing comes is bad when much has come by the others", () => {
  const receiving = (perSecond: number) => (nowMs: number) =>
    statsOf([sender(0, { answeredAtMs: nowMs })], [
      receiver(1, { heardAtMs: nowMs, receivedFragments: nowMs / 1000 * perSecond }),
      receiver(2, { receivedFragments: 3 }),
    ]);
  assertEquals(firstVerdict(receiving(100)), { atMs: 5500, verdict: { badLegs: [2], isDead: false } });
  assertEquals(firstVerdict(receiving(1)), undefined);
});

Deno.test("a leg that loses or changes most of what it carries is bad", () => {
  const found = firstVerdict((nowMs) =>
    statsOf(
      [sender(0, { answeredAtMs: nowMs }), sender(1, { answeredAtMs: nowMs, lossShare: 0.8, sentFragments: 200 })],
      [
        receiver(2, { heardAtMs: nowMs, receivedFragments: nowMs / 10 }),
        receiver(3, { heardAtMs: nowMs, receivedFragments: 100, refusedFragments: 150 }),
      ],
    )
  );
  assertEquals(found, { atMs: 500, verdict: { badLegs: [1, 3], isDead: false } });
});
