/** Reads the records of a ledger on Deno KV (`ledger_keys.ts`). */

import { type LedgerAccountId, setIdOf, type StoredTransfer } from "../../protocol/sharing/ledger.ts";
import type { Needed, Pending } from "../../protocol/sharing/ledger_machine.ts";
import {
  type AccountRecord,
  accountRecordSchema,
  entrySchema,
  headSchema,
  sequenceSchema,
  type SetPlace,
  type SetRecord,
  setRecordSchema,
  transfersOf,
} from "../../protocol/sharing/ledger_records.ts";
import type { Parser } from "../records.ts";
import { inStore } from "../store_error.ts";
import { type HeadVersion, LedgerCache } from "./ledger_cache.ts";
import { LedgerKeys, parseRecord } from "./ledger_keys.ts";
import type { CheckedPage } from "./ledger_page.ts";

/** Deno KV reads no more keys than this at once. */
const MAX_READ_KEYS = 10;
const MAX_LIST_BATCH = 500;
const DEED = "read the ledger";

export class LedgerReader {
  readonly keys: LedgerKeys;
  readonly #kv: Deno.Kv;

  constructor(kv: Deno.Kv, space: string) {
    this.#kv = kv;
    this.keys = new LedgerKeys(space);
  }

  async head(): Promise<HeadVersion> {
    const entry = await inStore(DEED, () => this.#kv.get(this.keys.head));
    const head = parseRecord(headSchema, entry) ?? { sequence: 0, atMs: 0 };
    return { head, versionstamp: entry.versionstamp };
  }

  /** Begins a cache: the head first, so that whoever writes meanwhile is noticed by the first commit. */
  async open(): Promise<LedgerCache> {
    const at = await this.head();
    const open: Pending[] = [];
    for await (const account of this.accounts()) open.push(...account.open);
    return new LedgerCache(at, open);
  }

  async sets(ids: readonly string[]): Promise<(StoredTransfer[] | undefined)[]> {
    const records = await this.#get<SetRecord>(setRecordSchema, ids.map((id) => this.keys.of("set", id)));
    return records.map((record, at) => record && transfersOf(ids[at]!, record));
  }

  async account(account: LedgerAccountId): Promise<AccountRecord | undefined> {
    return (await this.#get<AccountRecord>(accountRecordSchema, [this.keys.of("account", account)]))[0];
  }

  accounts(): AsyncGenerator<AccountRecord> {
    return this.#list<AccountRecord>(accountRecordSchema, { prefix: this.keys.of("account") });
  }

  /** Reads what is needed and not known yet. */
  async load(cache: LedgerCache, { setIds, pendingIds, accounts }: Needed): Promise<void> {
    // Of what is not open the set says whether it ever was.
    const pendingSets = [...pendingIds].filter((id) => !cache.open.has(id)).map((id) => setIdOf(id) ?? id);
    const unknownSets = [...new Set([...setIds, ...pendingSets])].filter((id) => !cache.knowsSet(id));
    const holders = [...pendingIds].flatMap((id) => cache.open.get(id)?.credit ?? []);
    const unknown = [...new Set([...accounts, ...holders])].filter((account) => !cache.known(account));
    const [sets, records] = await Promise.all([
      this.sets(unknownSets),
      this.#get<AccountRecord>(accountRecordSchema, unknown.map((account) => this.keys.of("account", account))),
    ]);
    for (const [at, id] of unknownSets.entries()) cache.addSet(id, sets[at]);
    for (const [at, account] of unknown.entries()) cache.addAccount(account, records[at]);
  }

  /** Transfers of an account, the newest first. */
  async transfers(account: LedgerAccountId, page: CheckedPage): Promise<StoredTransfer[]> {
    const [from, to] = await Promise.all([this.#sequenceAt(page.fromMs), this.#sequenceAt(page.toMs)]);
    const before = Math.min(page.before, to);
    const found: StoredTransfer[] = [];
    for await (const places of this.#places(account, before, page.limit)) {
      const sets = await this.sets(places.filter(([sequence]) => sequence < before).map(([, id]) => id));
      for (const transfer of sets.reverse().flatMap((set) => set?.toReversed() ?? [])) {
        if (transfer.sequence < from) return found;
        const isMeant = transfer.sequence < before && (transfer.debit === account || transfer.credit === account);
        if (isMeant && found.push(transfer) === page.limit) return found;
      }
    }
    return found;
  }

  /** Where the sets of an account are, before a sequence: runs of them in order, the last run first. */
  async *#places(account: LedgerAccountId, before: number, limit: number): AsyncGenerator<readonly SetPlace[]> {
    const recent = (await this.account(account))?.recent ?? [];
    if (recent.length > 0) yield recent;
    // What has moved from there to an entry since was given already.
    const end = this.keys.of("entry", account, Math.min(before, recent[0]?.[0] ?? before));
    const options = { reverse: true, batchSize: Math.min(limit, MAX_LIST_BATCH) };
    const entries = this.#list<SetPlace[]>(entrySchema, { start: this.keys.of("entry", account, 0), end }, options);
    for await (const entry of entries) yield* lastFirst(entry);
  }

  /** The sequence of the first transfer at or after a time; beyond all when there is none. */
  async #sequenceAt(timeMs: number): Promise<number> {
    if (timeMs <= 0) return 0;
    const selector = { start: this.keys.of("time", timeMs), end: this.keys.of("time", Infinity) };
    for await (const sequence of this.#list<number>(sequenceSchema, selector, { limit: 1 })) return sequence;
    return Number.MAX_SAFE_INTEGER;
  }

  async #get<T>(schema: Parser<T>, keys: readonly Deno.KvKey[]): Promise<(T | undefined)[]> {
    const groups: Deno.KvKey[][] = [];
    for (let at = 0; at < keys.length; at += MAX_READ_KEYS) groups.push(keys.slice(at, at + MAX_READ_KEYS));
    const entries = await inStore(DEED, () => Promise.all(groups.map((group) => this.#kv.getMany(group))));
    return entries.flat().map((entry) => parseRecord(schema, entry));
  }

  async *#list<T>(
    schema: Parser<T>,
    selector: Deno.KvListSelector,
    options: Deno.KvListOptions = {},
  ): AsyncGenerator<T> {
    const entries = this.#kv.list(selector, options);
    for (;;) {
      const { done, value } = await inStore(DEED, () => entries.next());
      if (done) return;
      yield parseRecord(schema, value)!;
    }
  }
}

/** An entry of the house may be long, and a page is not: pieces of what is read at once, the last first. */
function* lastFirst(entry: readonly SetPlace[]): Generator<readonly SetPlace[]> {
  for (let end = entry.length; end > 0; end -= MAX_READ_KEYS) yield entry.slice(Math.max(0, end - MAX_READ_KEYS), end);
}
