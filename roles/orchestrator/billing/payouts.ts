/**
 * Payouts: an operator asks, the money is held, and an admin who has sent it by hand says so, or refuses.
 *
 *   request ─▶ record "pending" ─▶ pending transfer operator → payouts
 *   paid    ─▶ post  ─▶ record "paid"          not before the waiting time is over, nor while payouts are held
 *   refused ─▶ void  ─▶ record "refused"
 *
 * The ledger says what happened; the record follows. Each step has an id of its own, so that one that was cut short is done
 * again by asking again, and of two admins who decide differently the first is right.
 */

import type { Table } from "../../../kv/sharing/table.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { encodeBase32 } from "../../../protocol/encoding.ts";
import type { Random } from "../../../protocol/random.ts";
import {
  type LedgerStore,
  operatorAccount,
  PAYOUTS_ACCOUNT,
  type SetStatus,
  type Transfer,
  transferId,
} from "../../../protocol/sharing/ledger.ts";
import { formatMicros, type Micros } from "../../../protocol/sharing/money.ts";
import type { Payout, PayoutState } from "../../../protocol/sharing/payout.ts";
import type { User } from "../../../protocol/sharing/records.ts";
import type { AuditEvent } from "../../../protocol/stored_records.ts";

const DAY_MS = 86_400_000;
/** Of one operator at a time. */
const MAX_PENDING = 8;
/** What nobody decides is the operator's again. */
const EXPIRES_AFTER_MS = 180 * DAY_MS;
/** Ids count down, so that tables list the newest first. */
const LAST_MS = 8.64e15;

export interface PayoutsDeps {
  readonly ledger: Pick<LedgerStore, "apply" | "transfer">;
  readonly users: Pick<Table<User>, "get">;
  readonly payouts: Table<Payout>;
  readonly audit: { append(event: AuditEvent): Promise<unknown> };
  readonly clock: Clock;
  readonly random: Random;
}

export interface PayoutsOptions {
  readonly smallest: Micros;
  /** So long after it was asked for a payout may be made: time for a stolen card or a self-dealer to be found. Default 7 days. */
  readonly waitMs?: number;
}

export interface PayoutRefusal {
  readonly refusal: "insufficient" | "conflict" | "not_found" | "bad_request";
  readonly reason: string;
}

export interface PayoutQuery {
  readonly userId?: string;
  readonly status?: PayoutState;
  readonly limit: number;
  readonly after?: string;
}

export interface PayoutDecision {
  readonly payoutId: string;
  readonly decision: "paid" | "refused";
  readonly note: string;
  /** Who decides. */
  readonly by: string;
}

export class Payouts {
  readonly #deps: PayoutsDeps;
  readonly #smallest: Micros;
  readonly #waitMs: number;

  constructor(deps: PayoutsDeps, { smallest, waitMs = 7 * DAY_MS }: PayoutsOptions) {
    this.#deps = deps;
    this.#smallest = smallest;
    this.#waitMs = waitMs;
  }

