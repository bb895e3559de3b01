/**
 * Which payment providers there are, by the owner's settings; what they say and where paying in begins.
 *
 *   --stripe-key, --stripe-webhook-secret        cards and the like, by Stripe's Checkout
 *   --telegram-payment-secret, and the bot       Stars, or the currency by a payment provider of Telegram's
 *
 * Without any, only an admin gives credit. The webhooks' addresses are in `docs/billing.md`.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { type Micros, parseMicros } from "../../protocol/sharing/money.ts";
import { currencyOf } from "../../protocol/sharing/payments/currency.ts";
import type { PaymentProvider, SendRequest } from "../../protocol/sharing/payments/provider.ts";
import { Stripe } from "../../protocol/sharing/payments/stripe.ts";
import { TelegramPayments } from "../../protocol/sharing/payments/telegram.ts";
import { ConfigError } from "../config.ts";
import { secret } from "../fields.ts";
import { Checkouts } from "./billing/checkouts.ts";
import { starPrice } from "./billing/star_price.ts";

export const paymentFlags = {
  stripeKey: secret().optional().describe("Stripe's secret key, sk_live_… or sk_test_…."),
  stripeWebhookSecret: secret().optional()
    .describe("The secret of Stripe's webhook, whsec_…; two with a comma while it is being rotated."),
  telegramPaymentSecret: secret().optional()
    .describe("The secret_token that Telegram's webhook was set with: payments by the bot are taken."),
  telegramProviderToken: secret().optional()
    .describe("A payment provider's token from @BotFather; without it payments are in Stars."),
  starPrice: starPrice(),
};

export interface PaymentSettings {
  readonly stripeKey?: string | undefined;
  readonly stripeWebhookSecret?: string | undefined;
  readonly telegramPaymentSecret?: string | undefined;
  readonly telegramProviderToken?: string | undefined;
  readonly starPrice: Micros;
  /** Three letters. */
  readonly currency: string;
  readonly smallestTopUp: Micros;
  /** What buyers see. */
  readonly title: string;
}

export interface PaymentParts {
  readonly settings: PaymentSettings;
  /** The bot that logs people in, if there is one. */
  readonly botToken?: string | undefined;
  /** Where people come back to. */
  readonly publicUrl: URL;
  readonly send: SendRequest;
}

/** The most that is taken at once: a slip of a digit is not worth a thousand. */
const LARGEST_TOP_UP = parseMicros("1000")!;

export interface Payments {
  readonly providers: readonly PaymentProvider[];
  readonly checkouts: Checkouts;
}

/** Throws a ConfigError that names the flag. */
export function openPayments(
  { settings, botToken, publicUrl, send }: PaymentParts,
  { clock, random, log }: { readonly clock: Clock; readonly random: Random; readonly log: Log },
): Payments {
  const providers = [...stripeOf(settings, send), ...telegramOf(settings, botToken, send)];
  const { smallestTopUp: smallest } = settings;
  const largest = smallest > LARGEST_TOP_UP ? smallest : LARGEST_TOP_UP;
  const checkouts = new Checkouts({ providers, clock, random, log }, { smallest, largest, returnUrl: publicUrl.href });
  return { providers, checkouts };
}

function stripeOf({ stripeKey, stripeWebhookSecret, currency, title }: PaymentSettings, send: SendRequest): Stripe[] {
  if (stripeKey === undefined && stripeWebhookSecret === undefined) return [];
  if (stripeKey === undefined || stripeWebhookSecret === undefined) {
    throw wrong("--stripe-key and --stripe-webhook-secret must be given together");
  }
  return [checked(() =>
    new Stripe({
      secretKey: stripeKey,
      webhookSecrets: stripeWebhookSecret.split(","),
      currency: currencyOf(currency),
      productName: title,
      send,
    })
  )];
}

function telegramOf(settings: PaymentSettings, botToken: string | undefined, send: SendRequest): TelegramPayments[] {
  const { telegramPaymentSecret: webhookSecret, telegramProviderToken: providerToken, currency, title } = settings;
  if (webhookSecret === undefined) {
    if (providerToken === undefined) return [];
    throw wrong("--telegram-provider-token takes --telegram-payment-secret");
  }
  if (botToken === undefined) throw wrong("--telegram-payment-secret takes a bot to ask for the money");
  const stars = { code: "xtr", microsPerCoin: settings.starPrice };
  return [checked(() =>
    new TelegramPayments({
      botToken,
      webhookSecret,
      currency: providerToken === undefined ? stars : currencyOf(currency),
      ...providerToken !== undefined && { providerToken },
      productName: title.slice(0, 32),
      send,
    })
  )];
}

function checked<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrong(error.message);
  }
}

function wrong(problem: string): ConfigError {
  return new ConfigError("take payments", [problem]);
}
