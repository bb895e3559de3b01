/**
 * The ledger as long as the process: for tests, and for an orchestrator that is tried out. Nothing is awaited between
 * deciding and keeping, so that what it does is what the machine does.
 */

import type { Clock } from "../../protocol/clock.ts";
import {
  type Balance,
  type LedgerAccountId,
  type LedgerStore,
  setIdOf,
  type SetOutcome,
  type StoredTransfer,
  type TransferPage,
  type TransferSet,
} from "../../protocol/sharing/ledger.ts";
import { malformedOutcome } from "../../protocol/sharing/ledger_form.ts";
import {
  addBalances,
  LedgerBatch,
  type LedgerPast,
  type Pending,
  zeroBalance,
} from "../../protocol/sharing/ledger_machine.ts";
import type { Micros } from "../../protocol/sharing/money.ts";
import { checkedLimit, type CheckedPage, checkedPage, MAX_EXPIRED } from "./ledger_page.ts";

export function createMemoryLedger(clock: Clock): LedgerStore {
  return new MemoryLedger(clock);
}

class MemoryLedger implements LedgerStore {
  readonly #clock: Clock;
  readonly #balances = new Map<LedgerAccountId, Balance>();
  readonly #pendings = new Map<string, Pending>();
  readonly #openIds = new Map<LedgerAccountId, Set<string>>();
  readonly #sets = new Map<string, readonly StoredTransfer[]>();
  /** Everything that happened; a transfer's sequence is its place. */
  readonly #transfers: StoredTransfer[] = [];
  readonly #past: LedgerPast = {
    balance: (account) => this.#balances.get(account) ?? zeroBalance(account),
    pending: (id) => this.#pendings.get(id),
    openPending: (account) => this.#openIds.get(account)?.size ?? 0,
    set: (id) => this.#sets.get(id),
  };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  apply(sets: readonly TransferSet[]): Promise<SetOutcome[]> {
    const batch = this.#batch();
    const outcomes = sets.map((set) => malformedOutcome(set) ?? batch.apply(set));
    this.#keep(batch);
    return Promise.resolve(outcomes);
  }

  balance(account: LedgerAccountId): Promise<Balance> {
    return Promise.resolve(this.#past.balance(account));
  }

  totals(): Promise<Omit<Balance, "account">> {
    const { account: _, ...totals } = this.#balances.values().reduce(addBalances, zeroBalance("all"));
    return Promise.resolve(totals);
  }

  transfer(id: string): Promise<StoredTransfer | undefined> {
    return Promise.resolve(this.#sets.get(setIdOf(id) ?? "")?.find((transfer) => transfer.id === id));
  }

  transfers(account: LedgerAccountId, page: TransferPage = {}): Promise<StoredTransfer[]> {
    return Promise.try(() => [...this.#newestFirst(account, checkedPage(page))]);
  }

  pendingLeft(id: string): Promise<Micros | undefined> {
    const pending = this.#pendings.get(id);
    return Promise.resolve(pending && pending.expiresAtMs <= this.#nowMs() ? 0n : pending?.left);
  }

  async pending(account: LedgerAccountId): Promise<StoredTransfer[]> {
    const newestFirst = this.#openPendings(account).sort((a, b) => b.sequence - a.sequence);
    const transfers = await Promise.all(newestFirst.map(({ id }) => this.transfer(id)));
    return transfers.filter((transfer) => transfer !== undefined);
  }

  expire(limit = MAX_EXPIRED): Promise<number> {
    return Promise.try(() => {
      const most = checkedLimit(limit);
      const batch = this.#batch();
      let expired = 0;
      const open = [...this.#openIds.values()].flatMap((ids) => [...ids]);
      for (const id of open) if (expired < most && batch.expire(id)) expired++;
      this.#keep(batch);
      return expired;
    });
  }

  #openPendings(account: LedgerAccountId): Pending[] {
    return [...this.#openIds.get(account) ?? []].map((id) => this.#pendings.get(id)!);
  }

  *#newestFirst(account: LedgerAccountId, { limit, before, fromMs, toMs }: CheckedPage): Generator<StoredTransfer> {
    let found = 0;
    for (let at = Math.min(before, this.#transfers.length) - 1; at >= 0 && found < limit; at--) {
      const transfer = this.#transfers[at]!;
      if (transfer.atMs < fromMs) return;
      if (transfer.atMs >= toMs || (transfer.debit !== account && transfer.credit !== account)) continue;
      found++;
      yield transfer;
    }
  }

  /** Time as the ledger has it: a wall clock that is set back does not take it along. */
  #nowMs(): number {
    return Math.max(this.#clock.wallNow(), this.#transfers.at(-1)?.atMs ?? 0);
  }

  #batch(): LedgerBatch {
    return new LedgerBatch(this.#past, { atMs: this.#nowMs(), nextSequence: this.#transfers.length });
  }

  #keep({ balances, pendings, sets, transfers }: LedgerBatch): void {
    for (const [account, balance] of balances) this.#balances.set(account, balance);
    for (const [id, pending] of pendings) {
      this.#pendings.set(id, pending);
      const open = this.#openIds.get(pending.debit) ?? new Set();
      this.#openIds.set(pending.debit, open);
      if (pending.left > 0n) open.add(id);
      else open.delete(id);
    }
    for (const [id, set] of sets) this.#sets.set(id, set);
    for (const transfer of transfers) this.#transfers.push(transfer);
  }
}
