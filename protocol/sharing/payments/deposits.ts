/**
 * What providers say, as money in the ledger. The id of each set is the payment's and the event's id is in its memo, so that
 * money and event are one commit: an event that comes again is `exists`, and another event about the same payment `differs`.
 *
 *   paid:<provider>:<payment>           payments:<provider> → client
 *   refund:<provider>:<payment>:<n>     client → payments:<provider>, the n-th step of what was given back
 *   refund-failed:<provider>:<refund>   payments:<provider> → client
 *   dispute:<provider>:<dispute>        client → payments:<provider>
 *   dispute-won:<provider>:<dispute>    all of that back
 *
 * Money that a provider has taken back is gone, whether the client still has it or not. No client is overdrawn for it: what
 * is not there any more is the house's loss and comes out of its fees. What comes before the payment it is about is
 * `early`: the provider brings it again.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { encodeBase64Url } from "../../encoding.ts";
import type { Bytes } from "../../primitives.ts";
import {
  available,
  clientAccount,
  FEES_ACCOUNT,
  type LedgerAccountId,
  type LedgerStore,
  type Memo,
  paymentsAccount,
  type StoredTransfer,
  type Transfer,
  transferId,
  type TransferReason,
} from "../ledger.ts";
import type { Micros } from "../money.ts";
import type { PaymentEvent } from "./provider.ts";

export type DepositResult =
  /** `loss`: what of it the house had to bear. */
  | { readonly status: "applied"; readonly userId: string; readonly amount: Micros; readonly loss: Micros }
  /** It was done before. */
  | { readonly status: "known" }
  /** What it follows has not come yet. */
  | { readonly status: "early" }
  /** It contradicts what came before: somebody has to look. */
  | { readonly status: "conflict"; readonly reason: string };

type Of<K extends PaymentEvent["kind"]> = Extract<PaymentEvent, { readonly kind: K }>;

/** Others may take money from an account between looking and taking. */
const MAX_ATTEMPTS = 10;
/** More parts than anybody gives a payment back in. */
const MAX_REFUND_STEPS = 100;

export class Deposits {
  readonly #ledger: Pick<LedgerStore, "apply" | "balance" | "transfer">;

  constructor(ledger: Pick<LedgerStore, "apply" | "balance" | "transfer">) {
    this.#ledger = ledger;
  }

  /** Rejects as the ledger does; then nothing is known, and the event must come again. */
  apply(provider: string, event: PaymentEvent): Promise<DepositResult> {
    switch (event.kind) {
      case "paid":
        return this.#paid(provider, event);
      case "refunded":
        return this.#refunded(provider, event);
      case "refund_failed":
        return this.#refundFailed(provider, event);
      case "disputed":
        return this.#disputed(provider, event);
      case "dispute_won":
        return this.#disputeWon(provider, event);
    }
  }

