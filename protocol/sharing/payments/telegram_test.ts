import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { mutationsOf } from "../../../testing/fuzz.ts";
import { CulvertError } from "../../errors.ts";
import { MAX_AMOUNT } from "../ledger.ts";
import { newTelegram, NOW_MS, starsPaid, TELEGRAM_SECRET, telegramWebhook, USER } from "./fixtures/webhooks.ts";
import { TelegramPayments } from "./telegram.ts";

const about = { eventId: "7", paymentId: "stars_charge_1", atMs: NOW_MS };
const query = {
  id: "4382bfdwdsb323b2d9",
  from: { id: 5 },
  currency: "XTR",
  total_amount: 100,
  invoice_payload: `culvert:${USER}:order1`,
};

Deno.test("Telegram tells of Stars that were paid, and of those that were given back", () => {
  assertEquals(newTelegram().readWebhook(telegramWebhook(starsPaid())), {
    kind: "event",
    event: { ...about, kind: "paid", userId: USER, amount: 1_300_000n },
  });
  assertEquals(newTelegram().readWebhook(telegramWebhook(starsPaid("refunded_payment"))), {
    kind: "event",
    event: { ...about, kind: "refunded", total: MAX_AMOUNT },
  });
});

Deno.test("Telegram's question before a payment is answered in the reply", () => {
  const reading = newTelegram().readWebhook(telegramWebhook({ update_id: 6, pre_checkout_query: query }));
  assert(reading.kind === "question");
  assertEquals(reading.userId, USER);
  const answer = { method: "answerPreCheckoutQuery", pre_checkout_query_id: query.id };
  assertEquals(reading.answer(undefined), { ...answer, ok: true });
  assertEquals(reading.answer("The account is closed."), {
    ...answer,
    ok: false,
    error_message: "The account is closed.",
  });
});

Deno.test("an invoice in another currency than ours may not be paid", () => {
  const pre_checkout_query = { ...query, currency: "USD" };
  const reading = newTelegram().readWebhook(telegramWebhook({ update_id: 6, pre_checkout_query }));
  assert(reading.kind === "question");
  assertEquals(reading.userId, undefined);
});

Deno.test("a payment in another currency is for somebody to look at", () => {
  const update = starsPaid();
  Object.assign(update.message.successful_payment!, { currency: "USD" });
  assertEquals(newTelegram().readWebhook(telegramWebhook(update)).kind, "wrong");
});

const nothings: [string, unknown][] = [
  ["a message", { update_id: 1, message: { date: 1, text: "hello" } }],
  ["an update of another kind", { update_id: 1, callback_query: { id: "1" } }],
  ["what was paid to the bot for something else", {
    update_id: 1,
    pre_checkout_query: { ...query, invoice_payload: "t-shirt" },
  }],
];
for (const [name, update] of nothings) {
  Deno.test(`${name} is nothing to us`, () => {
    assertEquals(newTelegram().readWebhook(telegramWebhook(update)), { kind: "nothing" });
  });
}

Deno.test("without the webhook's secret nothing is Telegram's", () => {
  for (const secret of ["", "telegram-webhook-secreT", `${TELEGRAM_SECRET}x`]) {
    assertEquals(newTelegram().readWebhook(telegramWebhook(starsPaid(), secret)).kind, "forged", secret);
  }
});

Deno.test("an update of any kind is read without a crash", () => {
  const valid = fc.constantFrom(starsPaid(), { update_id: 6, pre_checkout_query: query }).map((update) =>
    telegramWebhook(update).body
  );
  fc.assert(fc.property(mutationsOf(valid), (body) => {
    const reading = newTelegram().readWebhook({ ...telegramWebhook({}), body });
    if (reading.kind === "event" && reading.event.kind === "paid") assert(reading.event.amount > 0n);
  }));
});

const order = { userId: USER, amount: 1_300_001n, orderId: "order1", returnUrl: "https://shop.example/" };

Deno.test("a checkout asks Telegram for a link to an invoice in Stars", async () => {
  const asked: { url: string; body: unknown }[] = [];
  const telegram = newTelegram(async (request) => {
    asked.push({ url: request.url, body: await request.json() });
    return Response.json({ ok: true, result: "https://t.me/$abc" });
  });
  assertEquals(await telegram.checkout(order), "https://t.me/$abc");
  assertEquals(asked, [{
    url: "https://api.telegram.org/bot1:bot-token/createInvoiceLink",
    body: {
      title: "Traffic",
      description: `Traffic for account ${USER}`,
      payload: `culvert:${USER}:order1`,
      provider_token: "",
      currency: "XTR",
      prices: [{ label: "Traffic", amount: 101 }],
    },
  }]);
});

Deno.test("what Telegram has against a checkout is told, and the bot's token is not", async () => {
  const refused = newTelegram(() =>
    Promise.resolve(
      Response.json({ ok: false, error_code: 400, description: "Bad Request: CURRENCY" }, { status: 400 }),
    )
  );
  await assertRejects(() => refused.checkout(order), CulvertError, "Telegram answers 400, Bad Request: CURRENCY");
  const broken = newTelegram(({ url }) => Promise.reject(new TypeError(`error sending request for url (${url})`)));
  const error = await assertRejects(() => broken.checkout(order), CulvertError, "Telegram cannot be reached");
  assert(!error.message.includes("bot-token"));
});

Deno.test("a secret that Telegram would not take, or that is short, is refused at the start", () => {
  const options = {
    botToken: "1:t",
    currency: { code: "xtr", microsPerCoin: 13_000n },
    productName: "Traffic",
    send: () => Promise.reject(),
  };
  assertThrows(() => new TelegramPayments({ ...options, webhookSecret: "short" }), RangeError);
  assertThrows(() => new TelegramPayments({ ...options, webhookSecret: "sixteen and more!" }), RangeError);
});
