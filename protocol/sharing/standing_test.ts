import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { QualityFigures } from "./quality.ts";
import { nodeStandings } from "./records.ts";
import { decree, defaultStandingRules, type Evidence, judge, newStanding, type StandingMemory } from "./standing.ts";

const MINUTE_MS = 60_000;

function seen(figures: Partial<QualityFigures> = {}, more: Partial<Evidence> = {}): Evidence {
  const usual = { score: 0.8, reliability: 1, latencyMs: 50, throughputMbps: 50, goodProbes: 100, misses: 0 };
  return { figures: { ...usual, ...figures }, ipRisk: undefined, ...more };
}

/** Looks once a minute; gives the standings in their order, with the minute of each change. */
function watch(memory: StandingMemory, evidence: (minute: number) => Evidence, forMinutes: number) {
  const changes: string[] = [];
  for (let minute = 0; minute <= forMinutes; minute++) {
    const verdict = judge(memory, evidence(minute), minute * MINUTE_MS);
    memory = verdict.memory;
    if (verdict.change) changes.push(`${minute} ${verdict.change.standing}`);
  }
  return { changes, memory };
}

Deno.test("a newcomer that answers well is good after an hour, not before", () => {
  assertEquals(watch(newStanding("probation", 0), () => seen(), 200).changes, ["60 good"]);
});

Deno.test("a newcomer that has answered too few probes stays a newcomer", () => {
  assertEquals(watch(newStanding("probation", 0), () => seen({ goodProbes: 19 }), 200).changes, []);
});

const unwell: readonly { name: string; evidence: Evidence; reason: RegExp }[] = [
  { name: "misses probes", evidence: seen({ misses: 3 }), reason: /did not answer 3 probes in a row/ },
  { name: "scores too low", evidence: seen({ score: 0.2 }), reason: /has a quality of 20 % and needs 35 %/ },
  { name: "has a bad address", evidence: seen({}, { ipRisk: 0.9 }), reason: /address of ill repute/ },
];
for (const { name, evidence, reason } of unwell) {
  Deno.test(`a good node that ${name} is flagged, then put in quarantine, with the reason`, () => {
    assertEquals(watch(newStanding("good", 0), () => evidence, 60).changes, ["5 flagged", "36 quarantined"]);
    const flagged = judge({ ...newStanding("good", 0), unwellSinceMs: 0 }, evidence, 10 * MINUTE_MS);
    assert(reason.test(flagged.change!.reason), flagged.change!.reason);
  });
}

Deno.test("a node that is unwell for less than five minutes at a time is left alone", () => {
  const evidence = (minute: number) => seen({ misses: minute % 5 === 0 ? 0 : 3 });
  assertEquals(watch(newStanding("good", 0), evidence, 200).changes, []);
});

Deno.test("a flagged node that is well is good again, and one out of quarantine is flagged first", () => {
  assertEquals(watch(newStanding("flagged", 0), () => seen(), 60).changes, ["10 good"]);
  assertEquals(watch(newStanding("quarantined", 0), () => seen(), 60).changes, ["30 flagged", "41 good"]);
});

Deno.test("one that lies is in quarantine at once, and banned the third time", () => {
  let memory = newStanding("good", 0);
  const lie = seen({}, { lie: "answered for another host" });
  const standings = [1, 2, 3].map((minute) => {
    const verdict = judge(memory, lie, minute * MINUTE_MS);
    memory = verdict.memory;
    return verdict.change;
  });
  assertEquals(standings.map((change) => change?.standing), ["quarantined", undefined, "banned"]);
  assertEquals(standings[2]!.reason, "The node answered for another host, and was caught 3 times");
});

Deno.test("the third quarantine within a week is a ban; quarantines of long ago are forgotten", () => {
  const day = 86_400_000;
  const memory = { ...newStanding("flagged", 0), unwellSinceMs: 0, quarantinesAtMs: [day, 2 * day] };
  const evidence = seen({ misses: 5 });
  assertEquals(judge(memory, evidence, 3 * day).change?.standing, "banned");
  assertEquals(judge(memory, evidence, 8.5 * day).change?.standing, "quarantined");
});

Deno.test("nothing that is seen leads out of a ban, only an admin's word, which starts anew", () => {
  const banned = decree({ ...newStanding("good", 0), liesAtMs: [1, 2] }, "banned", 5);
  assertEquals(watch(banned, () => seen(), 1000).changes, []);
  assertEquals(decree(banned, "probation", 10), newStanding("probation", 10));
});

Deno.test("a change is always to another standing, and its reason is a sentence about the node", () => {
  const evidence = fc.record({
    score: fc.double({ min: 0, max: 1, noNaN: true }),
    misses: fc.nat(5),
    ipRisk: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
    isLie: fc.boolean(),
    minutes: fc.nat(60),
  });
  fc.assert(fc.property(fc.constantFrom(...nodeStandings), fc.array(evidence), (standing, looks) => {
    let memory = newStanding(standing, 0);
    let nowMs = 0;
    for (const { score, misses, ipRisk, isLie, minutes } of looks) {
      nowMs += minutes * MINUTE_MS;
      const before = memory.standing;
      const look = seen({ score, misses }, { ipRisk, ...isLie && { lie: "lied" } });
      const verdict = judge(memory, look, nowMs);
      memory = verdict.memory;
      assertEquals(verdict.change?.standing ?? before, memory.standing);
      if (!verdict.change) continue;
      assert(memory.standing !== before);
      assert(/^The node .+[^.]$/.test(verdict.change.reason));
      assert(
        memory.liesAtMs.length <= looks.length &&
          memory.quarantinesAtMs.length <= defaultStandingRules.quarantinesToBan,
      );
    }
  }));
});
