/**
 * The words of the ledger: accounts, transfers between two of them, and sets of transfers that happen together or not at
 * all. What may happen is decided by the pure machine in `ledger_machine.ts`; stores keep what it decided.
 *
 *   posted    money moves now
 *   pending   money of the debit account is held until `expiresAtMs`, for transfers to come
 *   post      takes up to what is left of a pending one and moves it, to whomever this transfer credits
 *   void      gives back what is left of a pending one
 *
 * Transfers are never changed or removed; a mistake is corrected by its opposite. A set's id is used once for ever: the same
 * set again is answered `exists` and does nothing, a different one under an id that was used is `differs` and does nothing.
 * Its transfers are named within it (`transferId`), so they need no keeping apart of their own. After every set the debits
 * of all accounts are equal to their credits, posted and pending each.
 */

import type { Micros } from "./money.ts";

/**
 * `client:<userId>` and `operator:<userId>` are people's, and never overdrawn: what is debited and held there is at most
 * what was credited. The others are the house's own and may be of either sign: `fees`, `payments:<provider>` (money that
 * came in), `payouts` (money that went out), `promotions`, and `holds`, which pending transfers credit.
 */
export type LedgerAccountId = string;

export const FEES_ACCOUNT = "fees";
export const PAYOUTS_ACCOUNT = "payouts";
export const PROMOTIONS_ACCOUNT = "promotions";
export const HOLDS_ACCOUNT = "holds";

export function clientAccount(userId: string): LedgerAccountId {
  return `client:${userId}`;
}

export function operatorAccount(userId: string): LedgerAccountId {
  return `operator:${userId}`;
}

export function paymentsAccount(provider: string): LedgerAccountId {
  return `payments:${provider}`;
}

export const transferReasons = ["traffic", "fee", "hold", "topup", "refund", "payout", "gift", "correction"] as const;
export type TransferReason = (typeof transferReasons)[number];

/** What a transfer is about, for statements and for people: small and flat, at most 1 KiB as JSON. */
export type Memo = Readonly<Record<string, string | number>>;

interface AnyTransfer {
  /** The set's id, a slash, and a name without slashes that no other of the set has: `transferId(setId, "fee")`. */
  readonly id: string;
  readonly debit: LedgerAccountId;
  readonly credit: LedgerAccountId;
  /** 1 to `MAX_AMOUNT`; for `void` it is left out, and is what is left. */
  readonly amount: Micros;
  readonly reason: TransferReason;
  readonly memo?: Memo | undefined;
}

/** Somebody's money is held, and is the house's until it is moved: `pending` credits one of its accounts, `holds` or `payouts`. */
export type Transfer =
  | AnyTransfer & { readonly phase: "posted" }
  | AnyTransfer & { readonly phase: "pending"; readonly expiresAtMs: number }
  /** From the account that the pending one debits. `closes`: what is left after it is given back at once. */
  | AnyTransfer & { readonly phase: "post"; readonly pendingId: string; readonly closes?: boolean }
  /** Between the accounts of the pending one. */
  | Omit<AnyTransfer, "amount"> & { readonly phase: "void"; readonly pendingId: string };

/** At most `MAX_SET_TRANSFERS` that happen together, in this order, or not at all. */
export interface TransferSet {
  /** Unique for ever: 1 to `MAX_SET_ID` characters of ASCII, none of them a space. */
  readonly id: string;
  readonly transfers: readonly Transfer[];
}

export const MAX_SET_TRANSFERS = 64;
export const MAX_SET_ID = 95;
/** Of a transfer's name within its set. */
export const MAX_TRANSFER_NAME = 32;
/** A thousand million of the currency in one transfer; so many of them fit a 64-bit sum that none overflows. */
export const MAX_AMOUNT: Micros = 10n ** 15n;
/** Of one account at once: what would be one more is refused as `insufficient`. */
export const MAX_OPEN_PENDING = 32;
export const MAX_MEMO_BYTES = 1024;
/** Of all the memos of a set. */
export const MAX_MEMOS_BYTES = 8 * 1024;

/** The id of a transfer of a set; `name` is what tells it from the others there. */
export function transferId(setId: string, name: string): string {
  return `${setId}/${name}`;
}

/** The set that a transfer's id belongs to; undefined when it is none. */
export function setIdOf(transferId: string): string | undefined {
  const at = transferId.lastIndexOf("/");
  return at < 1 ? undefined : transferId.slice(0, at);
}

/** A transfer that happened. Of a `void`, `amount` is what was given back. */
export type StoredTransfer = AnyTransfer & {
  readonly setId: string;
  readonly phase: Transfer["phase"];
  readonly pendingId?: string | undefined;
  readonly expiresAtMs?: number | undefined;
  readonly closes?: boolean | undefined;
  readonly atMs: number;
  /** Where it stands among all: goes up, with gaps at most where a store cannot help it. */
  readonly sequence: number;
};

/** Everything but `applied` and `exists` has changed nothing. */
export type SetStatus =
  | "applied"
  | "exists" // the same set was applied before
  | "differs" // another set has this id
  | "insufficient" // an account would be overdrawn or hold too many, or more taken from a pending transfer than is left
  | "no_pending" // there is no such pending transfer
  | "not_pending" // it was resolved before, or has expired
  | "malformed";

export interface SetOutcome {
  readonly setId: string;
  readonly status: SetStatus;
  /** What is wrong, for people; names the transfer. */
  readonly detail?: string | undefined;
}

export interface Balance {
  readonly account: LedgerAccountId;
  readonly debitsPosted: Micros;
  readonly creditsPosted: Micros;
  readonly debitsPending: Micros;
  readonly creditsPending: Micros;
}

/** What an account may still spend: what came in, less what went out and what is held. */
export function available({ creditsPosted, debitsPosted, debitsPending }: Balance): Micros {
  return creditsPosted - debitsPosted - debitsPending;
}

export interface TransferPage {
  /** Default 100, at most 1000. */
  readonly limit?: number;
  /** Only those with a lower sequence. */
  readonly before?: number;
  /** Only those at or after, and before, these times. */
  readonly fromMs?: number;
  readonly toMs?: number;
}

/** What keeps the ledger. One contract suite: in memory, on Deno KV, on PostgreSQL. */
export interface LedgerStore {
  /**
   * Applies each set by itself, in this order; resolves once what is applied would survive a crash. When it rejects, any of
   * them may have been applied or not: the same sets again tell (`exists`), and do nothing twice.
   */
  apply(sets: readonly TransferSet[]): Promise<SetOutcome[]>;
  /** Zeros for an account that nothing has happened to. */
  balance(account: LedgerAccountId): Promise<Balance>;
  /** The sum over all accounts: debits and credits are equal, or something is badly wrong. */
  totals(): Promise<Omit<Balance, "account">>;
  transfer(id: string): Promise<StoredTransfer | undefined>;
  /** Transfers that debit or credit the account, the newest first. */
  transfers(account: LedgerAccountId, page?: TransferPage): Promise<StoredTransfer[]>;
  /** What is left of a pending transfer: 0 once it is resolved or expired, undefined if there is none. */
  pendingLeft(id: string): Promise<Micros | undefined>;
  /** Pending transfers of the account that are not resolved, the newest first: at most `MAX_OPEN_PENDING`. */
  pending(account: LedgerAccountId): Promise<StoredTransfer[]>;
  /** Voids pending transfers whose time has come, at most `limit` (default 1000); gives how many. Each is a set of its own. */
  expire(limit?: number): Promise<number>;
}
