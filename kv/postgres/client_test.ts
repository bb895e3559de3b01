import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually } from "../../testing/waiting.ts";
import { type Database, inDatabase } from "./client.ts";
import { postgresForTests } from "./fixtures/test_database.ts";

const postgres = postgresForTests();

function ask(database: Database): Promise<unknown> {
  return inDatabase(database, "ask", (sql) => sql`SELECT 1`);
}

postgres.test("whole numbers of 64 bits come and go as bigint", async ({ database: { sql } }) => {
  const value = 2n ** 63n - 1n;
  assertEquals([...await sql`SELECT ${value}::bigint AS value, 7 AS small`], [{ value, small: 7 }]);
});

postgres.test("while the server is away each deed says so, and once it is back all is well", async ({ database, server }) => {
  const outcomes: (string | undefined)[] = [];
  const watched = { ...database, onOutcome: (error?: CulvertError) => void outcomes.push(error?.code) };
  await ask(watched);
  await server.crash();
  for (let turn = 0; turn < 3; turn++) {
    const error = await assertRejects(() => ask(watched), CulvertError, "Cannot ask: ");
    assertEquals(error.code, "store_unreachable", error.message);
  }
  await server.resume();
  await eventually("the database answers", () => ask(watched).then(() => true, () => false));
  assertEquals([outcomes.at(0), outcomes.at(1), outcomes.at(-1)], [undefined, "store_unreachable", undefined]);
});

postgres.test("many deeds at once on a server that is away all end", async ({ database, server }) => {
  await server.stop();
  const results = await Promise.allSettled(Array.from({ length: 50 }, () => ask(database)));
  assert(results.every(({ status }) => status === "rejected"));
  await server.resume();
  await eventually("the database answers", () => ask(database).then(() => true, () => false));
});

postgres.test("an answer that does not come is not waited for", async ({ database }) => {
  const clock = new FakeClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const never = inDatabase({ ...database, clock }, "ask", () => promise);
  await Promise.resolve();
  clock.advance(15_000);
  const error = await assertRejects(() => never, CulvertError, "Cannot ask: PostgreSQL has not answered for 15 s");
  assertEquals(error.code, "store_unreachable");
  resolve();
});

postgres.test("failures are told apart", async ({ database, elsewhere }) => {
  const rows: { name: string; code: string; act: () => Promise<unknown> }[] = [
    { name: "nonsense", code: "store_failed", act: () => inDatabase(database, "ask", (sql) => sql`SELECT nonsense`) },
    {
      name: "too slow",
      code: "store_contended",
      act: () =>
        inDatabase(database, "ask", (sql) =>
          sql.begin(async (transaction) => {
            await transaction`SET LOCAL statement_timeout = 10`;
            await transaction`SELECT pg_sleep(5)`;
          })),
    },
    {
      name: "closed",
      code: "store_closed",
      async act() {
        await elsewhere.sql.end();
        await ask(elsewhere);
      },
    },
  ];
  for (const { name, code, act } of rows) {
    assertEquals((await assertRejects(act, CulvertError, "Cannot ask: ", name)).code, code, name);
  }
});
