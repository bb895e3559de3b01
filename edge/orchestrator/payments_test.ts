import { assert, assertEquals } from "@std/assert";
import { createMemoryLedger } from "../../kv/sharing/memory_ledger.ts";
import { silentLog } from "../../protocol/log.ts";
import { available, clientAccount, type LedgerStore } from "../../protocol/sharing/ledger.ts";
import { Deposits } from "../../protocol/sharing/payments/deposits.ts";
import {
  newStripe,
  newTelegram,
  paidSession,
  starsPaid,
  stripeBody,
  type StripeEventFields,
  stripeHeader,
  TELEGRAM_SECRET,
  USER,
} from "../../protocol/sharing/payments/fixtures/webhooks.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { AccessAudit } from "./access/audit.ts";
import { paymentRoutes } from "./payments.ts";

function start(
  { refusal = undefined as string | undefined, ledger = createMemoryLedger(new FakeClock()), microsPerStar = 13_000n } =
    {},
) {
  const clock = new FakeClock();
  const audited: AuditEvent[] = [];
  const trail = { append: (event: AuditEvent) => Promise.resolve(audited.push(event)) };
  let isGone = false;
  const apply: LedgerStore["apply"] = (sets) => isGone ? Promise.reject(new Error("no database")) : ledger.apply(sets);
  const deposits = new Deposits({ apply, balance: (id) => ledger.balance(id), transfer: (id) => ledger.transfer(id) });
  const app = paymentRoutes({
    providers: [newStripe(), newTelegram(undefined, microsPerStar)],
    deposits,
    refusalOfPayer: () => Promise.resolve(refusal),
    audit: new AccessAudit({ audit: trail, clock, log: silentLog }),
    clock,
  });
  const post = async (path: string, body: string, headers: Record<string, string>) => {
    const answer = await app.request(path, { method: "POST", body, headers }, { remoteAddress: "192.0.2.1" });
    await settle();
    return { status: answer.status, body: await answer.json(), headers: answer.headers };
  };
  return {
    clock,
    audited,
    balance: async () => available(await ledger.balance(clientAccount(USER))),
    stripe: (fields: StripeEventFields, header?: string) => {
      const body = stripeBody(fields);
      return post("/v1/payments/stripe", body, { "stripe-signature": header ?? stripeHeader(body) });
    },
    telegram: (update: unknown, secret = TELEGRAM_SECRET) =>
      post("/v1/payments/telegram", JSON.stringify(update), { "x-telegram-bot-api-secret-token": secret }),
    post,
    loseLedger: (is: boolean) => void (isGone = is),
  };
}

const paid = { type: "checkout.session.completed", object: paidSession() };
const refunded = {
  id: "evt_2",
  type: "charge.refunded",
  object: { payment_intent: "pi_1", amount_refunded: 400, currency: "usd", metadata: { culvert_user: USER } },
};

Deno.test("a payment arrives in the account, once, and in the audit log; that it was replayed is there too", async () => {
  const { stripe, balance, audited } = start();
  assertEquals((await stripe(paid)).status, 200);
  assertEquals((await stripe(paid)).status, 200);
  assertEquals(await balance(), 10_000_000n);
  assertEquals(audited, [{
    actor: "stripe",
    action: "payment.paid",
    subject: USER,
    outcome: "done",
    detail: "paid 10.00 of pi_1",
  }, {
    actor: "stripe",
    action: "payment.replayed",
    subject: "pi_1",
    outcome: "refused",
    detail: "evt_1: paid of pi_1 was dealt with before",
  }]);
});

Deno.test("a webhook that is replayed when it is old is refused, and the reason is in the audit log", async () => {
  const { stripe, balance, audited, clock } = start();
  const header = stripeHeader(stripeBody(paid));
  await stripe(paid, header);
  clock.advance(301_000);
  const replayed = await stripe(paid, header);
  assertEquals([replayed.status, replayed.body.code], [401, "bad_signature"]);
  assertEquals(await balance(), 10_000_000n);
  const { actor, action, outcome, detail } = audited[1]!;
  assertEquals([actor, action, outcome], ["192.0.2.1", "payment.forged", "refused"]);
  assert(detail!.includes("300 s"), detail);
});

