import { assert, assertAlmostEquals, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { ExitCandidate } from "../directory.ts";
import { exitCandidate, exitWish } from "./fixtures/arbitraries.ts";
import { identityOf } from "./fixtures/people.ts";
import type { ExitWish } from "./messages.ts";
import { meetsWish, rank, scoreOf } from "./selection.ts";

const FILLER = "A".repeat(43) + "=";

function candidateOf(number: number, change: Partial<ExitCandidate> = {}): ExitCandidate {
  const { peerId } = identityOf(number);
  return {
    exit: { peerId, publicKey: FILLER, wireguardKey: FILLER, wireguardSignature: "" },
    supernodeId: peerId,
    region: "eu",
    latencyMs: 50,
    bandwidthMbps: 100,
    health: 1,
    load: 0,
    ...change,
  };
}

const GOOD = candidateOf(1);

Deno.test("what does not meet the wish is left out, what is unknown is not", () => {
  const rows: { name: string; candidate: ExitCandidate; wish: ExitWish; meets: boolean }[] = [
    { name: "no wish", candidate: GOOD, wish: {}, meets: true },
    { name: "its region", candidate: GOOD, wish: { region: "eu" }, meets: true },
    { name: "another region", candidate: GOOD, wish: { region: "us" }, meets: false },
    { name: "as slow as allowed", candidate: GOOD, wish: { maxLatencyMs: 50 }, meets: true },
    { name: "too slow", candidate: GOOD, wish: { maxLatencyMs: 49 }, meets: false },
    { name: "too narrow", candidate: GOOD, wish: { minBandwidthMbps: 101 }, meets: false },
    { name: "failed before", candidate: GOOD, wish: { exclude: [GOOD.exit.peerId] }, meets: false },
    { name: "for streams alone", candidate: GOOD, wish: { carries: "packets" }, meets: false },
    {
      name: "for packets too",
      candidate: { ...GOOD, carriesPackets: true },
      wish: { carries: "packets" },
      meets: true,
    },
    { name: "for streams, which all carry", candidate: GOOD, wish: { carries: "streams" }, meets: true },
    { name: "dead", candidate: { ...GOOD, health: 0 }, wish: {}, meets: false },
    {
      name: "full, since there may be no other",
      candidate: { ...GOOD, load: 1, bandwidthMbps: 0 },
      wish: {},
      meets: true,
    },
    {
      name: "unknown",
      candidate: { exit: GOOD.exit, supernodeId: GOOD.supernodeId, region: "eu", health: 1, load: 0 },
      wish: { minBandwidthMbps: 1000, maxLatencyMs: 1 },
      meets: true,
    },
  ];
  for (const { name, candidate, wish, meets } of rows) assertEquals(meetsWish(candidate, wish), meets, name);
});

Deno.test("the score is the one of the formula", () => {
  assertAlmostEquals(scoreOf(GOOD, {}), 1 / 1.5, 1e-12);
  assertAlmostEquals(scoreOf({ ...GOOD, health: 0.5, load: 0.2 }, {}), 0.25 * 0.8 / 1.5, 1e-12);
  assertAlmostEquals(scoreOf(GOOD, { minBandwidthMbps: 100 }), 0.5 / 1.5, 1e-12);
});

Deno.test("whatever is better in one thing and the same in the others ranks before", () => {
  const rows: { name: string; better: Partial<ExitCandidate>; worse: Partial<ExitCandidate> }[] = [
    { name: "nearer", better: { latencyMs: 10 }, worse: { latencyMs: 60 } },
    { name: "wider", better: { bandwidthMbps: 80 }, worse: { bandwidthMbps: 40 } },
    { name: "healthier", better: { health: 1 }, worse: { health: 0.9 } },
    { name: "loaded instead of full", better: { load: 0.9 }, worse: { load: 1 } },
    { name: "less loaded", better: { load: 0.1 }, worse: { load: 0.5 } },
  ];
  for (const { name, better, worse } of rows) {
    const [one, other] = [candidateOf(1, better), candidateOf(2, worse)];
    assertEquals(rank([other, one], {}).map(({ candidate }) => candidate), [one, other], name);
  }
});

Deno.test("those that are as good as each other share the clients, one that is clearly better gets them all", () => {
  const random = new SeededRandom(11);
  const firsts = new Map<string, number>();
  const candidates = [candidateOf(1), candidateOf(2), candidateOf(3, { health: 0.8 })];
  for (let at = 0; at < 1000; at++) {
    const first = rank(candidates, {}, random)[0]!.candidate.exit.peerId;
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  assertEquals(firsts.has(candidates[2]!.exit.peerId), false);
  for (const candidate of candidates.slice(0, 2)) {
    assertGreater(firsts.get(candidate.exit.peerId)!, 400);
    assertLess(firsts.get(candidate.exit.peerId)!, 600);
  }
});

Deno.test("every ranking holds only what meets the wish, once, with scores from 0 to 1, best first", () => {
  fc.assert(fc.property(fc.array(exitCandidate, { maxLength: 12 }), exitWish, (candidates, wish) => {
    const ranked = rank(candidates, wish);
    assertLessOrEqual(ranked.length, candidates.length);
    for (const [at, { candidate, score }] of ranked.entries()) {
      assert(meetsWish(candidate, wish));
      assert(score > 0 && score <= 1);
      if (at > 0) assertLessOrEqual(score, ranked[at - 1]!.score);
    }
  }));
});
