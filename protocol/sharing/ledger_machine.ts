/**
 * What the ledger's rules make of sets of transfers: pure, and the same for every store.
 *
 *   store: what the sets need (`neededBy`) ─▶ LedgerPast
 *   machine: LedgerBatch.apply(set) … ─▶ outcomes
 *   store: writes `transfers`, `balances` and `pendings`, all or nothing, and then answers
 *
 * A batch sees what its own earlier sets did. Sums of the house's accounts, and of those that are not debited, are only ever
 * added to, so a store may give zeros for them and add what comes out. Nothing of a set that is refused is left in the batch.
 */

import {
  available,
  type Balance,
  type LedgerAccountId,
  MAX_OPEN_PENDING,
  type SetOutcome,
  type SetStatus,
  type StoredTransfer,
  type Transfer,
  transferId,
  type TransferSet,
} from "./ledger.ts";
import { isPersonal } from "./ledger_form.ts";
import { isSameSet } from "./ledger_same.ts";
import { formatMicros, type Micros } from "./money.ts";

/** What must be known of a pending transfer to resolve it. */
export interface Pending extends Pick<StoredTransfer, "id" | "debit" | "credit" | "reason" | "sequence"> {
  readonly expiresAtMs: number;
  /** 0 once it is resolved. */
  readonly left: Micros;
}

/** What happened before the batch. Everything that `neededBy` names must be there to be seen. */
export interface LedgerPast {
  balance(account: LedgerAccountId): Balance;
  /** Undefined when there is no such pending transfer; of one that is resolved `left` is 0. */
  pending(id: string): Pending | undefined;
  /** How many pending transfers that debit the account are open. */
  openPending(account: LedgerAccountId): number;
  /** The transfers of a set that was applied. */
  set(id: string): readonly StoredTransfer[] | undefined;
}

export interface Needed {
  readonly setIds: ReadonlySet<string>;
  readonly pendingIds: ReadonlySet<string>;
  readonly accounts: ReadonlySet<LedgerAccountId>;
  /** Those of them that money is taken from, or held of: what the others have decides nothing. */
  readonly debited: ReadonlySet<LedgerAccountId>;
}

/** What a store must know before it can apply the sets, which are well formed. */
export function neededBy(sets: readonly TransferSet[]): Needed {
  const [setIds, pendingIds] = [new Set<string>(), new Set<string>()];
  const [accounts, debited] = [new Set<LedgerAccountId>(), new Set<LedgerAccountId>()];
  for (const { id, transfers } of sets) {
    setIds.add(id);
    for (const transfer of transfers) {
      accounts.add(transfer.debit).add(transfer.credit);
      debited.add(transfer.debit);
      if (transfer.phase === "post" || transfer.phase === "void") pendingIds.add(transfer.pendingId);
    }
  }
  return { setIds, pendingIds, accounts, debited };
}

export function zeroBalance(account: LedgerAccountId): Balance {
  return { account, debitsPosted: 0n, creditsPosted: 0n, debitsPending: 0n, creditsPending: 0n };
}

/** What two sums of one account come to. */
export function addBalances(one: Balance, other: Balance): Balance {
  return {
    account: one.account,
    debitsPosted: one.debitsPosted + other.debitsPosted,
    creditsPosted: one.creditsPosted + other.creditsPosted,
    debitsPending: one.debitsPending + other.debitsPending,
    creditsPending: one.creditsPending + other.creditsPending,
  };
}

type ResolvingTransfer = Extract<Transfer, { readonly pendingId: string }>;

/** Why a transfer does not happen. */
interface Refusal {
  readonly status: Exclude<SetStatus, "applied" | "exists">;
  readonly detail: string;
}

export interface BatchTime {
  /** Of every transfer of the batch; stores let it never go back. */
  readonly atMs: number;
  /** Of the first transfer. */
  readonly nextSequence: number;
}

export class LedgerBatch {
  readonly #past: LedgerPast;
  readonly #time: BatchTime;
  readonly #sets = new Map<string, readonly StoredTransfer[]>();
  /** What has changed, with all its sums. */
  readonly balances = new Map<LedgerAccountId, Balance>();
  readonly pendings = new Map<string, Pending>();
  readonly #openPending = new Map<LedgerAccountId, number>();
  /** What happened, in order. */
  readonly transfers: StoredTransfer[] = [];
  /** What the set under way has changed. */
  readonly #changes = new Changes();

