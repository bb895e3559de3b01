import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { mutationsOf } from "../../../testing/fuzz.ts";
import { CulvertError } from "../../errors.ts";
import { currencyOf } from "./currency.ts";
import { newStripe, NOW_MS, paidSession, stripeHeader, stripeWebhook, USER } from "./fixtures/webhooks.ts";
import type { PaymentEvent } from "./provider.ts";
import { Stripe } from "./stripe.ts";

const about = { eventId: "evt_1", paymentId: "pi_1", atMs: NOW_MS };
const metadata = { culvert_user: USER };
const charge = { id: "ch_1", payment_intent: "pi_1", amount: 1000, amount_refunded: 400, currency: "usd", metadata };
const dispute = { id: "dp_1", charge: "ch_1", payment_intent: "pi_1", amount: 1000, currency: "usd" };
const refund = { id: "re_1", payment_intent: "pi_1", amount: 400, currency: "usd", status: "failed" };

const events: { name: string; type: string; object: Record<string, unknown>; event: PaymentEvent }[] = [
  {
    name: "a session that was paid",
    type: "checkout.session.completed",
    object: paidSession(),
    event: { ...about, kind: "paid", userId: USER, amount: 10_000_000n },
  },
  {
    name: "a session that was paid days later",
    type: "checkout.session.async_payment_succeeded",
    object: paidSession(),
    event: { ...about, kind: "paid", userId: USER, amount: 10_000_000n },
  },
  {
    name: "a session whose payment is an object",
    type: "checkout.session.completed",
    object: paidSession({ payment_intent: { id: "pi_1", status: "succeeded" } }),
    event: { ...about, kind: "paid", userId: USER, amount: 10_000_000n },
  },
  {
    name: "a part that was given back",
    type: "charge.refunded",
    object: charge,
    event: { ...about, kind: "refunded", total: 4_000_000n },
  },
  {
    name: "what was to be given back and came again",
    type: "refund.failed",
    object: refund,
    event: { ...about, kind: "refund_failed", refundId: "re_1", amount: 4_000_000n },
  },
  {
    name: "money that the bank took",
    type: "charge.dispute.funds_withdrawn",
    object: dispute,
    event: { ...about, kind: "disputed", disputeId: "dp_1", amount: 10_000_000n },
  },
  {
    name: "money that the bank brought again",
    type: "charge.dispute.funds_reinstated",
    object: dispute,
    event: { ...about, kind: "dispute_won", disputeId: "dp_1" },
  },
];
for (const { name, type, object, event } of events) {
  Deno.test(`Stripe tells of ${name}`, () => {
    assertEquals(newStripe().readWebhook(stripeWebhook({ type, object }), NOW_MS), { kind: "event", event });
  });
}

const nothings: [string, string, Record<string, unknown>][] = [
  ["a session whose money is still to come", "checkout.session.completed", paidSession({ payment_status: "unpaid" })],
  ["a session of another shop", "checkout.session.completed", paidSession({ metadata: {} })],
  ["a session with another's user", "checkout.session.completed", paidSession({ metadata: { culvert_user: "Bob!" } })],
  ["a subscription", "checkout.session.completed", paidSession({ mode: "subscription" })],
  ["a charge of another shop", "charge.refunded", { ...charge, metadata: {} }],
  ["a refund that goes well", "charge.refund.updated", { ...refund, status: "succeeded" }],
  ["a dispute of what has no payment", "charge.dispute.funds_withdrawn", { ...dispute, payment_intent: null }],
  ["a dispute that has only begun", "charge.dispute.created", dispute],
  ["what nobody has heard of", "invoice.paid", { id: "in_1" }],
];
for (const [name, type, object] of nothings) {
  Deno.test(`Stripe's ${name} is nothing to us`, () => {
    assertEquals(newStripe().readWebhook(stripeWebhook({ type, object }), NOW_MS), { kind: "nothing" });
  });
}

const wrongs: [string, Parameters<typeof stripeWebhook>[0]][] = [
  ["in another currency", { type: "checkout.session.completed", object: paidSession({ currency: "eur" }) }],
  ["of nothing", { type: "checkout.session.completed", object: paidSession({ amount_total: 0 }) }],
  ["of a fraction of a cent", { type: "checkout.session.completed", object: paidSession({ amount_total: 10.5 }) }],
  ["of live mode, to a test key", { type: "checkout.session.completed", object: paidSession(), livemode: true }],
  ["without an object", { type: "charge.refunded", object: {} }],
];
for (const [name, fields] of wrongs) {
  Deno.test(`an event ${name} is for somebody to look at`, () => {
    assertEquals(newStripe().readWebhook(stripeWebhook(fields), NOW_MS).kind, "wrong");
  });
}

