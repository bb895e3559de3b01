import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { PieceSet } from "./piece_set.ts";
import { type Run, TransferPlan } from "./transfer_plan.ts";

function planOf(pieces: number, had?: PieceSet): TransferPlan {
  return new TransferPlan({ pieces, random: new SeededRandom(1), ...had && { had } });
}

function range({ first, end }: Run): [number, number] {
  return [first, end];
}

/** Brings all that is left of a run, a piece each `msPerPiece`. */
function bring(plan: TransferPlan, run: Run, { fromMs = 0, msPerPiece = 10 } = {}): number {
  let nowMs = fromMs;
  while (run.next < run.end) plan.arrived(run, nowMs += msPerPiece);
  plan.end(run, { how: "over" }, nowMs);
  return nowMs;
}

Deno.test("a source is asked for a little at first, and for what it brings in a while once its speed is known", () => {
  const plan = planOf(1000);
  plan.join("a");
  const first = plan.take("a", 0)!;
  assertEquals(range(first), [0, 4]);
  const nowMs = bring(plan, first, { msPerPiece: 100 });
  assertEquals(range(plan.take("a", nowMs)!), [4, 19]);
});

Deno.test("what is there already is not asked for", () => {
  const had = new PieceSet(10);
  for (const piece of [0, 1, 4, 9]) had.add(piece);
  const plan = planOf(10, had);
  plan.join("a");
  const runs = [plan.take("a", 0)!, plan.take("a", 0)!, plan.take("a", 0)!, plan.take("a", 0)!].map(range);
  assertEquals(runs, [[2, 4], [5, 7], [7, 8], [8, 9]]);
});

Deno.test("what a source that failed did not bring is asked of another, and it rests longer each time until it is dropped", () => {
  const plan = planOf(100);
  plan.join("a");
  plan.join("b");
  const run = plan.take("a", 0)!;
  plan.arrived(run, 10);
  plan.end(run, { how: "failed", why: "gone" }, 20);
  assertEquals(range(plan.take("b", 20)!), [1, 5]);
  assert(plan.restMs("a", 20) <= 250);
  for (let failures = 2, nowMs = 20; failures <= 6; failures++) {
    nowMs += plan.restMs("a", nowMs);
    const next = plan.take("a", nowMs)!;
    plan.end(next, { how: "failed", why: "gone" }, nowMs);
    assertEquals(plan.isDropped("a"), failures === 6);
  }
  assertEquals([...plan.dropped], [["a", "gone"]]);
  assert(!plan.isStuck);
});

Deno.test("an idle source takes over the tail of whoever would be done last", () => {
  const plan = planOf(8);
  plan.join("slow");
  const run = plan.take("slow", 0)!;
  assertEquals(range(run), [0, 4]);
  const rest = plan.take("slow", 0)!;
  const last = [plan.take("slow", 0)!, plan.take("slow", 0)!];
  plan.join("fast");
  assertEquals(plan.take("slow", 0), undefined);
  const taken = plan.take("fast", 1000)!;
  assertEquals([range(taken), run.end], [[2, 4], 2]);
  assertEquals([rest, ...last].map(range), [[4, 6], [6, 7], [7, 8]]);
});

Deno.test("a last piece is asked for twice when its source has stalled, and once it is there the other run is moot", () => {
  const plan = planOf(1);
  plan.join("stalled");
  plan.join("other");
  const run = plan.take("stalled", 0)!;
  // Nothing is known of the other's speed: it might take as long.
  assertEquals(plan.take("other", 10_000), undefined);
  const known = planOf(5);
  for (const name of ["stalled", "other"]) known.join(name);
  const lastOne = known.take("stalled", 0)!;
  assertEquals(range(lastOne), [0, 2]);
  let nowMs = 0;
  let next = known.take("other", nowMs);
  while (next && next.first > 0) {
    nowMs = bring(known, next, { fromMs: nowMs });
    next = known.take("other", nowMs);
  }
  const tail = next ?? known.take("other", nowMs + 5000)!;
  assertEquals(range(tail), [0, 1]);
  const { isNew, moot } = known.arrived(tail, nowMs);
  assertEquals([isNew, moot], [true, [lastOne]]);
  known.end(tail, { how: "over" }, nowMs);
  known.end(lastOne, { how: "over" }, nowMs);
  assert(known.isDone);
  plan.end(run, { how: "over" }, 0);
});

Deno.test("when all who were asked for the last piece have stalled, whoever is known to be quick is asked as well", () => {
  const plan = planOf(12);
  for (const name of ["a", "b", "c"]) {
    plan.join(name);
    bring(plan, plan.take(name, 0)!);
  }
  // All but the last piece.
  let nowMs = 10;
  for (let run = plan.take("c", nowMs)!; run.end < 12; run = plan.take("c", nowMs)!) {
    nowMs = bring(plan, run, { fromMs: nowMs });
  }
  const [held] = plan.runsOf("c");
  plan.end(held!, { how: "paused", forMs: 0 }, nowMs);
  const first = plan.take("a", nowMs)!;
  assertEquals(range(first), [11, 12]);
  const twice = plan.take("b", nowMs + 5_000)!;
  assertEquals([range(twice), plan.take("c", nowMs + 10_000)], [[11, 12], undefined]);
  assertEquals(plan.take("a", nowMs + 60_000), undefined, "it was asked itself");
  const third = plan.take("c", nowMs + 60_000)!;
  assertEquals(range(third), [11, 12]);
  assertEquals(plan.arrived(third, nowMs + 60_010).moot, [first, twice]);
});