  async request(
    { userId, amount, destination }: { readonly userId: string; readonly amount: Micros; readonly destination: string },
  ): Promise<Payout | PayoutRefusal> {
    const user = (await this.#deps.users.get(userId))?.record;
    const refusal = await this.#refusalOf(user, amount);
    if (refusal) return refusal;
    const payout = this.#newPayout(user!, amount, destination);
    if (!await this.#deps.payouts.insert(payout)) return conflict("the same payout was asked for already");
    const status = await this.#apply(payout, holdId(payout), {
      name: "hold",
      phase: "pending",
      expiresAtMs: payout.requestedAtMs + EXPIRES_AFTER_MS,
    });
    if (status !== "applied" && status !== "exists") {
      const stored = await this.#deps.payouts.get(payout.payoutId);
      if (stored) await this.#deps.payouts.remove(stored);
      return { refusal: "insufficient", reason: `there must be ${formatMicros(amount)} that is not paid out yet` };
    }
    await this.#audit(userId, "payout.requested", payout, formatMicros(amount));
    const present = (await this.#deps.payouts.get(payout.payoutId))?.record;
    // An admin was quicker than the ledger, and found nothing held that could be given back.
    if (present?.status === "refused") await this.#settle(payout, "refused");
    return present ?? payout;
  }

  /** The newest first. */
  async list({ userId, status, limit, after }: PayoutQuery): Promise<Payout[]> {
    const found: Payout[] = [];
    const where = userId !== undefined
      ? { index: "user", value: userId }
      : status !== undefined
      ? { index: "status", value: status }
      : undefined;
    let last = after;
    while (found.length < limit) {
      const page = await this.#deps.payouts.list(where, { limit, ...last !== undefined && { after: last } });
      for (const { record } of page) if (status === undefined || record.status === status) found.push(record);
      last = page.at(-1)?.record.payoutId;
      if (page.length < limit) break;
    }
    return found.slice(0, limit);
  }

  async decide({ payoutId, decision, note, by }: PayoutDecision): Promise<Payout | PayoutRefusal> {
    const payout = (await this.#deps.payouts.get(payoutId))?.record;
    if (!payout) return { refusal: "not_found", reason: "there must be such a payout" };
    if (payout.status === decision) return payout;
    if (payout.status !== "pending") return conflict(`the payout was ${payout.status} before`);
    const early = decision === "paid" ? await this.#reasonToWait(payout) : undefined;
    if (early !== undefined) {
      await this.#audit(by, "payout.paid", payout, early, "refused");
      return conflict(early);
    }
    const happened = await this.#settle(payout, decision);
    const reason = happened === decision ? note : `no money was held for it any more; ${note}`.slice(0, 256);
    // Before the record: once that says what happened, nobody asks again, and it would stay unsaid.
    await this.#audit(by, `payout.${happened}`, payout, reason);
    const decided = await this.#write(payoutId, happened, reason);
    return happened === decision || decided.status !== happened
      ? decided
      : conflict(`the payout was ${happened} before`);
  }

  /** What the ledger makes of it, which may be what an earlier decision made. */
  async #settle(payout: Payout, decision: "paid" | "refused"): Promise<"paid" | "refused"> {
    const pendingId = transferId(holdId(payout), "hold");
    const status = decision === "paid"
      ? await this.#apply(payout, paidId(payout), { name: "payout", phase: "post", pendingId, closes: true })
      : await this.#apply(payout, refusedId(payout), { name: "void", phase: "void", pendingId });
    if (status === "applied" || status === "exists") return decision;
    // It was decided before and not written down, or it has expired, or was never held.
    return await this.#deps.ledger.transfer(transferId(paidId(payout), "payout")) ? "paid" : "refused";
  }

  async #write(payoutId: string, status: "paid" | "refused", note: string): Promise<Payout> {
    for (;;) {
      const stored = (await this.#deps.payouts.get(payoutId))!;
      if (stored.record.status !== "pending") return stored.record;
      const decided = { ...stored.record, status, note, decidedAtMs: this.#deps.clock.wallNow() };
      if (await this.#deps.payouts.replace(stored, decided)) return decided;
    }
  }

  async #refusalOf(user: User | undefined, amount: Micros): Promise<PayoutRefusal | undefined> {
    if (!user) return { refusal: "not_found", reason: "there must be such an account" };
    if (user.status !== "active") return conflict("the account is suspended");
    if (amount < this.#smallest) {
      return { refusal: "bad_request", reason: `a payout must be at least ${formatMicros(this.#smallest)}` };
    }
    const pending = await this.list({ userId: user.userId, status: "pending", limit: MAX_PENDING });
    return pending.length < MAX_PENDING ? undefined : conflict(`at most ${MAX_PENDING} payouts may wait at once`);
  }

  async #reasonToWait({ userId, requestedAtMs }: Payout): Promise<string | undefined> {
    const nowMs = this.#deps.clock.wallNow();
    const fromMs = requestedAtMs + this.#waitMs;
    if (nowMs < fromMs) return `it may be paid from ${dateOf(fromMs)} on`;
    const user = (await this.#deps.users.get(userId))?.record;
    if (user?.status === "suspended") return "the account is suspended";
    const hold = user?.payoutHold;
    return hold && nowMs < hold.untilMs ? `payouts are held until ${dateOf(hold.untilMs)}: ${hold.reason}` : undefined;
  }

  #newPayout({ userId, payoutHold }: User, amount: Micros, destination: string): Payout {
    const nowMs = this.#deps.clock.wallNow();
    const serial = encodeBase32(this.#deps.random.fill(new Uint8Array(5)));
    const isHeld = payoutHold !== undefined && nowMs < payoutHold.untilMs;
    return {
      payoutId: `${String(LAST_MS - nowMs).padStart(16, "0")}-${serial}`,
      userId,
      amountMicros: String(amount),
      destination,
      status: "pending",
      flags: isHeld ? [payoutHold.reason] : [],
      requestedAtMs: nowMs,
    };
  }

  async #apply(payout: Payout, setId: string, { name, ...how }: Step): Promise<SetStatus> {
    const transfer = {
      ...{ id: transferId(setId, name), debit: operatorAccount(payout.userId), credit: PAYOUTS_ACCOUNT },
      ...{ reason: "payout", memo: { payout: payout.payoutId } },
      ...how.phase !== "void" && { amount: BigInt(payout.amountMicros) },
      ...how,
    } as Transfer;
    const [outcome] = await this.#deps.ledger.apply([{ id: setId, transfers: [transfer] }]);
    return outcome!.status;
  }

  async #audit(
    actor: string,
    action: string,
    { payoutId }: Payout,
    detail: string,
    outcome: AuditEvent["outcome"] = "done",
  ): Promise<void> {
    await this.#deps.audit.append({ actor, action, subject: payoutId, outcome, detail });
  }
}

type Step =
  | { readonly name: string; readonly phase: "pending"; readonly expiresAtMs: number }
  | { readonly name: string; readonly phase: "post"; readonly pendingId: string; readonly closes: boolean }
  | { readonly name: string; readonly phase: "void"; readonly pendingId: string };

function holdId({ payoutId }: Payout): string {
  return `payout:${payoutId}`;
}

function paidId({ payoutId }: Payout): string {
  return `payout-paid:${payoutId}`;
}

function refusedId({ payoutId }: Payout): string {
  return `payout-refused:${payoutId}`;
}

function conflict(reason: string): PayoutRefusal {
  return { refusal: "conflict", reason };
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}
