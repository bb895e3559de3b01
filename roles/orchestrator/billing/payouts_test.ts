import { assert, assertEquals, assertRejects } from "@std/assert";
import { createMemoryLedger } from "../../../kv/sharing/memory_ledger.ts";
import { createMemoryTable } from "../../../kv/sharing/memory_table.ts";
import { payoutsSpec, usersSpec } from "../../../kv/sharing/tables.ts";
import {
  available,
  clientAccount,
  type LedgerStore,
  operatorAccount,
  PAYOUTS_ACCOUNT,
} from "../../../protocol/sharing/ledger.ts";
import type { Payout } from "../../../protocol/sharing/payout.ts";
import type { User } from "../../../protocol/sharing/records.ts";
import type { AuditEvent } from "../../../protocol/stored_records.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { SeededRandom } from "../../../testing/seeded_random.ts";
import { type PayoutRefusal, Payouts } from "./payouts.ts";

const DAY_MS = 86_400_000;
const OWNER = "oooooooooooo";

function operator(fields: Partial<User> = {}): User {
  const user = { userId: OWNER, name: "", roles: ["operator" as const], status: "active" as const, tier: "standard" };
  return { ...user, createdAtMs: 0, ...fields };
}

async function start({ user = operator(), earned = 10_000n, wrap = (ledger: LedgerStore) => ledger } = {}) {
  const clock = new FakeClock();
  const ledger = createMemoryLedger(clock);
  const users = createMemoryTable(clock, usersSpec);
  const table = createMemoryTable(clock, payoutsSpec);
  await users.insert(user);
  const accounts = { debit: clientAccount("cccccccccccc"), credit: operatorAccount(OWNER) };
  const funding = { debit: "payments:test", credit: accounts.debit };
  await ledger.apply([{
    id: "earned",
    transfers: [
      { id: "earned/1", phase: "posted", amount: earned, reason: "topup", ...funding },
      { id: "earned/2", phase: "posted", amount: earned, reason: "traffic", ...accounts },
    ],
  }]);
  const audited: AuditEvent[] = [];
  const auditLog = { isGone: false };
  const audit = {
    append: (event: AuditEvent) =>
      auditLog.isGone ? Promise.reject(new Error("no audit log")) : Promise.resolve(void audited.push(event)),
  };
  const random = new SeededRandom(1);
  const deps = { ledger: wrap(ledger), users, payouts: table, audit, clock, random };
  const payouts = new Payouts(deps, { smallest: 1000n });
  const earnings = async () => available(await ledger.balance(operatorAccount(OWNER)));
  const paidOut = async () => (await ledger.balance(PAYOUTS_ACCOUNT)).creditsPosted;
  const ask = (amount: bigint) => payouts.request({ userId: OWNER, amount, destination: "IBAN DE00" });
  const decide = (payoutId: string, decision: "paid" | "refused") =>
    payouts.decide({ payoutId, decision, note: "no. 17", by: "admin" });
  return { clock, ledger, users, table, payouts, audited, auditLog, earnings, paidOut, ask, decide };
}

function isPayout(result: Payout | PayoutRefusal): asserts result is Payout {
  assert(!("refusal" in result), JSON.stringify(result));
}

function refusalOf(result: Payout | PayoutRefusal): string {
  assert("refusal" in result, JSON.stringify(result));
  return result.refusal;
}

Deno.test("a payout holds the money, and once an admin has paid it the money has left", async () => {
  const { ask, decide, clock, earnings, paidOut, audited } = await start();
  const payout = await ask(4000n);
  isPayout(payout);
  assertEquals([payout.status, payout.amountMicros, await earnings(), await paidOut()], ["pending", "4000", 6000n, 0n]);
  clock.advance(7 * DAY_MS);
  const paid = await decide(payout.payoutId, "paid");
  isPayout(paid);
  assertEquals([paid.status, paid.note, await earnings(), await paidOut()], ["paid", "no. 17", 6000n, 4000n]);
  assertEquals(audited.map(({ actor, action, outcome }) => [actor, action, outcome]), [
    [OWNER, "payout.requested", "done"],
    ["admin", "payout.paid", "done"],
  ]);
});

