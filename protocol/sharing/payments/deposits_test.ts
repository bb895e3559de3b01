import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { createMemoryLedger } from "../../../kv/sharing/memory_ledger.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import {
  available,
  clientAccount,
  FEES_ACCOUNT,
  type LedgerStore,
  operatorAccount,
  paymentsAccount,
  transferId,
} from "../ledger.ts";
import type { Micros } from "../money.ts";
import { Deposits } from "./deposits.ts";
import type { PaymentEvent } from "./provider.ts";

const USER = "aaaaaaaaaaaa";
const at = { atMs: 0, paymentId: "pi_1" };
const paid: PaymentEvent = { ...at, eventId: "evt_1", kind: "paid", userId: USER, amount: 1000n };
const refunded = (total: Micros, eventId = `evt_refund_${total}`): PaymentEvent => ({
  ...at,
  eventId,
  kind: "refunded",
  total,
});
const disputed: PaymentEvent = { ...at, eventId: "evt_3", kind: "disputed", disputeId: "dp_1", amount: 1000n };
const won: PaymentEvent = { ...at, eventId: "evt_4", kind: "dispute_won", disputeId: "dp_1" };

function start() {
  const ledger = createMemoryLedger(new FakeClock());
  const deposits = new Deposits(ledger);
  return {
    ledger,
    tell: (event: PaymentEvent) => deposits.apply("stripe", event),
    client: async () => available(await ledger.balance(clientAccount(USER))),
    fees: async () => available(await ledger.balance(FEES_ACCOUNT)),
    spend: (amount: Micros) => spend(ledger, amount),
  };
}

let spent = 0;

async function spend(ledger: LedgerStore, amount: Micros): Promise<void> {
  const id = `spend:${spent++}`;
  const accounts = { debit: clientAccount(USER), credit: operatorAccount("oooooooooooo") };
  const transfer = { id: transferId(id, "x"), phase: "posted", amount, reason: "traffic", ...accounts } as const;
  await ledger.apply([{ id, transfers: [transfer] }]);
}

Deno.test("a payment is credited once, however often and by whichever events it is told", async () => {
  const { tell, client, ledger } = start();
  assertEquals(await tell(paid), { status: "applied", userId: USER, amount: 1000n, loss: 0n });
  assertEquals(await tell(paid), { status: "known" });
  assertEquals(await tell({ ...paid, eventId: "evt_2" }), { status: "known" });
  assertEquals(await client(), 1000n);
  const transfer = await ledger.transfer(transferId("paid:stripe:pi_1", "topup"));
  assertEquals(transfer!.memo, { event: "evt_1", payment: "pi_1" });
});

Deno.test("a payment that is told differently is not credited, and somebody is to look", async () => {
  const { tell, client } = start();
  await tell(paid);
  assertEquals((await tell({ ...paid, eventId: "evt_2", amount: 5000n } as PaymentEvent)).status, "conflict");
  assertEquals((await tell({ ...paid, eventId: "evt_2", userId: "bbbbbbbbbbbb" } as PaymentEvent)).status, "conflict");
  assertEquals(await client(), 1000n);
});

Deno.test("one provider's payment is not another's, though they are called the same", async () => {
  const { ledger, client } = start();
  const deposits = new Deposits(ledger);
  await deposits.apply("stripe", paid);
  assertEquals((await deposits.apply("telegram", paid)).status, "applied");
  assertEquals(await client(), 2000n);
});

Deno.test("ids of any length and letters are told apart", async () => {
  const { tell, client } = start();
  const ids = ["x".repeat(255), "y".repeat(255), "a/b c", "a/b d", "ü"];
  for (const paymentId of ids) assertEquals((await tell({ ...paid, paymentId } as PaymentEvent)).status, "applied");
  for (const paymentId of ids) assertEquals((await tell({ ...paid, paymentId } as PaymentEvent)).status, "known");
  assertEquals(await client(), 5000n);
});

Deno.test("refunds are told as sums, in any order, and each part is taken once", async () => {
  const { tell, client } = start();
  await tell(paid);
  assertEquals(await tell(refunded(600n)), { status: "applied", userId: USER, amount: 600n, loss: 0n });
  assertEquals(await tell(refunded(200n)), { status: "known" });
  assertEquals(await tell(refunded(600n)), { status: "known" });
  assertEquals(await tell(refunded(1000n)), { status: "applied", userId: USER, amount: 400n, loss: 0n });
  assertEquals(await tell(refunded(5000n)), { status: "known" });
  assertEquals(await client(), 0n);
});