Deno.test("a webhook that nobody signed moves nothing", async () => {
  const { stripe, telegram, balance, audited } = start();
  assertEquals((await stripe(paid, "t=1,v1=00")).status, 401);
  assertEquals((await telegram(starsPaid(), "guessed")).status, 401);
  assertEquals(await balance(), 0n);
  assertEquals(audited.map(({ outcome, subject }) => [outcome, subject]), [["refused", "stripe"], [
    "refused",
    "telegram",
  ]]);
});

Deno.test("a refund before its payment is asked for again, and counts when it comes after it", async () => {
  const { stripe, balance } = start();
  const early = await stripe(refunded);
  assertEquals([early.status, early.headers.get("retry-after")], [503, "60"]);
  await stripe(paid);
  assertEquals((await stripe(refunded)).status, 200);
  assertEquals(await balance(), 6_000_000n);
});

Deno.test("while the ledger is away webhooks are asked for again", async () => {
  const { stripe, balance, loseLedger } = start();
  loseLedger(true);
  assertEquals((await stripe(paid)).status, 503);
  loseLedger(false);
  assertEquals((await stripe(paid)).status, 200);
  assertEquals(await balance(), 10_000_000n);
});

Deno.test("an event in another currency is not asked for again, but somebody is to look", async () => {
  const { stripe, balance, audited } = start();
  assertEquals((await stripe({ ...paid, object: paidSession({ currency: "eur" }) })).status, 200);
  assertEquals(await balance(), 0n);
  assertEquals(audited.map(({ outcome, subject }) => [outcome, subject]), [["refused", "wrong"]]);
});

Deno.test("Stars arrive in the account", async () => {
  const { telegram, balance } = start();
  assertEquals((await telegram(starsPaid())).status, 200);
  assertEquals((await telegram(starsPaid("successful_payment", 8))).status, 200);
  assertEquals(await balance(), 1_300_000n);
  assertEquals((await telegram(starsPaid("refunded_payment", 9))).status, 200);
  assertEquals(await balance(), 0n);
});

Deno.test("Stars that are given back take all that they had brought, whatever they are worth by then", async () => {
  const ledger = createMemoryLedger(new FakeClock());
  await start({ ledger }).telegram(starsPaid());
  const { telegram, balance } = start({ ledger, microsPerStar: 5_000n });
  assertEquals(await balance(), 1_300_000n);
  assertEquals((await telegram(starsPaid("refunded_payment", 9))).status, 200);
  assertEquals(await balance(), 0n);
});

Deno.test("whether Stars may be paid is answered at once", async () => {
  const invoice = { currency: "XTR", total_amount: 100, invoice_payload: `culvert:${USER}:order1` };
  const question = { update_id: 1, pre_checkout_query: { id: "q1", ...invoice } };
  assertEquals((await start().telegram(question)).body, {
    method: "answerPreCheckoutQuery",
    pre_checkout_query_id: "q1",
    ok: true,
  });
  const { body } = await start({ refusal: "The account is suspended." }).telegram(question);
  assertEquals([body.ok, body.error_message], [false, "The account is suspended."]);
});

Deno.test("a webhook that is too large is not read, and one of an unknown provider is not found", async () => {
  const { post } = start();
  assertEquals((await post("/v1/payments/stripe", "x".repeat(300_000), {})).status, 413);
  const answer = await paymentRoutes({
    providers: [],
    deposits: { apply: () => Promise.reject(new Error("must not be asked")) },
    refusalOfPayer: () => Promise.resolve(undefined),
    audit: { note: () => Promise.resolve(), refused() {} },
    clock: new FakeClock(),
  }).request("/v1/payments/stripe", { method: "POST" });
  assertEquals(answer.status, 404);
});
