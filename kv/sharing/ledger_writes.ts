/** What a batch of the ledger becomes on Deno KV (`ledger_keys.ts`): the mutations of one commit. */

import type { LedgerAccountId, StoredTransfer, TransferSet } from "../../protocol/sharing/ledger.ts";
import type { LedgerBatch, Pending } from "../../protocol/sharing/ledger_machine.ts";
import {
  type AccountRecord,
  encodeAccount,
  encodeEntry,
  encodeSet,
  type Head,
  MAX_ENTRY_SETS,
  MAX_RECENT_SETS,
  type SetPlace,
} from "../../protocol/sharing/ledger_records.ts";
import { MAX_MUTATIONS, type Mutation, partsOf } from "../commit.ts";
import type { LedgerCache } from "./ledger_cache.ts";
import type { LedgerKeys } from "./ledger_keys.ts";

/** What is to be committed, and what the accounts are then. */
export interface LedgerWrite {
  readonly batch: LedgerBatch;
  readonly next: Head;
  readonly accounts: readonly AccountRecord[];
  readonly mutations: readonly Mutation[];
}

/** The sets of a batch by the accounts that they debit or credit, and how many mutations that makes. */
export class BatchPlaces {
  readonly #cache: LedgerCache;
  readonly #places = new Map<LedgerAccountId, SetPlace[]>();
  #entries = 0;

  constructor(cache: LedgerCache) {
    this.#cache = cache;
  }

  add(setId: string, transfers: readonly StoredTransfer[]): void {
    const place: SetPlace = [transfers[0]!.sequence, setId];
    for (const { debit, credit } of transfers) {
      this.#addTo(debit, place);
      this.#addTo(credit, place);
    }
  }

  of(account: LedgerAccountId): readonly SetPlace[] {
    return this.#places.get(account) ?? [];
  }

  /** Whether the batch can take the set and still be one commit, by the number of mutations. */
  haveRoom({ sets, balances }: LedgerBatch, { transfers }: TransferSet): boolean {
    // Head and time; each set, each account's record, and what has become too much for those.
    const present = 2 + sets.size + balances.size + this.#entries;
    // The accounts of every transfer, and who holds what it resolves, may be new to the batch.
    return present + 1 + transfers.length * 6 <= MAX_MUTATIONS;
  }

  #addTo(account: LedgerAccountId, place: SetPlace): void {
    const known = this.#places.get(account);
    if (known?.at(-1) === place) return;
    if (known) known.push(place);
    else this.#places.set(account, [place]);
    const tooMany = this.#cache.account(account).recent.length + (known?.length ?? 1) - MAX_RECENT_SETS;
    if (tooMany === 1 || tooMany > 1 && (tooMany + MAX_RECENT_SETS) % MAX_ENTRY_SETS === 1) this.#entries++;
  }
}

/** Whether the mutations are within the limits of one commit. */
export function fitOneCommit(mutations: readonly Mutation[]): boolean {
  const parts = partsOf(mutations);
  parts.next();
  return parts.next().done === true;
}

/** The mutations of a batch. What it was decided upon is in the cache. */
export function ledgerWrite(
  batch: LedgerBatch,
  { places, cache, keys }: { readonly places: BatchPlaces; readonly cache: LedgerCache; readonly keys: LedgerKeys },
): LedgerWrite {
  const last = cache.at.head;
  const next: Head = { sequence: last.sequence + batch.transfers.length, atMs: batch.atMs };
  const mutations: Mutation[] = [{ key: keys.head, value: next }];
  if (next.atMs > last.atMs) mutations.push({ key: keys.of("time", next.atMs), value: last.sequence });
  for (const [id, set] of batch.sets) mutations.push({ key: keys.of("set", id), value: encodeSet(set) });
  const pendings = pendingsOf(batch);
  const accounts: AccountRecord[] = [];
  for (const [account, balance] of batch.balances) {
    const before = cache.account(account);
    const { entries, recent } = moved([...before.recent, ...places.of(account)]);
    for (const entry of entries) {
      mutations.push({ key: keys.of("entry", account, entry[0]![0]), value: encodeEntry(entry) });
    }
    const record = { balance, open: openAfter(before.open, pendings.get(account)), recent };
    mutations.push({ key: keys.of("account", account), value: encodeAccount(record) });
    accounts.push(record);
  }
  return { batch, next, accounts, mutations };
}

/** The pending transfers that have changed, by the account that they debit. */
function pendingsOf({ pendings }: LedgerBatch): Map<LedgerAccountId, Pending[]> {
  return Map.groupBy(pendings.values(), ({ debit }) => debit);
}

function openAfter(before: readonly Pending[], changed: readonly Pending[] = []): readonly Pending[] {
  if (changed.length === 0) return before;
  const ids = new Set(changed.map(({ id }) => id));
  return [...before.filter(({ id }) => !ids.has(id)), ...changed.filter(({ left }) => left > 0n)];
}

/** What is too much for an account's own record moves to entries, all of it at once. */
function moved(places: readonly SetPlace[]): { entries: readonly SetPlace[][]; recent: readonly SetPlace[] } {
  if (places.length <= MAX_RECENT_SETS) return { entries: [], recent: places };
  const entries: SetPlace[][] = [];
  for (let at = 0; at < places.length; at += MAX_ENTRY_SETS) entries.push(places.slice(at, at + MAX_ENTRY_SETS));
  return { entries, recent: [] };
}
