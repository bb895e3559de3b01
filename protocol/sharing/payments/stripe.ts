/**
 * Stripe: a Checkout page for each top-up, and webhooks for what became of it.
 *
 *   POST /v1/checkout/sessions, form fields, Idempotency-Key       docs.stripe.com/api/checkout/sessions/create
 *   checkout.session.completed, …async_payment_succeeded           paid, once payment_status says so
 *   charge.refunded                                                amount_refunded is all that was given back so far
 *   refund.failed, charge.refund.updated                           money that was to go back has come back
 *   charge.dispute.funds_withdrawn, …funds_reinstated              the bank has taken it, and brought it again
 *
 * The user's id travels as metadata of the session and of its PaymentIntent, which Stripe copies to the charge; payments
 * without it are not ours. Everything is named by the PaymentIntent, so two events about one payment are about one thing.
 */

import { z } from "zod";
import { userIdSchema } from "../records.ts";
import { coinsFor, microsOf, type PaymentCurrency } from "./currency.ts";
import { askProvider } from "./payment_reply.ts";
import type { PaymentEvent, PaymentOrder, PaymentProvider, SendRequest, Webhook, WebhookReading } from "./provider.ts";
import { faultOfStripeSignature } from "./stripe_signature.ts";

export interface StripeOptions {
  /** `sk_live_…`, or of test mode. */
  readonly secretKey: string;
  /** Of the webhook's endpoint; two while they are rotated. */
  readonly webhookSecrets: readonly string[];
  readonly currency: PaymentCurrency;
  /** What is shown as bought. */
  readonly productName: string;
  readonly send: SendRequest;
  readonly apiUrl?: string;
}

/** The user, in metadata. */
const USER_KEY = "culvert_user";
const API_VERSION = "2024-06-20";

const idSchema = z.string().min(1).max(255);
const coinsSchema = z.int().min(0);
/** An object, or only its id: which of them depends on the account's settings. */
const referenceSchema = z.union([idSchema, z.object({ id: idSchema }).transform(({ id }) => id)]).nullish();
const metadataSchema = z.object({ [USER_KEY]: userIdSchema.optional().catch(undefined) }).nullish().catch(undefined);

const eventSchema = z.object({
  id: idSchema,
  type: z.string().max(128),
  created: z.int().min(0),
  livemode: z.boolean(),
  data: z.object({ object: z.unknown() }),
});
type StripeEvent = z.infer<typeof eventSchema>;

const sessionSchema = z.object({
  mode: z.string(),
  payment_status: z.string(),
  payment_intent: referenceSchema,
  amount_total: coinsSchema.nullable(),
  currency: z.string().nullable(),
  metadata: metadataSchema,
});
const chargeSchema = z.object({
  payment_intent: referenceSchema,
  amount_refunded: coinsSchema,
  currency: z.string(),
  metadata: metadataSchema,
});
const refundSchema = z.object({
  id: idSchema,
  payment_intent: referenceSchema,
  amount: coinsSchema,
  currency: z.string(),
  status: z.string().nullish(),
});
const disputeSchema = z.object({
  id: idSchema,
  payment_intent: referenceSchema,
  amount: coinsSchema,
  currency: z.string(),
});

const replySchema = z.object({ url: z.url({ protocol: /^https$/ }).max(2048) });
const errorSchema = z.object({ error: z.object({ message: z.string() }) }).transform(({ error }) => error.message);

const NOTHING: WebhookReading = { kind: "nothing" };

export class Stripe implements PaymentProvider {
  readonly name = "stripe";
  readonly #options: StripeOptions;

  constructor(options: StripeOptions) {
    const { secretKey, webhookSecrets } = options;
    if (!/^[sr]k_(?:live|test)_\w+$/.test(secretKey)) {
      throw new RangeError("Cannot use Stripe: the secret key must be sk_live_… or sk_test_…");
    }
    if (webhookSecrets.length === 0 || webhookSecrets.some((secret) => !/^whsec_\w+$/.test(secret))) {
      throw new RangeError("Cannot use Stripe: the webhook's secret must be whsec_…");
    }
    this.#options = options;
  }

  async checkout({ userId, amount, orderId, returnUrl }: PaymentOrder, signal?: AbortSignal): Promise<string> {
    const { apiUrl = "https://api.stripe.com", secretKey, currency, productName, send } = this.#options;
    const form = new URLSearchParams({
      mode: "payment",
      success_url: returnUrl,
      cancel_url: returnUrl,
      client_reference_id: orderId,
      [`metadata[${USER_KEY}]`]: userId,
      [`payment_intent_data[metadata][${USER_KEY}]`]: userId,
      "line_items[0][quantity]": "1",
      "line_items[0][price_data][currency]": currency.code,
      "line_items[0][price_data][unit_amount]": String(coinsFor(amount, currency)),
      "line_items[0][price_data][product_data][name]": productName,
    });
    const headers = {
      authorization: `Bearer ${secretKey}`,
      "idempotency-key": orderId,
      "stripe-version": API_VERSION,
    };
    const init = { method: "POST", headers, body: form, ...signal && { signal } };
    const request = new Request(`${apiUrl}/v1/checkout/sessions`, init);
    return (await askProvider(request, { send, provider: "Stripe", schema: replySchema, errorSchema })).url;
  }