  async #paid(provider: string, event: Of<"paid">): Promise<DepositResult> {
    const { userId, amount } = event;
    const setId = idOf("paid", provider, event.paymentId);
    const client = clientAccount(userId);
    const status = await this.#apply(setId, [
      posted(setId, "topup", { from: paymentsAccount(provider), to: client, amount, memo: memoOf(event) }),
    ]);
    if (status === "applied") return { status, userId, amount, loss: 0n };
    if (status === "exists") return { status: "known" };
    const before = await this.#ledger.transfer(transferId(setId, "topup"));
    if (before?.credit === client && before.amount === amount) return { status: "known" };
    return { status: "conflict", reason: `${event.paymentId} was ${before?.amount} of ${before?.credit} before` };
  }

  async #refunded(provider: string, event: Of<"refunded">): Promise<DepositResult> {
    const payment = await this.#payment(provider, event.paymentId);
    if (!payment) return { status: "early" };
    const total = event.total < payment.amount ? event.total : payment.amount;
    let refunded = 0n;
    for (let step = 1; step <= MAX_REFUND_STEPS; step++) {
      const setId = `${idOf("refund", provider, event.paymentId)}:${step}`;
      const taken = await this.#taken(setId);
      if (taken === undefined) {
        if (total <= refunded) return { status: "known" };
        const result = await this.#take(setId, { payment, amount: total - refunded, memo: memoOf(event) });
        if (result.status !== "known") return result;
        // Another event was quicker with this step.
        refunded += (await this.#taken(setId))!;
      } else refunded += taken;
    }
    return { status: "conflict", reason: `${event.paymentId} must be given back in ${MAX_REFUND_STEPS} steps at most` };
  }

  async #refundFailed(provider: string, event: Of<"refund_failed">): Promise<DepositResult> {
    const payment = await this.#payment(provider, event.paymentId);
    if (!payment) return { status: "early" };
    // It was taken when it was said to be given back.
    if (await this.#taken(`${idOf("refund", provider, event.paymentId)}:1`) === undefined) return { status: "early" };
    const setId = idOf("refund-failed", provider, event.refundId);
    const { amount } = event;
    const status = await this.#apply(setId, [
      posted(setId, "client", { from: payment.debit, to: payment.credit, amount, memo: memoOf(event) }),
    ]);
    return status === "applied" ? { status, userId: userOf(payment), amount, loss: 0n } : { status: "known" };
  }

  async #disputed(provider: string, event: Of<"disputed">): Promise<DepositResult> {
    const payment = await this.#payment(provider, event.paymentId);
    if (!payment) return { status: "early" };
    const amount = event.amount < payment.amount ? event.amount : payment.amount;
    return await this.#take(idOf("dispute", provider, event.disputeId), { payment, amount, memo: memoOf(event) });
  }

  async #disputeWon(provider: string, event: Of<"dispute_won">): Promise<DepositResult> {
    const payment = await this.#payment(provider, event.paymentId);
    const taken = await this.#parts(idOf("dispute", provider, event.disputeId));
    if (!payment || taken.length === 0) return { status: "early" };
    const setId = idOf("dispute-won", provider, event.disputeId);
    const back = taken.map(({ id, debit, credit, amount }) =>
      posted(setId, id.slice(id.lastIndexOf("/") + 1), { from: credit, to: debit, amount, memo: memoOf(event) })
    );
    const status = await this.#apply(setId, back);
    if (status !== "applied") return { status: "known" };
    return { status, userId: userOf(payment), amount: sumOf(taken), loss: 0n };
  }

  /** Takes money from the client as far as it is there, and the rest from the house. */
  async #take(
    setId: string,
    { payment, amount, memo }: { readonly payment: StoredTransfer; readonly amount: Micros; readonly memo: Memo },
  ): Promise<DepositResult> {
    if (await this.#taken(setId) !== undefined) return { status: "known" };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const there = available(await this.#ledger.balance(payment.credit));
      const own = there < 0n ? 0n : there < amount ? there : amount;
      const loss = amount - own;
      const status = await this.#apply(setId, [
        ...own > 0n ? [posted(setId, "client", { from: payment.credit, to: payment.debit, amount: own, memo })] : [],
        ...loss > 0n ? [posted(setId, "house", { from: FEES_ACCOUNT, to: payment.debit, amount: loss, memo })] : [],
      ]);
      if (status === "applied") return { status, userId: userOf(payment), amount, loss };
      if (status !== "insufficient") return { status: "known" };
    }
    return { status: "early" };
  }

  #payment(provider: string, paymentId: string): Promise<StoredTransfer | undefined> {
    return this.#ledger.transfer(transferId(idOf("paid", provider, paymentId), "topup"));
  }

  /** What a set has taken; undefined when there is no such set. */
  async #taken(setId: string): Promise<Micros | undefined> {
    const parts = await this.#parts(setId);
    return parts.length === 0 ? undefined : sumOf(parts);
  }

  async #parts(setId: string): Promise<StoredTransfer[]> {
    const parts = await Promise.all(["client", "house"].map((name) => this.#ledger.transfer(transferId(setId, name))));
    return parts.filter((part) => part !== undefined);
  }

  async #apply(setId: string, transfers: readonly Transfer[]) {
    const [outcome] = await this.#ledger.apply([{ id: setId, transfers }]);
    const { status, detail } = outcome!;
    if (status === "malformed") throw new RangeError(`Cannot keep a payment: ${detail}`);
    return status;
  }
}

function posted(
  setId: string,
  name: string,
  { from, to, amount, memo }: {
    readonly from: LedgerAccountId;
    readonly to: LedgerAccountId;
    readonly amount: Micros;
    readonly memo: Memo;
  },
): Transfer {
  const reason: TransferReason = name === "topup" ? "topup" : "refund";
  return { id: transferId(setId, name), phase: "posted", debit: from, credit: to, amount, reason, memo };
}

function memoOf({ eventId, paymentId }: PaymentEvent): Memo {
  return { event: eventId, payment: paymentId };
}

function userOf(payment: StoredTransfer): string {
  return payment.credit.slice(clientAccount("").length);
}

function sumOf(transfers: readonly StoredTransfer[]): Micros {
  return transfers.reduce((sum, { amount }) => sum + amount, 0n);
}

/** Providers' ids are as long as they like; in full they are in the memo. */
function idOf(what: string, provider: string, id: string): string {
  const short = /^[A-Za-z0-9_-]{1,40}$/.test(id)
    ? id
    : `~${encodeBase64Url(sha256(new TextEncoder().encode(id)) as Bytes)}`;
  return `${what}:${provider}:${short}`;
}