  constructor(past: LedgerPast, time: BatchTime) {
    this.#past = past;
    this.#time = time;
  }

  /** The sets that were applied, by id. */
  get sets(): ReadonlyMap<string, readonly StoredTransfer[]> {
    return this.#sets;
  }

  get atMs(): number {
    return this.#time.atMs;
  }

  /** For a set that `problemOfSet` finds nothing wrong with. */
  apply(set: TransferSet): SetOutcome {
    const before = this.#sets.get(set.id) ?? this.#past.set(set.id);
    if (before) return outcomeOfRepeat(set, before);
    this.#changes.clear();
    const first = this.transfers.length;
    for (const transfer of set.transfers) {
      const refusal = this.#apply(set.id, transfer);
      if (!refusal) continue;
      this.#changes.undo();
      this.transfers.length = first;
      return { setId: set.id, status: refusal.status, detail: `${transfer.id}: ${refusal.detail}` };
    }
    this.#sets.set(set.id, this.transfers.slice(first));
    return { setId: set.id, status: "applied" };
  }

  /** Gives back what is left of a pending transfer whose time has come; false when nothing is, or it has not. */
  expire(pendingId: string): boolean {
    const pending = this.#pending(pendingId);
    if (!pending || pending.left === 0n || !this.#isOver(pending)) return false;
    this.#changes.clear();
    const { debit, credit, reason } = pending;
    const setId = expirySetId(pendingId);
    const first = this.transfers.length;
    this.#resolve(pending, pending.left);
    this.#keep(setId, { id: transferId(setId, "void"), phase: "void", debit, credit, reason, pendingId }, pending.left);
    this.#sets.set(setId, this.transfers.slice(first));
    return true;
  }

  #apply(setId: string, transfer: Transfer): Refusal | undefined {
    const { phase, debit, credit } = transfer;
    if (phase === "post" || phase === "void") return this.#applyToPending(setId, transfer);
    if (phase === "pending" && transfer.expiresAtMs <= this.#time.atMs) {
      return { status: "not_pending", detail: "it has expired already" };
    }
    if (phase === "pending" && this.#countOpen(debit) >= MAX_OPEN_PENDING) {
      return { status: "insufficient", detail: `at most ${MAX_OPEN_PENDING} transfers of ${debit} may be pending` };
    }
    const { amount } = transfer;
    const from = this.#balance(debit);
    if (isPersonal(debit) && available(from) < amount) return insufficient(debit, available(from), amount);
    const to = this.#balance(credit);
    if (phase === "posted") {
      this.#post(from, to, amount);
    } else {
      this.#hold(from, to, amount);
    }
    const { id, reason, sequence } = this.#keep(setId, transfer, amount);
    if (phase === "pending") {
      this.#setPending({ id, debit, credit, reason, sequence, expiresAtMs: transfer.expiresAtMs, left: amount });
      this.#set(this.#openPending, debit, this.#countOpen(debit) + 1);
    }
    return undefined;
  }

  #applyToPending(setId: string, transfer: ResolvingTransfer): Refusal | undefined {
    const { phase, debit, credit, pendingId } = transfer;
    const pending = this.#pending(pendingId);
    if (!pending) return { status: "no_pending", detail: `there is no pending transfer ${pendingId}` };
    if (pending.left === 0n) return { status: "not_pending", detail: `${pendingId} was resolved before` };
    if (this.#isOver(pending)) return { status: "not_pending", detail: `${pendingId} has expired` };
    if (debit !== pending.debit) {
      return malformed(`it must debit ${pending.debit} as ${pendingId} does`);
    }
    if (phase === "void") {
      if (credit !== pending.credit) return malformed(`it must credit ${pending.credit}`);
      this.#resolve(pending, pending.left);
      this.#keep(setId, transfer, pending.left);
      return undefined;
    }
    const { amount, closes = false } = transfer;
    if (amount > pending.left) return insufficient(pendingId, pending.left, amount);
    this.#resolve(pending, closes ? pending.left : amount);
    this.#post(this.#balance(debit), this.#balance(credit), amount);
    this.#keep(setId, transfer, amount);
    return undefined;
  }

