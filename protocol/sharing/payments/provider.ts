/**
 * Payment providers, as the rest sees them: something that a person can be sent to, and that says later, by a webhook, what
 * became of it. What a provider says moves money in `deposits.ts`; no other word about money is ever believed.
 *
 *   checkout(order) ─▶ a page to pay at        webhook ─▶ readWebhook ─▶ PaymentEvent ─▶ ledger
 *
 * Providers deliver at least once, in any order, for days: every event may come again, late, or before the one it follows.
 */

import type { Micros } from "../money.ts";

export interface PaymentOrder {
  readonly userId: string;
  /** What is to be paid at least: a provider cannot ask for parts of its currency's smallest coin. */
  readonly amount: Micros;
  /** Unique; the same order twice is one. 1 to 64 of A-Z, a-z, 0-9, _ and -. */
  readonly orderId: string;
  /** Where the person comes back to. */
  readonly returnUrl: string;
}

/** What a provider has said, checked to be the provider's. Amounts are in our money. */
export type PaymentEvent =
  & {
    /** The provider's id of the event. */
    readonly eventId: string;
    /** The provider's id of the payment that it is about. */
    readonly paymentId: string;
    /** When the provider says that it happened. */
    readonly atMs: number;
  }
  & (
    | { readonly kind: "paid"; readonly userId: string; readonly amount: Micros }
    /** `total`: all that was given back of the payment so far; more than was paid is all of it. */
    | { readonly kind: "refunded"; readonly total: Micros }
    /** Money that was said to be given back has come back. */
    | { readonly kind: "refund_failed"; readonly refundId: string; readonly amount: Micros }
    /** The payer's bank has taken the money. */
    | { readonly kind: "disputed"; readonly disputeId: string; readonly amount: Micros }
    /** And has brought it again. */
    | { readonly kind: "dispute_won"; readonly disputeId: string }
  );

/** What a webhook turned out to be. */
export type WebhookReading =
  | { readonly kind: "event"; readonly event: PaymentEvent }
  /** The provider wants to know, before it takes the money, whether it may. */
  | { readonly kind: "question"; readonly userId: string | undefined; answer(refusal: string | undefined): unknown }
  /** The provider's, and nothing to us. */
  | { readonly kind: "nothing" }
  /** The provider's, but it cannot be right: somebody has to look. */
  | { readonly kind: "wrong"; readonly reason: string }
  /** Not the provider's, or old. */
  | { readonly kind: "forged"; readonly reason: string };

export interface Webhook {
  readonly headers: Pick<Headers, "get">;
  /** As it came: a signature is over these bytes. */
  readonly body: Uint8Array;
}

export interface PaymentProvider {
  /** As in `payments:<name>`, the provider's account in the ledger. */
  readonly name: string;
  /** The page to pay at. Rejects with a CulvertError `payment_failed`. */
  checkout(order: PaymentOrder, signal?: AbortSignal): Promise<string>;
  readWebhook(webhook: Webhook, nowMs: number): WebhookReading;
}

/** Sends a request; `fetch`, handed in. */
export type SendRequest = (request: Request) => Promise<Response>;
