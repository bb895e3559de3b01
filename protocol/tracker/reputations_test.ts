import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { idOf } from "./fixtures/entries.ts";
import { outcomeSchema, type Report } from "./messages.ts";
import { Reputations } from "./reputations.ts";
import { storedVoicesSchema } from "./stored.ts";

const MIB = 1024 * 1024;

function reportOf(changes: Partial<Report> = {}): Report {
  return { about: idOf(0), outcome: "ok", bytes: 10 * MIB, ms: 1000, ...changes };
}

Deno.test("a peer has a reputation once three others have said something of it", () => {
  const reputations = new Reputations();
  for (const by of [1, 2]) {
    for (let turn = 0; turn < 50; turn++) reputations.add(idOf(by), reportOf());
    assertEquals(reputations.of(idOf(0)), undefined, "however often two say it");
  }
  reputations.add(idOf(3), reportOf());
  assertEquals(reputations.of(idOf(0)), { reliability: 1, bandwidthMbps: 10 * MIB * 8 / 1e6 });
  assertEquals(reputations.of(idOf(1)), undefined);
});

Deno.test("one voice among many changes little, however loud; and bandwidth goes by the middle one", () => {
  const reputations = new Reputations();
  for (let by = 1; by <= 9; by++) reputations.add(idOf(by), reportOf());
  for (let turn = 0; turn < 100; turn++) {
    reputations.add(idOf(10), reportOf({ outcome: "lied" }));
    reputations.add(idOf(10), reportOf({ bytes: 1e15, ms: 0 }));
  }
  const { reliability, bandwidthMbps } = reputations.of(idOf(0))!;
  assert(reliability > 0.9);
  assertEquals(bandwidthMbps, 10 * MIB * 8 / 1e6);
});

Deno.test("a lie weighs more than a failure, and both are made good slowly", () => {
  const scores = (["failed", "lied"] as const).map((outcome) => {
    const reputations = new Reputations();
    const trail: number[] = [];
    const say = (what: Report) => {
      for (const by of [1, 2, 3]) reputations.add(idOf(by), what);
      trail.push(reputations.of(idOf(0))!.reliability);
    };
    say(reportOf());
    say(reportOf({ outcome }));
    for (let turn = 0; turn < 10; turn++) say(reportOf());
    return trail;
  });
  const [failed, lied] = scores as [number[], number[]];
  assert(failed[1] === 0.75 && lied[1] === 0);
  for (const trail of scores) assert(trail.at(-1)! > 0.9 && trail[2]! < 1);
});

Deno.test("small transfers tell nothing of bandwidth", () => {
  const reputations = new Reputations();
  for (const by of [1, 2, 3]) reputations.add(idOf(by), reportOf({ bytes: 1000, ms: 1 }));
  assertEquals(reputations.of(idOf(0)), { reliability: 1, bandwidthMbps: undefined });
});

Deno.test("what is remembered is bounded, and is as a store takes it, whatever is said", () => {
  const report = fc.record({
    about: fc.nat(30).map(idOf),
    outcome: fc.constantFrom(...outcomeSchema.options),
    bytes: fc.maxSafeNat(),
    ms: fc.double({ min: 0, max: 86_400_000, noNaN: true }),
  });
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(40).map(idOf), report)), (said) => {
    const reputations = new Reputations(10);
    for (const [by, report] of said) {
      assert(storedVoicesSchema.safeParse(reputations.add(by, report)).success);
      const standing = reputations.of(report.about);
      if (standing) {
        assert(standing.reliability >= 0 && standing.reliability <= 1 && !((standing.bandwidthMbps ?? 0) > 1e7));
      }
    }
    assert(reputations.size <= 10);
  }));
});
