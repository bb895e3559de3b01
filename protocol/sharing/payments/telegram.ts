/**
 * Payments in Telegram (core.telegram.org/bots/api#payments): an invoice link for each top-up, and updates by webhook.
 *
 *   createInvoiceLink                       payload = "culvert:<user>:<order>", which Telegram gives back with each update
 *   pre_checkout_query                      may it be paid? answered in the reply to the webhook, within ten seconds
 *   message.successful_payment              paid
 *   message.refunded_payment                given back, all of it (Stars only)
 *
 * The webhook is Telegram's when it has the secret that was given to `setWebhook`. What is sold is digital, which Telegram
 * wants paid in Stars (`xtr`, without a provider token); other currencies take a token of a payment provider.
 */

import { z } from "zod";
import { equalInConstantTime } from "../../constant_time.ts";
import { MAX_AMOUNT } from "../ledger.ts";
import { userIdSchema } from "../records.ts";
import { coinsFor, microsOf, type PaymentCurrency } from "./currency.ts";
import { askProvider } from "./payment_reply.ts";
import type { PaymentOrder, PaymentProvider, SendRequest, Webhook, WebhookReading } from "./provider.ts";

export interface TelegramPaymentsOptions {
  readonly botToken: string;
  /** As given to `setWebhook`: 1 to 256 of A-Z, a-z, 0-9, _ and -. */
  readonly webhookSecret: string;
  readonly currency: PaymentCurrency;
  /** From @BotFather; none for Stars. */
  readonly providerToken?: string;
  /** What is shown as bought, at most 32 characters. */
  readonly productName: string;
  readonly send: SendRequest;
  readonly apiUrl?: string;
}

/** The first part of the payload: a bot may sell other things as well. */
const PAYLOAD_MARK = "culvert";

const idSchema = z.string().min(1).max(255);
const invoiceFields = {
  currency: z.string().max(8),
  total_amount: z.int().min(1),
  invoice_payload: z.string().max(128),
};
const paymentSchema = z.object({ ...invoiceFields, telegram_payment_charge_id: idSchema });

const updateSchema = z.object({
  update_id: z.int(),
  pre_checkout_query: z.object({ ...invoiceFields, id: idSchema }).optional(),
  message: z.object({
    date: z.int().min(0),
    successful_payment: paymentSchema.optional(),
    refunded_payment: paymentSchema.optional(),
  }).optional(),
});
type Update = z.infer<typeof updateSchema>;
type Invoice = Pick<z.infer<typeof paymentSchema>, "currency" | "total_amount" | "invoice_payload">;

const replySchema = z.object({ ok: z.literal(true), result: z.url({ protocol: /^https$/ }).max(2048) });
const errorSchema = z.object({ description: z.string() }).transform(({ description }) => description);

const NOTHING: WebhookReading = { kind: "nothing" };

export class TelegramPayments implements PaymentProvider {
  readonly name = "telegram";
  readonly #options: TelegramPaymentsOptions;
  readonly #secret: Uint8Array;

  constructor(options: TelegramPaymentsOptions) {
    if (!/^[A-Za-z0-9_-]{16,256}$/.test(options.webhookSecret)) {
      throw new RangeError(
        "Cannot take payments by Telegram: the webhook's secret must be 16 to 256 of A-Z, a-z, 0-9, _, -",
      );
    }
    this.#options = options;
    this.#secret = new TextEncoder().encode(options.webhookSecret);
  }

  async checkout({ userId, amount, orderId }: PaymentOrder, signal?: AbortSignal): Promise<string> {
    const { apiUrl = "https://api.telegram.org", botToken, currency, providerToken = "", productName, send } =
      this.#options;
    const invoice = {
      title: productName,
      description: `${productName} for account ${userId}`,
      payload: `${PAYLOAD_MARK}:${userId}:${orderId}`,
      provider_token: providerToken,
      currency: currency.code.toUpperCase(),
      prices: [{ label: productName, amount: coinsFor(amount, currency) }],
    };
    const init = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(invoice),
      ...signal && { signal },
    };
    const request = new Request(`${apiUrl}/bot${botToken}/createInvoiceLink`, init);
    return (await askProvider(request, { send, provider: "Telegram", schema: replySchema, errorSchema })).result;
  }

  readWebhook({ headers, body }: Webhook): WebhookReading {
    const given = new TextEncoder().encode(headers.get("x-telegram-bot-api-secret-token") ?? "");
    if (!equalInConstantTime(given, this.#secret)) {
      return { kind: "forged", reason: "X-Telegram-Bot-Api-Secret-Token must be the webhook's secret" };
    }
    let update: Update;
    try {
      update = updateSchema.parse(JSON.parse(new TextDecoder().decode(body)));
    } catch {
      return { kind: "wrong", reason: "the update must be as Telegram documents it" };
    }
    if (update.pre_checkout_query) return this.#question(update.pre_checkout_query);
    if (update.message) return this.#payment(update.update_id, update.message);
    return NOTHING;
  }

  /** Answered in the reply: a webhook's reply may be a call of the bot's API. */
  #question(query: NonNullable<Update["pre_checkout_query"]>): WebhookReading {
    const userId = this.#payerOf(query);
    if (userId === undefined) return NOTHING;
    return {
      kind: "question",
      userId: this.#isOurCurrency(query) ? userId : undefined,
      answer: (refusal) => ({
        method: "answerPreCheckoutQuery",
        pre_checkout_query_id: query.id,
        ok: refusal === undefined,
        ...refusal !== undefined && { error_message: refusal },
      }),
    };
  }

  #payment(
    updateId: number,
    { date, successful_payment, refunded_payment }: NonNullable<Update["message"]>,
  ): WebhookReading {
    const payment = successful_payment ?? refunded_payment;
    const userId = payment && this.#payerOf(payment);
    if (userId === undefined) return NOTHING;
    const { telegram_payment_charge_id: paymentId, total_amount, currency } = payment!;
    if (!this.#isOurCurrency(payment!)) {
      return { kind: "wrong", reason: `${paymentId} must be in ${this.#options.currency.code}, got ${currency}` };
    }
    const about = { eventId: String(updateId), paymentId, atMs: date * 1000 };
    const event = successful_payment
      ? { ...about, kind: "paid", userId, amount: microsOf(total_amount, this.#options.currency) } as const
      // All of it, whatever a Star is worth by now.
      : { ...about, kind: "refunded", total: MAX_AMOUNT } as const;
    return { kind: "event", event };
  }

  #isOurCurrency({ currency }: Invoice): boolean {
    return currency.toLowerCase() === this.#options.currency.code;
  }

  /** Undefined for an invoice of another making. */
  #payerOf({ invoice_payload }: Invoice): string | undefined {
    const [mark, userId] = invoice_payload.split(":");
    return mark === PAYLOAD_MARK ? userIdSchema.safeParse(userId).data : undefined;
  }
}