Deno.test("an event that Stripe did not sign, or signed long ago, is forged", () => {
  const fields = { type: "checkout.session.completed", object: paidSession() };
  const { headers, body } = stripeWebhook(fields);
  const changed = new TextEncoder().encode(new TextDecoder().decode(body).replace("1000", "9000"));
  assertEquals(newStripe().readWebhook({ headers, body: changed }, NOW_MS).kind, "forged");
  assertEquals(newStripe().readWebhook({ headers: new Headers(), body }, NOW_MS).kind, "forged");
  assertEquals(newStripe().readWebhook({ headers, body }, NOW_MS + 301_000).kind, "forged");
});

Deno.test("a signed body of any kind is read without a crash", () => {
  const valid = fc.constantFrom(...events).map(({ type, object }) => stripeWebhook({ type, object }).body);
  fc.assert(fc.property(mutationsOf(valid), (body) => {
    const text = new TextDecoder().decode(body);
    const headers = new Headers({ "stripe-signature": stripeHeader(text) });
    const reading = newStripe().readWebhook({ headers, body: new TextEncoder().encode(text) }, NOW_MS);
    if (reading.kind === "event" && reading.event.kind === "paid") assert(reading.event.amount > 0n);
  }));
});

const order = { userId: USER, amount: 10_000_001n, orderId: "order1", returnUrl: "https://shop.example/" };

Deno.test("a checkout asks Stripe for a session, for at least what was ordered, once per order", async () => {
  const asked: { url: string; headers: Headers; form: URLSearchParams }[] = [];
  const stripe = newStripe(async (request) => {
    asked.push({ url: request.url, headers: request.headers, form: new URLSearchParams(await request.text()) });
    return Response.json({ id: "cs_test_1", url: "https://checkout.stripe.com/c/pay/cs_test_1" });
  });
  assertEquals(await stripe.checkout(order), "https://checkout.stripe.com/c/pay/cs_test_1");
  const [{ url, headers, form }] = asked as [typeof asked[number]];
  assertEquals(url, "https://api.stripe.com/v1/checkout/sessions");
  assertEquals(headers.get("authorization"), "Bearer sk_test_abc");
  assertEquals(headers.get("idempotency-key"), "order1");
  assertEquals(headers.get("content-type")?.split(";")[0], "application/x-www-form-urlencoded");
  assertEquals(Object.fromEntries(form), {
    mode: "payment",
    success_url: "https://shop.example/",
    cancel_url: "https://shop.example/",
    client_reference_id: "order1",
    "metadata[culvert_user]": USER,
    "payment_intent_data[metadata][culvert_user]": USER,
    "line_items[0][quantity]": "1",
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "1001",
    "line_items[0][price_data][product_data][name]": "Traffic",
  });
});

Deno.test("what Stripe has against a checkout is told, and no secret with it", async () => {
  const answers: [string, () => Promise<Response>, string][] = [
    [
      "an error of its own",
      () => Promise.resolve(Response.json({ error: { message: "No such currency" } }, { status: 400 })),
      "Stripe answers 400, No such currency",
    ],
    ["a page of somebody between", () => Promise.resolve(new Response("<html>")), "Stripe cannot be reached"],
    [
      "no address to pay at",
      () => Promise.resolve(Response.json({ id: "cs_1", url: null })),
      "Stripe's answer must be",
    ],
    [
      "an address of another kind",
      () => Promise.resolve(Response.json({ url: "javascript:alert(1)" })),
      "Stripe's answer must be",
    ],
    [
      "no connection",
      () => Promise.reject(new TypeError("connection refused")),
      "cannot be reached: connection refused",
    ],
  ];
  for (const [name, send, says] of answers) {
    const error = await assertRejects(() => newStripe(send).checkout(order), CulvertError, says, name);
    assertEquals(error.code, "payment_failed");
    assert(!error.message.includes("sk_test_abc"), name);
  }
});

Deno.test("keys that cannot be Stripe's are refused at the start", () => {
  const options = { currency: currencyOf("usd"), productName: "Traffic", send: () => Promise.reject() };
  assertThrows(() => new Stripe({ ...options, secretKey: "pk_live_1", webhookSecrets: ["whsec_1"] }), RangeError);
  assertThrows(() => new Stripe({ ...options, secretKey: "sk_live_1", webhookSecrets: [] }), RangeError);
  assertThrows(() => new Stripe({ ...options, secretKey: "sk_live_1", webhookSecrets: ["secret"] }), RangeError);
});
