/**
 * The ledger on Deno KV. One process writes, the one that holds the space's lease (`../leases.ts`); balances and what is
 * open are kept in its memory, and what they are made of is in `ledger_keys.ts`.
 *
 *   apply ─▶ those of one turn of the event loop together ─▶ what they need is read ─▶ LedgerBatch decides
 *         ─▶ one commit of as many whole sets as its limits allow ─▶ callers are answered
 *            └ meanwhile the next is decided, as if that were kept
 *
 * Nothing is answered, nor seen by `balance`, before it is committed. Every commit checks the head that it was decided upon: if
 * somebody else has written after all, everything is forgotten, read and decided anew. So it is when a commit fails, since
 * nobody knows then whether it was kept; the callers' sets tell when they are sent again.
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
import {
  addBalances,
  LedgerBatch,
  type Needed,
  neededBy,
  type Pending,
  zeroBalance,
} from "../../protocol/sharing/ledger_machine.ts";
import type { Micros } from "../../protocol/sharing/money.ts";
import { commitVersion, untilCommitted, type Writable } from "../commit.ts";
import type { KvSpace } from "../records.ts";
import type { LedgerCache } from "./ledger_cache.ts";
import { checkedLimit, checkedPage, MAX_EXPIRED } from "./ledger_page.ts";
import type { AccountRecord } from "../../protocol/sharing/ledger_records.ts";
import { type Applied, LedgerQueue } from "./ledger_queue.ts";
import { LedgerReader } from "./ledger_reader.ts";
import { BatchPlaces, fitOneCommit, type LedgerWrite, ledgerWrite } from "./ledger_writes.ts";

/** About as many ordinary ones as fit one commit: what more of them need would be read in vain. */
const MAX_ROUND_SETS = 450;
/** Six mutations each, with the longest ids there are. */
const MAX_EXPIRED_AT_ONCE = 100;

export function createKvLedger(kv: Deno.Kv, clock: Clock, space: KvSpace): LedgerStore {
  return new KvLedger(kv, clock, space);
}

/** What became of sets, once it is kept. */
interface Decided {
  readonly outcomes: SetOutcome[];
  readonly write: LedgerWrite;
}

/** Something else that is to be committed. */
interface Deed {
  readonly write: LedgerWrite;
  onKept(write: LedgerWrite): void;
}

class KvLedger implements LedgerStore {
  readonly #store: Writable;
  readonly #reader: LedgerReader;
  #cache: LedgerCache | undefined;
  readonly #queue: LedgerQueue;
  /** Settles with the commit under way, and what it may take until its sets are kept; never rejects. */
  #underWay: Promise<unknown> = Promise.resolve();

  constructor(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace) {
    this.#store = { kv, clock, guard };
    this.#reader = new LedgerReader(kv, space);
    this.#queue = new LedgerQueue((sets) => this.#applySome(sets), MAX_ROUND_SETS);
  }

  apply(sets: readonly TransferSet[]): Promise<SetOutcome[]> {
    return this.#queue.apply(sets);
  }

  async balance(account: LedgerAccountId): Promise<Balance> {
    return (await this.#record(account))?.balance ?? zeroBalance(account);
  }

  /** In turn, because the accounts are read in several goes, between which nothing may be written. */
  totals(): Promise<Omit<Balance, "account">> {
    return this.#queue.inTurn(async () => {
      let sum = zeroBalance("all");
      for await (const { balance } of this.#reader.accounts()) sum = addBalances(sum, balance);
      const { account: _, ...totals } = sum;
      return totals;
    });
  }

  async transfer(id: string): Promise<StoredTransfer | undefined> {
    const [set] = await this.#reader.sets([setIdOf(id) ?? ""]);
    return set?.find((transfer) => transfer.id === id);
  }

