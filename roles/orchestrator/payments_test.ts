import { assertEquals, assertThrows } from "@std/assert";
import { z } from "zod";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { ConfigError } from "../config.ts";
import { openPayments, paymentFlags, type PaymentSettings } from "./payments.ts";

const secrets = { stripeKey: "sk_test_1", stripeWebhookSecret: "whsec_1,whsec_2" };
const telegram = { telegramPaymentSecret: "a-secret-of-the-webhook" };

function open(fields: Partial<PaymentSettings>, botToken?: string) {
  const money = { currency: "USD", smallestTopUp: 5_000_000n, title: "Culvert" };
  const settings = { ...z.object(paymentFlags).parse({}), ...money, ...fields };
  const context = { clock: new FakeClock(), random: new SeededRandom(1), log: silentLog };
  const send = () => Promise.reject(new Error("must not be asked"));
  return openPayments({ settings, botToken, publicUrl: new URL("https://share.example"), send }, context);
}

Deno.test("providers are those that have their secrets", () => {
  const names = (fields: Partial<PaymentSettings>) => open(fields, "1:token").checkouts.providers;
  assertEquals(names({}), []);
  assertEquals(names(secrets), ["stripe"]);
  assertEquals(names({ ...secrets, ...telegram }), ["stripe", "telegram"]);
  assertEquals(names({ ...telegram, telegramProviderToken: "1:TEST:2" }), ["telegram"]);
});

const wrong: [string, Partial<PaymentSettings>, string | undefined, string][] = [
  ["Stripe without its webhook", { stripeKey: "sk_test_1" }, undefined, "must be given together"],
  ["a key of another kind", { ...secrets, stripeKey: "pk_test_1" }, undefined, "sk_live_"],
  ["Telegram without a bot", telegram, undefined, "takes a bot"],
  [
    "a provider of Telegram's without the webhook",
    { telegramProviderToken: "1" },
    "1:t",
    "takes --telegram-payment-secret",
  ],
  ["a secret that is too short", { telegramPaymentSecret: "short" }, "1:t", "16 to 256"],
];
for (const [name, fields, botToken, says] of wrong) {
  Deno.test(`${name} is refused at the start, and no secret is told`, () => {
    const { message } = assertThrows(() => open(fields, botToken), ConfigError, says);
    for (const secret of Object.values(fields)) assertEquals(message.includes(String(secret)), false);
  });
}