Deno.test("a payout that is refused is the operator's again", async () => {
  const { ask, decide, earnings } = await start();
  const payout = await ask(4000n);
  isPayout(payout);
  const refused = await decide(payout.payoutId, "refused");
  isPayout(refused);
  assertEquals([refused.status, await earnings()], ["refused", 10_000n]);
});

Deno.test("the same decision again does nothing, and another one is refused", async () => {
  const { ask, decide, paidOut, clock } = await start();
  const payout = await ask(4000n);
  isPayout(payout);
  clock.advance(7 * DAY_MS);
  isPayout(await decide(payout.payoutId, "paid"));
  isPayout(await decide(payout.payoutId, "paid"));
  assertEquals(refusalOf(await decide(payout.payoutId, "refused")), "conflict");
  assertEquals(await paidOut(), 4000n);
});

Deno.test("of two admins who decide at once the first is right", async () => {
  const { ask, decide, earnings, paidOut, clock } = await start();
  const payout = await ask(4000n);
  isPayout(payout);
  clock.advance(7 * DAY_MS);
  const both = await Promise.all([decide(payout.payoutId, "paid"), decide(payout.payoutId, "refused")]);
  assertEquals(both.filter((result) => "refusal" in result).length, 1);
  assertEquals(await earnings() + await paidOut(), 10_000n);
});

Deno.test("no payout is made that the audit log does not tell of, even if that was away at first", async () => {
  const { ask, decide, clock, audited, auditLog } = await start();
  const payout = await ask(4000n);
  isPayout(payout);
  clock.advance(7 * DAY_MS);
  auditLog.isGone = true;
  await assertRejects(() => decide(payout.payoutId, "paid"), Error, "no audit log");
  auditLog.isGone = false;
  isPayout(await decide(payout.payoutId, "paid"));
  assertEquals(audited.map(({ action }) => action), ["payout.requested", "payout.paid"]);
});

Deno.test("a payout that is refused before its money is held leaves none held", async () => {
  let decideFirst = async () => {};
  const { ask, decide, payouts, earnings } = await start({
    wrap: (ledger) => ({
      ...ledger,
      transfer: (id) => ledger.transfer(id),
      async apply(sets) {
        const decideNow = decideFirst;
        decideFirst = async () => {};
        await decideNow();
        return await ledger.apply(sets);
      },
    }),
  });
  decideFirst = async () => void await decide((await payouts.list({ limit: 1 }))[0]!.payoutId, "refused");
  const payout = await ask(4000n);
  isPayout(payout);
  assertEquals([payout.status, await earnings()], ["refused", 10_000n]);
});

Deno.test("what is held for one payout is not there for the next", async () => {
  const { ask, payouts } = await start();
  isPayout(await ask(7000n));
  assertEquals(refusalOf(await ask(7000n)), "insufficient");
  assertEquals((await payouts.list({ limit: 10 })).length, 1);
});

Deno.test("a payout waits its days, and for as long as payouts of the account are held", async () => {
  const { ask, decide, clock, users, audited } = await start();
  const payout = await ask(4000n);
  isPayout(payout);
  clock.advance(7 * DAY_MS - 1);
  assertEquals(refusalOf(await decide(payout.payoutId, "paid")), "conflict");
  clock.advance(1);
  const hold = { untilMs: clock.wallNow() + DAY_MS, reason: "self-dealing" };
  const user = (await users.get(OWNER))!;
  await users.replace(user, { ...user.record, payoutHold: hold });
  const held = await decide(payout.payoutId, "paid");
  assert("refusal" in held && held.reason.includes("self-dealing"), JSON.stringify(held));
  clock.advance(DAY_MS);
  isPayout(await decide(payout.payoutId, "paid"));
  assertEquals(audited.map(({ action, outcome }) => `${action} ${outcome}`), [
    "payout.requested done",
    "payout.paid refused",
    "payout.paid refused",
    "payout.paid done",
  ]);
});