  transfers(account: LedgerAccountId, page: TransferPage = {}): Promise<StoredTransfer[]> {
    return Promise.try(() => this.#reader.transfers(account, checkedPage(page)));
  }

  async pendingLeft(id: string): Promise<Micros | undefined> {
    const transfer = await this.transfer(id);
    if (transfer?.phase !== "pending") return undefined;
    const open = (await this.#record(transfer.debit))?.open.find((pending) => pending.id === id);
    return open && open.expiresAtMs > this.#store.clock.wallNow() ? open.left : 0n;
  }

  async pending(account: LedgerAccountId): Promise<StoredTransfer[]> {
    const open = (await this.#record(account))?.open ?? [];
    const newestFirst = open.toSorted((a, b) => b.sequence - a.sequence);
    return (await Promise.all(newestFirst.map(({ id }) => this.transfer(id)))).filter((each) => each !== undefined);
  }

  expire(limit = MAX_EXPIRED): Promise<number> {
    return Promise.try(() => {
      const most = checkedLimit(limit);
      return this.#queue.inTurn(() => this.#expire(most));
    });
  }

  /** Decides upon at least the first, and commits once what is under way is kept. */
  async #applySome(sets: readonly TransferSet[]): Promise<Applied> {
    for (;;) {
      // What is under way may be about to open it.
      if (!this.#cache) await this.#underWay;
      const cache = await this.#open();
      cache.trim();
      const { head } = cache.at;
      const decided = await this.#decide(cache, sets);
      await this.#underWay;
      // Else it was decided upon what has not been kept, or while what was lost was being decided anew.
      if (this.#cache !== cache || cache.at.head !== head) continue;
      const count = decided.outcomes.length;
      const outcomes = this.#keep(cache, decided, sets.slice(0, count));
      this.#underWay = outcomes.catch(() => {});
      return { count, outcomes };
    }
  }

  async #decide(cache: LedgerCache, sets: readonly TransferSet[]): Promise<Decided> {
    await this.#reader.load(cache, neededBy(sets));
    for (let most = sets.length;;) {
      const batch = this.#batch(cache);
      const places = new BatchPlaces(cache);
      const outcomes: SetOutcome[] = [];
      while (outcomes.length < most) {
        const set = sets[outcomes.length]!;
        if (outcomes.length > 0 && !places.haveRoom(batch, set)) break;
        const outcome = batch.apply(set);
        outcomes.push(outcome);
        if (outcome.status === "applied") places.add(set.id, batch.sets.get(set.id)!);
      }
      const write = ledgerWrite(batch, { places, cache, keys: this.#reader.keys });
      if (outcomes.length === 1 || fitOneCommit(write.mutations)) return { outcomes, write };
      most = Math.ceil(outcomes.length / 2);
    }
  }

  /** Commits; decides anew when somebody else has written meanwhile. */
  async #keep(cache: LedgerCache, { outcomes, write }: Decided, sets: readonly TransferSet[]): Promise<SetOutcome[]> {
    const deed = "move money";
    if (await this.#commit(deed, cache, write)) return outcomes;
    const anew: SetOutcome[] = [];
    while (anew.length < sets.length) {
      await this.#untilKept(deed, async (cache) => {
        const { outcomes, write } = await this.#decide(cache, sets.slice(anew.length));
        return { write, onKept: () => anew.push(...outcomes) };
      });
    }
    return anew;
  }

  async #expire(most: number): Promise<number> {
    let expired = 0;
    for (let count = -1; count !== 0; expired += count) {
      await this.#untilKept("end what was held", async (cache) => {
        const nowMs = this.#nowMs(cache);
        const due = [...cache.open.values()].filter(({ expiresAtMs }) => expiresAtMs <= nowMs);
        const some = due.slice(0, Math.min(most - expired, MAX_EXPIRED_AT_ONCE));
        await this.#reader.load(cache, neededToEnd(some));
        return { write: this.#expiry(cache, some), onKept: (write) => void (count = write.batch.sets.size) };
      });
    }
    return expired;
  }

  /** Ends as many as one commit takes. */
  #expiry(cache: LedgerCache, due: readonly Pending[]): LedgerWrite {
    for (let atOnce = due.length;; atOnce = Math.ceil(atOnce / 2)) {
      const batch = this.#batch(cache);
      for (const { id } of due.slice(0, atOnce)) batch.expire(id);
      const places = new BatchPlaces(cache);
      for (const [id, transfers] of batch.sets) places.add(id, transfers);
      const write = ledgerWrite(batch, { places, cache, keys: this.#reader.keys });
      if (atOnce <= 1 || fitOneCommit(write.mutations)) return write;
    }
  }

  async #record(account: LedgerAccountId): Promise<AccountRecord | undefined> {
    return this.#cache?.committed(account) ?? await this.#reader.account(account);
  }

  /** Time as the ledger has it: a wall clock that is set back does not take it along. */
  #nowMs(cache: LedgerCache): number {
    return Math.max(this.#store.clock.wallNow(), cache.at.head.atMs);
  }

  #batch(cache: LedgerCache): LedgerBatch {
    return new LedgerBatch(cache, { atMs: this.#nowMs(cache), nextSequence: cache.at.head.sequence });
  }

  async #open(): Promise<LedgerCache> {
    return this.#cache ??= await this.#reader.open();
  }

  /** Decides and commits, anew when somebody else has written meanwhile. Nothing else may be under way. */
  async #untilKept(deed: string, decide: (cache: LedgerCache) => Promise<Deed>): Promise<void> {
    await untilCommitted(deed, async () => {
      const cache = await this.#open();
      cache.trim();
      const { write, onKept } = await decide(cache);
      const isKept = await this.#commit(deed, cache, write);
      if (isKept) onKept(write);
      return isKept;
    });
  }

  /** False, and nothing is known any more, when somebody else has written. */
  async #commit(deed: string, cache: LedgerCache, write: LedgerWrite): Promise<boolean> {
    if (write.batch.transfers.length === 0) return true;
    const checks = [{ key: this.#reader.keys.head, versionstamp: cache.at.versionstamp }];
    cache.addUncommitted(write);
    let version: string | undefined;
    try {
      version = await commitVersion(this.#store, deed, { checks, mutations: write.mutations });
    } finally {
      if (version === undefined) this.#cache = undefined;
      else cache.committedAs(version);
    }
    return version !== undefined;
  }
}

function neededToEnd(pendings: readonly Pending[]): Needed {
  const debited = new Set(pendings.map(({ debit }) => debit));
  const accounts = debited.union(new Set(pendings.map(({ credit }) => credit)));
  return { setIds: new Set(), pendingIds: new Set(), accounts, debited };
}
