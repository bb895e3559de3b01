import { assert, assertEquals, assertRejects } from "@std/assert";
import { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { openKv } from "../open.ts";
import { createPostgresTable } from "../postgres/table.ts";
import { testSharingStore } from "./fixtures/stores_contract.ts";
import { type Guest, guestMigration, guestSchema, guestSpec, tableCases } from "./fixtures/table_contract.ts";
import { createKvTable } from "./kv_table.ts";
import { createMemoryTable } from "./memory_table.ts";
import type { Table, TableSpec } from "./table.ts";

const postgres = testSharingStore("a table", {
  memory: (clock) => createMemoryTable(clock, guestSpec),
  kv: (kv, clock) => createKvTable(kv, clock, guestSpec, { space: "test" }),
  postgres: (database) => createPostgresTable(database, guestSpec),
  migrations: [guestMigration],
}, tableCases);

/** As another version of the program has it, whose notes are numbers. */
const otherSpec = {
  ...guestSpec,
  schema: guestSchema.extend({ note: z.number() }),
} as unknown as TableSpec<Guest>;

/** Of three records the one in the middle is another version's. */
async function checkOtherVersion(table: Table<Guest>, other: Table<Guest>): Promise<void> {
  await table.insert({ guestId: "a", note: "mine", teamColour: "red" });
  await other.insert({ guestId: "b", note: 7 as unknown as string, seat: "1", teamColour: "red" });
  await table.insert({ guestId: "c", note: "mine", teamColour: "red" });
  assertEquals([await table.get("b"), await table.find("seat", "1")], [undefined, undefined]);
  for (const where of [undefined, { index: "teamColour", value: "red" }]) {
    const page = await table.list(where, { limit: 2 });
    assertEquals(page.map(({ record }) => record.guestId), ["a", "c"]);
  }
  assert(!await table.insert({ guestId: "b", note: "mine" }));
  assert(!await table.insert({ guestId: "d", note: "mine", seat: "1" }));
  assertEquals((await other.get("b"))?.record.note, 7 as unknown as string);
}

Deno.test("in Deno KV what is of another version is not found, and not overwritten", async () => {
  using kv = await openKv(":memory:");
  const clock = new FakeClock();
  const make = (spec: TableSpec<Guest>) => createKvTable(kv, clock, spec, { space: "test" });
  await checkOtherVersion(make(guestSpec), make(otherSpec));
});

postgres.test("in PostgreSQL what is of another version is not found, and not overwritten", ({ database }) => {
  return checkOtherVersion(createPostgresTable(database, guestSpec), createPostgresTable(database, otherSpec));
});

Deno.test("a table in memory has a bound, and makes room of what has ended", async () => {
  const clock = new FakeClock();
  const table = createMemoryTable(clock, guestSpec, { maxRecords: 2 });
  await table.insert({ guestId: "a", note: "", leavesAtMs: clock.wallNow() + 10 });
  await table.insert({ guestId: "b", note: "" });
  const error = await assertRejects(() => table.insert({ guestId: "c", note: "" }), CulvertError, "at most 2 records");
  assertEquals(error.code, "store_full");
  clock.advance(10);
  assert(await table.insert({ guestId: "c", note: "" }));
});

postgres.test("what has ended is cleared away in PostgreSQL by those who add", async ({ database }) => {
  const clock = new FakeClock();
  const table = createPostgresTable({ ...database, clock }, guestSpec);
  for (const guestId of ["a", "b"]) await table.insert({ guestId, note: "", leavesAtMs: clock.wallNow() + 10 });
  clock.advance(60_000);
  await table.insert({ guestId: "c", note: "" });
  assertEquals([...await database.sql`SELECT id FROM guests`], [{ id: "c" }]);
});

postgres.test("while PostgreSQL is away a table says so, and then goes on", async ({ database, server }) => {
  const table = createPostgresTable(database, guestSpec);
  await table.insert({ guestId: "a", note: "" });
  await server.crash();
  const error = await assertRejects(() => table.get("a"), CulvertError, "Cannot look in guests: ");
  assertEquals(error.code, "store_unreachable");
  await server.resume();
  assertEquals((await table.get("a"))?.record.guestId, "a");
});
