import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type DialOutcome, NodeQuality, type ProbeOutcome } from "./quality.ts";

const MINUTE_MS = 60_000;

Deno.test("an unknown node is mediocre", () => {
  assertAlmostEquals(new NodeQuality().figures.score, 0.5, 1e-9);
});

const steady = [
  { name: "fast and faultless", latencyMs: 20, throughputMbps: 300, ipRisk: 0, score: 1 },
  {
    name: "at the worst of everything that still answers",
    latencyMs: 5000,
    throughputMbps: 0.5,
    ipRisk: 1,
    score: 0.4,
  },
  {
    name: "halfway, in powers",
    latencyMs: Math.sqrt(50 * 2000),
    throughputMbps: 10,
    ipRisk: 0.5,
    score: 0.4 + 0.15 + 0.1 + 0.05,
  },
];
for (const { name, score, ipRisk, ...outcome } of steady) {
  Deno.test(`a node that is ${name} scores ${score.toFixed(2)}`, () => {
    const quality = new NodeQuality();
    quality.ipRisk = ipRisk;
    for (let at = 0; at < 50; at++) quality.probed(outcome, at * MINUTE_MS);
    assertAlmostEquals(quality.figures.score, score, 1e-9);
  });
}

Deno.test("ten missed probes outweigh any past", () => {
  const quality = new NodeQuality();
  for (let at = 0; at < 10_000; at++) quality.probed({ latencyMs: 20 }, at * MINUTE_MS);
  for (let at = 0; at < 10; at++) quality.probed({}, (10_000 + at) * MINUTE_MS);
  assert(quality.figures.reliability < 0.5, `reliability is ${quality.figures.reliability}`);
  assertEquals(quality.figures.misses, 10);
  quality.probed({ latencyMs: 20 }, 10_011 * MINUTE_MS);
  assertEquals(quality.figures.misses, 0);
});

Deno.test("what is half an hour old counts half", () => {
  const quality = new NodeQuality();
  quality.probed({ latencyMs: 100 }, 0);
  quality.probed({ latencyMs: 400 }, 30 * MINUTE_MS);
  assertAlmostEquals(quality.figures.latencyMs!, (100 * 0.5 + 400) / 1.5, 1e-9);
});

Deno.test("a dial says less than a probe", () => {
  const [byProbe, byDial] = [new NodeQuality(), new NodeQuality()];
  for (const quality of [byProbe, byDial]) quality.probed({ latencyMs: 20 }, 0);
  byProbe.probed({}, 1);
  byDial.dialled("fault", 1);
  assert(byDial.figures.score > byProbe.figures.score);
});

Deno.test("whatever is seen, the score stays between 0 and 1", () => {
  const figure = fc.double({ min: 0, noNaN: true });
  const outcome = fc.record({ latencyMs: figure, throughputMbps: figure }, { requiredKeys: [] });
  const sight = fc.oneof(fc.constantFrom<DialOutcome>("ok", "fault"), outcome);
  const afterTheLargest: [DialOutcome | ProbeOutcome, number][] = [2.5e293, Number.MAX_VALUE, 0, Infinity, 0].map(
    (figure, turn) => [{ latencyMs: figure, throughputMbps: figure }, turn * MINUTE_MS],
  );
  const holds = fc.property(fc.array(fc.tuple(sight, fc.nat())), (sights) => {
    const quality = new NodeQuality();
    for (const [seen, atMs] of sights) {
      if (typeof seen === "string") quality.dialled(seen, atMs);
      else quality.probed(seen, atMs);
      const { score } = quality.figures;
      assert(score >= 0 && score <= 1, `the score is ${score}`);
    }
  });
  fc.assert(holds, { examples: [[afterTheLargest]] });
});
