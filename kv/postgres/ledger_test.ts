import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { available, FEES_ACCOUNT, type LedgerStore } from "../../protocol/sharing/ledger.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually } from "../../testing/waiting.ts";
import { testLedger } from "../sharing/fixtures/ledger_contract.ts";
import { testCrashes } from "../sharing/fixtures/ledger_crashes.ts";
import { client, hold, operator, setOf, tick, topup } from "../sharing/fixtures/ledger_sets.ts";
import { crashingSql } from "./fixtures/crashing_sql.ts";
import { postgresForTests } from "./fixtures/test_database.ts";
import { createPostgresLedger } from "./ledger.ts";
import { migrate } from "./migrate.ts";
import { migrations } from "./migrations.ts";

const postgres = postgresForTests();

testLedger("in PostgreSQL", async (use) => {
  const clock = new FakeClock();
  await using test = await postgres.open(clock);
  await migrate(test.database, migrations);
  const store = createPostgresLedger(test.database);
  await use({ clock, store, reopen: () => Promise.resolve(createPostgresLedger(test.elsewhere)) });
});

testCrashes("in PostgreSQL", {
  runs: 10,
  isShared: true,
  async withStore(use) {
    const clock = new FakeClock();
    await using test = await postgres.open(clock);
    await migrate(test.database, migrations);
    const { sql } = test.database;
    await use({ open: (crash) => createPostgresLedger({ sql: crashingSql(sql, crash), clock }) }, clock);
  },
});

postgres.test("ledger in PostgreSQL: processes at once never overdraw an account, nor do anything twice", async (test) => {
  await migrate(test.database, migrations);
  const ledgers = [test.database, test.elsewhere].map(createPostgresLedger);
  await ledgers[0]!.apply([topup("t", 100n)]);
  const until = Date.now() + 60_000;
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, (_, n) => ledgers[n % 2]!.apply([hold(`h${n >> 1}`, 30n, until)])),
  );
  const statuses = outcomes.flat().map(({ status }) => status);
  assertEquals(statuses.filter((status) => status === "applied").length, 3);
  assertEquals(available(await ledgers[1]!.balance(client)), 10n);
  const [one, other] = await Promise.all(ledgers.map((ledger) => ledger.apply([gift("same")])));
  assertEquals([one![0]!.status, other![0]!.status].sort(), ["applied", "exists"]);
  assertEquals((await ledgers[0]!.balance("promotions")).debitsPosted, 5n);
});

postgres.test("ledger in PostgreSQL: who has seen one of an operator's transfers has seen all before it", async (test) => {
  await migrate(test.database, migrations);
  const ledger = createPostgresLedger(test.database);
  await charge(ledger, 0);
  await ledger.apply([topup("t", 10n), hold("h", 10n, Date.now() + 60_000)]);
  const elsewhere = test.elsewhere.sql;
  // Somebody is about to credit the operator: who comes later is given a later number, not one now to be seen later.
  const [charging, lastBefore] = await elsewhere.begin(async (sql) => {
    await sql`SELECT FROM ledger_accounts WHERE account = ${operator} FOR UPDATE`;
    const charging = ledger.apply([tick("s", { hold: "h", amount: 3n, fee: 1n })]);
    await eventually("a wait for the operator's row", async () => {
      return (await elsewhere`SELECT FROM pg_locks WHERE NOT granted`).length > 0;
    });
    const [row] = await sql<{ last: bigint }[]>`
      SELECT last_value AS last FROM pg_sequences WHERE sequencename = 'billing_history_sequence_seq'`;
    return [{ done: charging }, Number(row!.last)] as const;
  });
  await charging.done;
  assertEquals((await ledger.transfer("s/pay"))!.sequence > lastBefore, true);
});

postgres.test("ledger in PostgreSQL: what the house has is the sum over all processes", async (test) => {
  await migrate(test.database, migrations);
  const ledgers = [test.database, test.elsewhere].map(createPostgresLedger);
  await Promise.all(ledgers.map((ledger, number) => charge(ledger, number)));
  for (const ledger of ledgers) assertEquals((await ledger.balance(FEES_ACCOUNT)).creditsPosted, 2n);
  const rows = await test.database.sql`SELECT shard FROM ledger_accounts WHERE account = ${FEES_ACCOUNT}`;
  assertEquals(rows.length, 2);
});

postgres.test("ledger in PostgreSQL: the database itself refuses to rewrite history and to overdraw", async (test) => {
  await migrate(test.database, migrations);
  await createPostgresLedger(test.database).apply([topup("t", 100n)]);
  const rows: readonly [statement: string, says: string][] = [
    ["UPDATE billing_history SET amount = 1", "append-only"],
    ["DELETE FROM billing_history", "append-only"],
    ["TRUNCATE billing_history", "append-only"],
    [`UPDATE ledger_accounts SET debits_posted = 101 WHERE account = '${client}'`, "never_overdrawn"],
    [`UPDATE ledger_accounts SET debits_pending = 101 WHERE account = '${client}'`, "never_overdrawn"],
    [`UPDATE ledger_accounts SET debits_pending = -1 WHERE account = '${client}'`, "never_overdrawn"],
  ];
  for (const [statement, says] of rows) {
    const error = await assertRejects(() => test.database.sql.unsafe(statement), Error);
    assertStringIncludes(error.message, says, statement);
  }
});

/** From the house to the house: no row is locked that both would need. */
function gift(id: string) {
  return setOf(id, {
    name: "x",
    phase: "posted",
    debit: "promotions",
    credit: "payouts",
    amount: 5n,
    reason: "correction",
  });
}

async function charge(ledger: LedgerStore, number: number): Promise<void> {
  const id = `${number}`;
  const debit = `${client}${number}`;
  await ledger.apply([topup(`t${id}`, 10n, debit), hold(`h${id}`, 10n, Date.now() + 60_000, debit)]);
  await ledger.apply([tick(`p${id}`, { hold: `h${id}`, amount: 3n, fee: 1n, debit, credit: operator })]);
}
