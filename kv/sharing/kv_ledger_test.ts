import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import {
  available,
  MAX_SET_ID,
  MAX_SET_TRANSFERS,
  MAX_TRANSFER_NAME,
  type TransferSet,
} from "../../protocol/sharing/ledger.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { createKvLeases } from "../leases.ts";
import { openKv } from "../open.ts";
import { crashingKv } from "./fixtures/crashing_kv.ts";
import { testLedger } from "./fixtures/ledger_contract.ts";
import { testCrashes } from "./fixtures/ledger_crashes.ts";
import { client, hold, setOf, topup } from "./fixtures/ledger_sets.ts";
import { createKvLedger } from "./kv_ledger.ts";

testLedger("in Deno KV", async (use) => {
  const clock = new FakeClock();
  using kv = await openKv(":memory:");
  const open = () => createKvLedger(kv, clock, { space: "test" });
  await use({ clock, store: open(), reopen: () => Promise.resolve(open()) });
});

testCrashes("in Deno KV", {
  runs: 100,
  async withStore(use) {
    const clock = new FakeClock();
    using kv = await openKv(":memory:");
    await use({ open: (crash) => createKvLedger(crashingKv(kv, crash), clock, { space: "test" }) }, clock);
  },
});

Deno.test("ledger in Deno KV: two processes that both write decide upon what the other has done", async () => {
  const clock = new FakeClock();
  using kv = await openKv(":memory:");
  const ledgers = [0, 1].map(() => createKvLedger(kv, clock, { space: "test" }));
  await ledgers[0]!.apply([topup("t", 100n)]);
  const until = clock.wallNow() + 60_000;
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, (_, n) => ledgers[n % 2]!.apply([hold(`h${n % 19}`, 30n, until)])),
  );
  const applied = outcomes.flat().filter(({ status }) => status === "applied").length;
  assertEquals([applied, available(await createKvLedger(kv, clock, { space: "test" }).balance(client))], [3, 10n]);
});

Deno.test("ledger in Deno KV: whoever has lost the lease moves no money any more", async () => {
  const clock = new FakeClock();
  using kv = await openKv(":memory:");
  const leases = createKvLeases(kv, clock, { space: "test" });
  const { fence } = await leases.take("one");
  const ledger = createKvLedger(kv, clock, { space: "test", guard: { fence } });
  await ledger.apply([topup("t", 100n)]);
  await leases.take("other");
  const error = await assertRejects(() => ledger.apply([topup("u", 100n)]), CulvertError);
  assertEquals([error.code, (await ledger.balance(client)).creditsPosted], ["store_fenced", 100n]);
});

Deno.test("ledger in Deno KV: a record of another version is an error, not an empty account", async () => {
  using kv = await openKv(":memory:");
  await kv.set(["test", "ledger", "account", client], { balance: 12 });
  const ledger = createKvLedger(kv, new FakeClock(), { space: "test" });
  const error = await assertRejects(() => ledger.balance(client), CulvertError, `account ${client}`);
  assertEquals(error.code, "store_unreadable");
});

Deno.test("ledger in Deno KV: the largest sets there may be, one after the other", async () => {
  const clock = new FakeClock();
  using kv = await openKv(":memory:");
  const ledger = createKvLedger(kv, clock, { space: "test" });
  const sets = Array.from({ length: 20 }, (_, number) => largestSet(number, clock.wallNow() + 1000));
  const outcomes = await ledger.apply(sets);
  assertEquals(new Set(outcomes.map(({ status, detail }) => `${status} ${detail}`)), new Set(["applied undefined"]));
  clock.advance(1000);
  assertEquals(await ledger.expire(1000), 20 * 32);
});

/** As many transfers, accounts, pending ones and memos as there may be, with the longest names. */
function largestSet(number: number, expiresAtMs: number): TransferSet {
  const id = `${number}`.padEnd(MAX_SET_ID, "x");
  const person = `p${number}`.padEnd(64, "y");
  const each = { memo: { note: "é".repeat(50) }, amount: 1n, reason: "correction" } as const;
  const transfers = Array.from({ length: MAX_SET_TRANSFERS / 2 }, (_, at) =>
    [
      { ...each, name: `in${at}`.padEnd(MAX_TRANSFER_NAME, "z"), debit: "promotions", credit: `client:${person}` },
      { ...each, name: `held${at}`.padEnd(MAX_TRANSFER_NAME, "z"), debit: `client:${person}`, credit: "holds" },
    ] as const);
  return setOf(
    id,
    ...transfers.map(([gift]) => ({ ...gift, phase: "posted" as const })),
    ...transfers.map(([, held]) => ({ ...held, phase: "pending" as const, expiresAtMs })),
  );
}