  #post(from: Balance, to: Balance, amount: Micros): void {
    this.#setBalance({ ...from, debitsPosted: from.debitsPosted + amount });
    this.#setBalance({ ...to, creditsPosted: to.creditsPosted + amount });
  }

  /** A negative amount is no longer held. */
  #hold(from: Balance, to: Balance, amount: Micros): void {
    this.#setBalance({ ...from, debitsPending: from.debitsPending + amount });
    this.#setBalance({ ...to, creditsPending: to.creditsPending + amount });
  }

  #isOver({ expiresAtMs }: Pending): boolean {
    return expiresAtMs <= this.#time.atMs;
  }

  /** So much is no longer held. */
  #resolve(pending: Pending, amount: Micros): void {
    const { debit, credit, left } = pending;
    this.#hold(this.#balance(debit), this.#balance(credit), -amount);
    this.#setPending({ ...pending, left: left - amount });
    if (left === amount) this.#set(this.#openPending, debit, this.#countOpen(debit) - 1);
  }

  #keep(setId: string, transfer: Transfer, amount: Micros): StoredTransfer {
    const { atMs, nextSequence } = this.#time;
    const stored = storedOf(transfer, { setId, amount, atMs, sequence: nextSequence + this.transfers.length });
    this.transfers.push(stored);
    return stored;
  }

  #balance(account: LedgerAccountId): Balance {
    return this.balances.get(account) ?? this.#past.balance(account);
  }

  #pending(id: string): Pending | undefined {
    return this.pendings.get(id) ?? this.#past.pending(id);
  }

  #countOpen(account: LedgerAccountId): number {
    return this.#openPending.get(account) ?? this.#past.openPending(account);
  }

  #setBalance(balance: Balance): void {
    this.#set(this.balances, balance.account, balance);
  }

  #setPending(pending: Pending): void {
    this.#set(this.pendings, pending.id, pending);
  }

  #set<V>(map: Map<string, V>, key: string, value: V): void {
    this.#changes.add(map, key);
    map.set(key, value);
  }
}

/** What maps held before they were changed, to be put back. Three lists, because there are very many and few are undone. */
class Changes {
  readonly #maps: Map<string, unknown>[] = [];
  readonly #keys: string[] = [];
  readonly #before: unknown[] = [];

  add(map: Map<string, unknown>, key: string): void {
    this.#maps.push(map);
    this.#keys.push(key);
    this.#before.push(map.get(key));
  }

  clear(): void {
    this.#maps.length = this.#keys.length = this.#before.length = 0;
  }

  /** The last first. */
  undo(): void {
    for (let at = this.#maps.length - 1; at >= 0; at--) {
      const [map, key, before] = [this.#maps[at]!, this.#keys[at]!, this.#before[at]];
      if (before === undefined) map.delete(key);
      else map.set(key, before);
    }
    this.clear();
  }
}

type Writable<T> = { -readonly [name in keyof T]: T[name] };

/** What the ledger adds to a transfer that happens. */
type Added = Pick<StoredTransfer, "setId" | "amount" | "atMs" | "sequence">;

/** Without what was left out, so that it is the same whichever store it comes back from. */
function storedOf(transfer: Transfer, { setId, amount, atMs, sequence }: Added): StoredTransfer {
  const { id, phase, debit, credit, reason, memo } = transfer;
  const stored: Writable<StoredTransfer> = { id, setId, phase, debit, credit, amount, reason, atMs, sequence };
  if (memo) stored.memo = memo;
  if (phase === "post" || phase === "void") stored.pendingId = transfer.pendingId;
  if (phase === "pending") stored.expiresAtMs = transfer.expiresAtMs;
  if (phase === "post" && transfer.closes) stored.closes = true;
  return stored;
}

/** The set that gives back what had expired: with a space, so that nobody else's can have this id. */
export function expirySetId(pendingId: string): string {
  return `expired ${pendingId}`;
}

function outcomeOfRepeat(set: TransferSet, before: readonly StoredTransfer[]): SetOutcome {
  if (isSameSet(set, before)) return { setId: set.id, status: "exists" };
  return { setId: set.id, status: "differs", detail: `another set has the id ${set.id}` };
}

function malformed(detail: string): Refusal {
  return { status: "malformed", detail };
}

function insufficient(of: string, there: Micros, wanted: Micros): Refusal {
  return { status: "insufficient", detail: `${formatMicros(wanted)} of ${of}, where ${formatMicros(there)} is left` };
}