Deno.test("a busy source rests for as long as it says", () => {
  const plan = planOf(10);
  plan.join("a");
  plan.end(plan.take("a", 0)!, { how: "paused", forMs: 3000 }, 0);
  assertEquals([plan.take("a", 2999), plan.restMs("a", 1000)], [undefined, 2000]);
  assertEquals(range(plan.take("a", 3000)!), [0, 4]);
});

Deno.test("a source that is busy all the time is given up, one that brings something now and then is not", () => {
  const plan = planOf(10);
  plan.join("a");
  const isGivenUpBy = (nowMs: number) => {
    plan.end(plan.take("a", nowMs)!, { how: "paused", forMs: 1000 }, nowMs);
    return plan.isDropped("a");
  };
  assertEquals([0, 300_000, 599_000].map(isGivenUpBy), [false, false, false]);
  const run = plan.take("a", 700_000)!;
  plan.arrived(run, 700_000);
  plan.end(run, { how: "over" }, 700_000);
  assertEquals([700_000, 1_299_000].map(isGivenUpBy), [false, false]);
  const slow = plan.take("a", 1_350_000)!;
  assert(!isGivenUpBy(1_400_000), "something is coming yet");
  plan.end(slow, { how: "over" }, 1_499_000);
  assertEquals([isGivenUpBy(1_500_000), plan.isStuck, plan.dropped.get("a")], [true, true, "it was busy all the time"]);
});

Deno.test("a piece that has come is not asked for again for a run that has not been ended yet", () => {
  const plan = planOf(3);
  for (const name of ["stalled", "b", "c", "quick"]) plan.join(name);
  const first = plan.take("stalled", 0)!;
  bring(plan, plan.take("quick", 0)!, { fromMs: 0 });
  plan.take("stalled", 100_000);
  const again = plan.take("quick", 200_000)!;
  assertEquals(range(again), range(first));
  assertEquals(plan.arrived(again, 200_010).moot, [first]);
  plan.end(again, { how: "over" }, 200_010);
  assertEquals(range(plan.take("quick", 400_000)!), [2, 3]);
});

Deno.test("there is nobody left to ask once all have been dropped", () => {
  const plan = planOf(10);
  plan.join("a");
  assert(!plan.isStuck);
  plan.end(plan.take("a", 0)!, { how: "dropped", why: "lied" }, 0);
  plan.join("a");
  assert(plan.isStuck);
});

interface SimulatedRun {
  readonly run: Run;
  readonly source: string;
}

Deno.test("whatever sources do, every piece comes once, nobody is asked for what is there, and one honest source is enough", () => {
  const steps = fc.array(fc.tuple(fc.nat(3), fc.nat(9)), { maxLength: 400, size: "max" });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 90 }), steps, (pieces, steps) => {
      const plan = planOf(pieces);
      const names = ["honest", "b", "c", "d"];
      for (const name of names) plan.join(name);
      const open: SimulatedRun[] = [];
      const brought = new Set<number>();
      let nowMs = 0;
      const take = (source: string) => {
        const run = plan.take(source, nowMs);
        if (!run) return;
        assert(run.first < run.end && run.end <= pieces);
        for (let piece = run.first; piece < run.end; piece++) {
          assert(!brought.has(piece), "a piece that is there was asked for");
          const askers = open.filter(({ run }) => run.next <= piece && piece < run.end);
          assertLessOrEqual(askers.length, 1);
          assert(askers.every((other) => other.source !== source));
        }
        open.push({ run, source });
      };
      const step = ({ run }: SimulatedRun) => {
        if (run.next < run.end) {
          const piece = run.next;
          assertEquals(plan.arrived(run, nowMs).isNew, !brought.has(piece));
          brought.add(piece);
        }
      };
      for (const [who, deed] of steps) {
        nowMs += 37;
        const source = names[who]!;
        take(source);
        const own = open.find((other) => other.source === source);
        if (!own) continue;
        if (deed < 6) step(own);
        const isEnd = own.run.next >= own.run.end || deed === 7 || (deed > 7 && source !== "honest");
        if (!isEnd) continue;
        open.splice(open.indexOf(own), 1);
        const why = "the test says so";
        const end = own.run.next >= own.run.end
          ? { how: "over" } as const
          : deed === 7
          ? { how: "paused", forMs: 50 } as const
          : deed === 8
          ? { how: "failed", why } as const
          : { how: "dropped", why } as const;
        plan.end(own.run, end, nowMs);
      }
      // Everybody but the honest one is gone.
      for (const gone of open.filter(({ source }) => source !== "honest")) {
        open.splice(open.indexOf(gone), 1);
        plan.end(gone.run, { how: "dropped", why: "" }, nowMs);
      }
      for (let turns = 0; !plan.isDone; turns++) {
        assert(turns < 3 * pieces + 20, "it never ends");
        nowMs += 50;
        take("honest");
        for (const own of open.filter((other) => other.source === "honest")) {
          step(own);
          if (own.run.next < own.run.end) continue;
          open.splice(open.indexOf(own), 1);
          plan.end(own.run, { how: "over" }, nowMs);
        }
      }
      assertEquals(brought.size, pieces);
    }),
    { numRuns: 1000 },
  );
});