Deno.test("an operator whose payouts are held may ask, and the admin sees why to look twice", async () => {
  const payoutHold = { untilMs: 8e15, reason: "90 % of the traffic looks like the owner's own" };
  const { ask } = await start({ user: operator({ payoutHold }) });
  const payout = await ask(4000n);
  isPayout(payout);
  assertEquals(payout.flags, [payoutHold.reason]);
});

Deno.test("payouts that cannot be are refused before money is held", async () => {
  const { ask, payouts, earnings } = await start();
  assertEquals(refusalOf(await ask(999n)), "bad_request");
  const nobody = await payouts.request({ userId: "nobodynobody", amount: 5000n, destination: "x" });
  assertEquals(refusalOf(nobody), "not_found");
  for (let n = 0; n < 8; n++) isPayout(await ask(1000n));
  assertEquals(refusalOf(await ask(1000n)), "conflict");
  assertEquals(await earnings(), 2000n);
  const suspended = await start({ user: operator({ status: "suspended" }) });
  assertEquals(refusalOf(await suspended.ask(1000n)), "conflict");
});

Deno.test("payouts are listed newest first, by whom and by what became of them, in pages", async () => {
  const { ask, decide, payouts, clock } = await start();
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) {
    const payout = await ask(1000n);
    isPayout(payout);
    ids.unshift(payout.payoutId);
    clock.advance(1000);
  }
  isPayout(await decide(ids[1]!, "refused"));
  const list = async (query: Parameters<Payouts["list"]>[0]) =>
    (await payouts.list(query)).map(({ payoutId }) => payoutId);
  assertEquals(await list({ limit: 10 }), ids);
  assertEquals(await list({ userId: OWNER, status: "refused", limit: 10 }), [ids[1]!]);
  assertEquals(await list({ status: "pending", limit: 2 }), [ids[0]!, ids[2]!]);
  assertEquals(await list({ status: "pending", limit: 2, after: ids[2]! }), [ids[3]!, ids[4]!]);
  assertEquals(await list({ userId: "bbbbbbbbbbbb", limit: 10 }), []);
});

/** Kills the process at one of its questions to the ledger, before or after it was written. */
function killing(at: number, when: "before" | "after") {
  let asked = 0;
  return (ledger: LedgerStore): LedgerStore => ({
    ...ledger,
    transfer: (id) => ledger.transfer(id),
    async apply(sets) {
      const isNow = asked++ === at;
      if (isNow && when === "before") throw new Error("killed");
      const outcomes = await ledger.apply(sets);
      if (isNow) throw new Error("killed");
      return outcomes;
    },
  });
}

for (const when of ["before", "after"] as const) {
  Deno.test(`a request that was cut off ${when} the money was held is decided without any being lost`, async () => {
    const { ask, decide, payouts, earnings, paidOut, clock } = await start({ wrap: killing(0, when) });
    await ask(4000n).catch(() => {});
    const [payout] = await payouts.list({ limit: 1 });
    clock.advance(7 * DAY_MS);
    const decided = await decide(payout!.payoutId, "paid");
    if (when === "after") isPayout(decided);
    else assertEquals(refusalOf(decided), "conflict");
    const [stored] = await payouts.list({ limit: 1 });
    assertEquals(stored!.status, when === "after" ? "paid" : "refused");
    assertEquals([await earnings(), await paidOut()], when === "after" ? [6000n, 4000n] : [10_000n, 0n]);
  });

  Deno.test(`a decision that was cut off ${when} it was written is made by asking again`, async () => {
    const { ask, decide, payouts, paidOut, clock } = await start({ wrap: killing(1, when) });
    const payout = await ask(4000n);
    isPayout(payout);
    clock.advance(7 * DAY_MS);
    await decide(payout.payoutId, "paid").catch(() => {});
    // Somebody else decides otherwise, and learns what happened.
    if (when === "after") {
      assertEquals(refusalOf(await decide(payout.payoutId, "refused")), "conflict");
      assertEquals((await payouts.list({ limit: 1 }))[0]!.status, "paid");
    }
    isPayout(await decide(payout.payoutId, "paid"));
    assertEquals(await paidOut(), 4000n);
  });
}