Deno.test("what comes before the payment it is about is early, and changes nothing", async () => {
  const { tell, client, ledger } = start();
  const failed: PaymentEvent = { ...at, eventId: "evt_9", kind: "refund_failed", refundId: "re_1", amount: 10n };
  for (const event of [refunded(100n), disputed, won, failed]) {
    assertEquals(await tell(event), { status: "early" }, event.kind);
  }
  assertEquals((await ledger.totals()).debitsPosted, 0n);
  await tell(paid);
  assertEquals(await tell(won), { status: "early" });
  assertEquals((await tell(refunded(100n))).status, "applied");
  assertEquals(await client(), 900n);
});

Deno.test("money taken back that the client has spent is the house's loss, and nobody is overdrawn", async () => {
  const { tell, client, fees, spend } = start();
  await tell(paid);
  await spend(700n);
  assertEquals(await tell(disputed), { status: "applied", userId: USER, amount: 1000n, loss: 700n });
  assertEquals([await client(), await fees()], [0n, -700n]);
  assertEquals(await tell(disputed), { status: "known" });
  assertEquals(await tell(won), { status: "applied", userId: USER, amount: 1000n, loss: 0n });
  assertEquals(await tell(won), { status: "known" });
  assertEquals([await client(), await fees()], [300n, 0n]);
});

Deno.test("a refund that failed gives the money back to the client", async () => {
  const { tell, client } = start();
  await tell(paid);
  await tell(refunded(400n));
  const failed: PaymentEvent = { ...at, eventId: "evt_9", kind: "refund_failed", refundId: "re_1", amount: 400n };
  assertEquals((await tell(failed)).status, "applied");
  assertEquals(await tell({ ...failed, eventId: "evt_10" }), { status: "known" });
  assertEquals(await client(), 1000n);
});

/** Fails before or after it has written, as the plan says. */
function faulty(ledger: LedgerStore, plan: readonly ("before" | "after" | undefined)[]) {
  let asked = 0;
  return {
    balance: (account: string) => ledger.balance(account),
    transfer: (id: string) => ledger.transfer(id),
    async apply(sets: Parameters<LedgerStore["apply"]>[0]) {
      const fault = plan[asked++];
      if (fault === "before") throw new Error("the ledger fails");
      const outcomes = await ledger.apply(sets);
      if (fault === "after") throw new Error("the ledger fails, and has written");
      return outcomes;
    },
  };
}

Deno.test("events in any order, again and again, at once, over a ledger that fails, come to the same money", async () => {
  const events = [
    paid,
    refunded(250n),
    refunded(400n),
    disputed,
    won,
    { ...paid, eventId: "evt_again" } as PaymentEvent,
  ];
  const order = fc.array(fc.constantFrom(...events), { maxLength: 30 });
  const plan = fc.array(fc.constantFrom(undefined, undefined, "before" as const, "after" as const), { maxLength: 40 });
  await fc.assert(fc.asyncProperty(order, plan, fc.nat(1000), fc.nat(5), async (order, plan, use, together) => {
    const ledger = createMemoryLedger(new FakeClock());
    const deposits = new Deposits(faulty(ledger, plan));
    let hasSpent = false;
    // As providers do it: what was not answered well comes again.
    let waiting = [...order, ...events];
    while (waiting.length > 0) {
      const batch = waiting.slice(0, together + 1);
      const results = await Promise.all(
        batch.map((event) => deposits.apply("stripe", event).catch(() => ({ status: "early" }))),
      );
      waiting = [...waiting.slice(together + 1), ...batch.filter((_, at) => results[at]!.status === "early")];
      const client = available(await ledger.balance(clientAccount(USER)));
      assert(client >= 0n, "nobody is overdrawn");
      if (!hasSpent && client >= BigInt(use) && use > 0) {
        hasSpent = true;
        await spend(ledger, BigInt(use));
      }
      const totals = await ledger.totals();
      assertEquals(totals.debitsPosted, totals.creditsPosted);
    }
    const spentNow = hasSpent ? BigInt(use) : 0n;
    const client = available(await ledger.balance(clientAccount(USER)));
    const loss = -available(await ledger.balance(FEES_ACCOUNT));
    const stripe = available(await ledger.balance(paymentsAccount("stripe")));
    // 1000 came in, 400 went back, and the dispute was lost and won.
    assertEquals(stripe, -600n);
    assertEquals(client - loss + spentNow, 600n);
  }));
});
