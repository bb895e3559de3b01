/** Whatever is done to a table, those on stores answer as the one in memory does. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { FakeClock } from "../../testing/fake_clock.ts";
import { openKv } from "../open.ts";
import { postgresForTests } from "../postgres/fixtures/test_database.ts";
import { migrate } from "../postgres/migrate.ts";
import { createPostgresTable } from "../postgres/table.ts";
import { type Guest, guestMigration, guestSpec } from "./fixtures/table_contract.ts";
import { createKvTable } from "./kv_table.ts";
import { createMemoryTable } from "./memory_table.ts";
import type { Table, Versioned } from "./table.ts";

const postgres = postgresForTests();

type Step =
  | { readonly does: "insert"; readonly guest: Guest }
  | { readonly does: "read" | "remove"; readonly guest: Guest }
  | { readonly does: "replace"; readonly guest: Guest }
  | { readonly does: "wait"; readonly forMs: number };

const MINUTE_MS = 60_000;
const START_MS = new FakeClock().wallNow();

const guest: fc.Arbitrary<Guest> = fc.record({
  guestId: fc.constantFrom("a", "b", "c"),
  note: fc.constantFrom("x", "y"),
  seat: fc.constantFrom("1", "2"),
  teamColour: fc.constantFrom("red", "blue"),
  // In minutes: Deno KV forgets by its own time, and must not while the fake clock says that a record counts.
  leavesAtMs: fc.integer({ min: -1, max: 6 }).map((steps) => START_MS + steps * 10 * MINUTE_MS),
}, { requiredKeys: ["guestId", "note"] }) as fc.Arbitrary<Guest>;

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ does: fc.constantFrom("insert" as const, "replace" as const), guest }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constantFrom("read" as const, "remove" as const), guest }) },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant("wait" as const),
        forMs: fc.constantFrom(5 * MINUTE_MS, 15 * MINUTE_MS),
      }),
    },
  ),
  { maxLength: 30 },
) as fc.Arbitrary<Step[]>;

/** What each step answers, and what is found after each. A record that was read before is changed as it was then. */
async function play(table: Table<Guest>, clock: FakeClock, plan: readonly Step[]): Promise<unknown[]> {
  const known = new Map<string, Versioned<Guest>>();
  const answers: unknown[] = [];
  const recordOf = (found: Versioned<Guest> | undefined) => found?.record;
  for (const step of plan) {
    if (step.does === "wait") {
      clock.advance(step.forMs);
    } else if (step.does === "insert") {
      answers.push(await table.insert(step.guest));
    } else if (step.does === "read") {
      const found = await table.get(step.guest.guestId);
      if (found) known.set(step.guest.guestId, found);
      answers.push(recordOf(found));
    } else {
      const from = known.get(step.guest.guestId);
      if (from) answers.push(step.does === "remove" ? await table.remove(from) : await table.replace(from, step.guest));
    }
    answers.push((await table.list()).map(recordOf));
    answers.push((await table.list({ index: "teamColour", value: "red" })).map(recordOf));
    answers.push(recordOf(await table.find("seat", "1")));
  }
  return answers;
}

/** Holds a table, made anew for each run, against the one in memory. */
async function checkAgainstMemory(make: (clock: FakeClock) => Promise<Table<Guest>>, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(steps, async (plan) => {
      const [clock, otherClock] = [new FakeClock(), new FakeClock()];
      const expected = await play(createMemoryTable(clock, guestSpec), clock, plan);
      assertEquals(await play(await make(otherClock), otherClock, plan), expected);
    }),
    { numRuns },
  );
}

Deno.test("a table on Deno KV answers as one in memory does, whatever is done", async () => {
  using kv = await openKv(":memory:");
  let run = 0;
  await checkAgainstMemory((clock) => {
    return Promise.resolve(createKvTable(kv, clock, guestSpec, { space: `run ${++run}` }));
  }, 100);
});

postgres.test("a table on PostgreSQL answers as one in memory does, whatever is done", async ({ database }) => {
  await migrate(database, [guestMigration]);
  await checkAgainstMemory(async (clock) => {
    await database.sql`TRUNCATE guests`;
    return createPostgresTable({ ...database, clock }, guestSpec);
  }, 30);
});