  readWebhook({ headers, body }: Webhook, nowMs: number): WebhookReading {
    const { webhookSecrets: secrets, secretKey } = this.#options;
    const fault = faultOfStripeSignature(headers.get("stripe-signature"), body, { secrets, nowMs });
    if (fault !== undefined) return { kind: "forged", reason: fault };
    const event = eventSchema.safeParse(parseJson(body));
    if (!event.success) return wrong("the event must be as Stripe documents it");
    if (event.data.livemode !== /^[sr]k_live_/.test(secretKey)) {
      return wrong(`${event.data.id} must be of the mode of the secret key, live or test`);
    }
    return this.#readEvent(event.data);
  }

  #readEvent(event: StripeEvent): WebhookReading {
    const { object } = event.data;
    switch (event.type) {
      case "checkout.session.completed":
      case "checkout.session.async_payment_succeeded":
        return read(sessionSchema, object, (session) => this.#readSession(event, session));
      case "charge.refunded":
        return read(chargeSchema, object, (charge) => {
          if (charge.metadata?.[USER_KEY] === undefined) return NOTHING;
          return this.#tell(
            event,
            charge,
            (microsOf) => ({ kind: "refunded", total: microsOf(charge.amount_refunded) }),
          );
        });
      case "refund.failed":
      case "charge.refund.updated":
        return read(refundSchema, object, (refund) => {
          if (refund.status !== "failed") return NOTHING;
          const { id: refundId, amount } = refund;
          return this.#tell(event, refund, (of) => ({ kind: "refund_failed", refundId, amount: of(amount) }));
        });
      case "charge.dispute.funds_withdrawn":
        return read(disputeSchema, object, (dispute) => {
          const { id: disputeId, amount } = dispute;
          return this.#tell(event, dispute, (of) => ({ kind: "disputed", disputeId, amount: of(amount) }));
        });
      case "charge.dispute.funds_reinstated":
        return read(disputeSchema, object, (dispute) => {
          return this.#tell(event, dispute, () => ({ kind: "dispute_won", disputeId: dispute.id }));
        });
      default:
        return NOTHING;
    }
  }

  #readSession(event: StripeEvent, session: z.infer<typeof sessionSchema>): WebhookReading {
    const { mode, payment_status, amount_total, metadata, currency } = session;
    const userId = metadata?.[USER_KEY];
    // A session is completed when the form is; with some ways of paying the money comes days later, with its own event.
    if (userId === undefined || mode !== "payment" || payment_status !== "paid") return NOTHING;
    if (!amount_total || currency === null) return wrong(`${event.id} must have an amount and a currency`);
    return this.#tell(event, { ...session, currency }, (of) => ({ kind: "paid", userId, amount: of(amount_total) }));
  }

  /** The event, if it is of a payment of ours in our currency. */
  #tell(
    { id: eventId, created }: StripeEvent,
    { payment_intent: paymentId, currency }: {
      readonly payment_intent?: string | null | undefined;
      readonly currency: string;
    },
    fields: (microsOf: (coins: number) => bigint) => EventFields,
  ): WebhookReading {
    // Payments of another making, such as of invoices, may have none.
    if (!paymentId) return NOTHING;
    const ours = this.#options.currency;
    if (currency.toLowerCase() !== ours.code) return wrong(`${eventId} must be in ${ours.code}, got ${currency}`);
    const event = { eventId, paymentId, atMs: created * 1000, ...fields((coins) => microsOf(coins, ours)) };
    return { kind: "event", event };
  }
}

/** What tells events of one kind from those of another. */
type EventFields = PaymentEvent extends infer E
  ? E extends PaymentEvent ? Omit<E, "eventId" | "paymentId" | "atMs"> : never
  : never;

function read<T>(schema: z.ZodType<T>, object: unknown, use: (value: T) => WebhookReading): WebhookReading {
  const { data, error } = schema.safeParse(object);
  return error ? wrong(`${error.issues[0]!.path.join(".")} must be as Stripe documents it`) : use(data as T);
}

function wrong(reason: string): WebhookReading {
  return { kind: "wrong", reason };
}

/** Undefined for what is no JSON. */
function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}
