import { assert, assertEquals } from "@std/assert";
import { migrate } from "../postgres/migrate.ts";
import { migrations } from "../postgres/migrations.ts";
import { postgresForTests } from "../postgres/fixtures/test_database.ts";
import { columnOf, createPostgresTable } from "../postgres/table.ts";
import type { TableSpec } from "./table.ts";
import { createSharingTables } from "./tables.ts";

const postgres = postgresForTests();

/** Each table's spec. */
function specs(): TableSpec<unknown>[] {
  const seen: TableSpec<unknown>[] = [];
  createSharingTables((spec) => {
    seen.push(spec as TableSpec<unknown>);
    return undefined as never;
  });
  return seen;
}

postgres.test("each table has a column for each index, an index behind it, and no others", async ({ database }) => {
  await migrate(database, migrations);
  for (const { name, indexes = {}, expiresAtMs } of specs()) {
    const columns = await database.sql<{ column_name: string }[]>`
      SELECT column_name FROM information_schema.columns WHERE table_name = ${name} AND column_name LIKE 'by\\_%'`;
    const wanted = Object.keys(indexes).map(columnOf).sort();
    assertEquals(columns.map(({ column_name }) => column_name).sort(), wanted, name);
    const definitions = await database.sql<{ indexdef: string }[]>`
      SELECT indexdef FROM pg_indexes WHERE tablename = ${name}`;
    const has = (pattern: RegExp) => definitions.some(({ indexdef }) => pattern.test(indexdef));
    for (const [index, { unique }] of Object.entries(indexes)) {
      const column = columnOf(index);
      assert(has(new RegExp(`${unique ? "UNIQUE " : ""}INDEX .*\\(${column}\\b`)), `${name} has no index on ${column}`);
    }
    assertEquals(has(/\(expires_at_ms\)/), expiresAtMs !== undefined, `${name}'s index on the end of its records`);
  }
});

postgres.test("a user of the real table is kept in PostgreSQL and found by the Telegram id", async ({ database }) => {
  await migrate(database, migrations);
  const { users } = createSharingTables((spec) => createPostgresTable(database, spec));
  const user = {
    userId: "abcdefghijkl",
    name: "Ann",
    roles: ["user" as const],
    status: "active" as const,
    tier: "standard",
    telegramId: "12345",
    createdAtMs: 1,
  };
  assert(await users.insert(user));
  assertEquals((await users.find("telegram", "12345"))?.record, user);
  assertEquals(await users.list({ index: "status", value: "suspended" }), []);
});
