/**
 * A table on Deno KV.
 *
 *   <space> "table" name "record" id                  the record
 *   <space> "table" name "one" index value            the id that has a unique value
 *   <space> "table" name "many" index value id        true
 *
 * A record and what it is found under are one commit, which checks everything it was decided from; when another writer
 * was quicker it is decided again. Deno KV forgets late, so what has ended may still lie there: a record is looked at
 * before it is believed, and a value held by one that has ended is free.
 */

import type { Clock } from "../../protocol/clock.ts";
import { commitIf, type Mutation, untilCommitted, type Writable } from "../commit.ts";
import type { KvSpace } from "../records.ts";
import { inStore } from "../store_error.ts";
import type { Table, TablePage, TableSpec, Versioned } from "./table.ts";
import {
  checkUnique,
  isLive,
  isUnder,
  isUnique,
  readRecord,
  readTablePage,
  type Row,
  toRow,
  toRowAfter,
  uniqueIndexes,
} from "./table_row.ts";

/** Deno KV reads no more keys than this at once. */
const MAX_READ_KEYS = 10;

export function createKvTable<T>(kv: Deno.Kv, clock: Clock, spec: TableSpec<T>, space: KvSpace): Table<T> {
  return new KvTable(kv, clock, spec, space);
}

/** Who has a unique value: nobody, the one who asks, or another. */
type Holder = "nobody" | "self" | "another";

/** A value that a row wants for itself, as it was found. */
interface Claim {
  readonly entry: Deno.KvEntryMaybe<unknown>;
  readonly holder: Holder;
}

class KvTable<T> implements Table<T> {
  readonly #store: Writable;
  readonly #spec: TableSpec<T>;
  readonly #prefix: Deno.KvKey;

  constructor(kv: Deno.Kv, clock: Clock, spec: TableSpec<T>, { space, guard }: KvSpace) {
    this.#store = { kv, clock, guard };
    this.#spec = spec;
    this.#prefix = [space, "table", spec.name];
  }

  async get(id: string): Promise<Versioned<T> | undefined> {
    const [found] = await this.#readAll("look in", [id]);
    return found;
  }

  async find(index: string, value: string): Promise<Versioned<T> | undefined> {
    checkUnique(this.#spec, index);
    const [found] = await this.#under({ index, value }, { limit: 1, after: undefined });
    return found;
  }

  async list(where?: { index: string; value: string }, page: TablePage = {}): Promise<Versioned<T>[]> {
    const { limit, after } = readTablePage(this.#spec, page);
    if (where) return await this.#under(where, { limit, after });
    return await inStore(`list ${this.#spec.name}`, async () => {
      const found: Versioned<T>[] = [];
      for await (const entry of this.#store.kv.list(selectorAfter([...this.#prefix, "record"], after))) {
        const record = readRecord(this.#spec, entry.value, this.#wallMs);
        if (record !== undefined) found.push({ record, version: entry.versionstamp });
        if (found.length === limit) break;
      }
      return found;
    });
  }

  async insert(record: T): Promise<boolean> {
    const row = toRow(this.#spec, record);
    return await this.#decide(`add to ${this.#spec.name}`, async (deed) => {
      const present = await this.#entry(deed, this.#key(row.id));
      const ended = this.#ended(present.value);
      if (present.versionstamp !== null && !ended) return undefined;
      return await this.#write(deed, { present, row, last: ended });
    });
  }

  async replace(from: Versioned<T>, record: T): Promise<boolean> {
    const row = toRowAfter(this.#spec, from.record, record);
    return await this.#decide(`change ${this.#spec.name}`, async (deed) => {
      const present = await this.#entry(deed, this.#key(row.id));
      if (present.versionstamp !== from.version || this.#ended(present.value)) return undefined;
      return await this.#write(deed, { present, row, last: from.record });
    });
  }

  async remove(from: Versioned<T>): Promise<boolean> {
    const { id, indexed } = toRow(this.#spec, from.record);
    return await this.#decide(`remove from ${this.#spec.name}`, async (deed) => {
      const present = await this.#entry(deed, this.#key(id));
      if (present.versionstamp !== from.version || this.#ended(present.value)) return undefined;
      const claims = await this.#claims(deed, { id, indexed });
      return {
        checks: [present, ...claims.map(({ entry }) => entry)],
        mutations: [{ key: present.key }, ...this.#released({ id, indexed }, claims)],
      };
    });
  }

  get #wallMs(): number {
    return this.#store.clock.wallNow();
  }

  #key(id: string): Deno.KvKey {
    return [...this.#prefix, "record", id];
  }

  #indexKey(id: string, [index, value]: readonly [string, string]): Deno.KvKey {
    return isUnique(this.#spec, index)
      ? [...this.#prefix, "one", index, value]
      : [...this.#prefix, "many", index, value, id];
  }

  #entry(deed: string, key: Deno.KvKey): Promise<Deno.KvEntryMaybe<unknown>> {
    return inStore(deed, () => this.#store.kv.get(key));
  }

  /** What lies there, if its time has passed. */
  #ended(value: unknown): T | undefined {
    const { data } = this.#spec.schema.safeParse(value);
    return data !== undefined && !isLive(this.#spec, data, this.#wallMs) ? data : undefined;
  }

  /** Writes what `decide` says until nobody else has written in between; false once it says that there is nothing to do. */
  async #decide(
    deed: string,
    decide: (deed: string) => Promise<{ checks: Deno.AtomicCheck[]; mutations: Mutation[] } | undefined>,
  ): Promise<boolean> {
    let isDone = false;
    await untilCommitted(deed, async () => {
      const write = await decide(deed);
      if (!write) return true;
      return isDone = await commitIf(this.#store, deed, write);
    });
    return isDone;
  }

  /** Puts the row in the place of what was last there; undefined when another has a value that must be unique. */
  async #write(
    deed: string,
    { present, row, last }: { present: Deno.KvEntryMaybe<unknown>; row: Row<T>; last: T | undefined },
  ): Promise<{ checks: Deno.AtomicCheck[]; mutations: Mutation[] } | undefined> {
    const claims = await this.#claims(deed, row);
    if (claims.some(({ holder }) => holder === "another")) return undefined;
    const before = last === undefined ? undefined : toRow(this.#spec, last);
    const released = before && new Map([...before.indexed].filter(([name, value]) => row.indexed.get(name) !== value));
    const letGo = released ? await this.#claims(deed, { id: row.id, indexed: released }) : [];
    const expires = row.expiresAtMs === undefined ? {} : { expireInMs: row.expiresAtMs - this.#wallMs };
    const set = (key: Deno.KvKey, value: unknown): Mutation => ({ key, value, ...expires });
    return {
      checks: [present, ...[...claims, ...letGo].map(({ entry }) => entry)],
      mutations: [
        ...released ? this.#released({ id: row.id, indexed: released }, letGo) : [],
        set(present.key, row.record),
        ...[...row.indexed].map((entry) =>
          set(this.#indexKey(row.id, entry), isUnique(this.#spec, entry[0]) ? row.id : true)
        ),
      ],
    };
  }

  /** What is no longer found under these, but for values that have come to another. */
  #released({ id, indexed }: Pick<Row<T>, "id" | "indexed">, claims: readonly Claim[]): Mutation[] {
    const own = claims.filter(({ holder }) => holder === "self").map(({ entry }) => ({ key: entry.key }));
    const many = [...indexed].filter(([index]) => !isUnique(this.#spec, index));
    return [...own, ...many.map((entry) => ({ key: this.#indexKey(id, entry) }))];
  }

  /** Who has each unique value of the row. */
  async #claims(deed: string, { id, indexed }: Pick<Row<T>, "id" | "indexed">): Promise<Claim[]> {
    const claims: Claim[] = [];
    for (const index of uniqueIndexes(this.#spec)) {
      const value = indexed.get(index);
      if (value === undefined) continue;
      const entry = await this.#entry(deed, this.#indexKey(id, [index, value]));
      claims.push({ entry, holder: await this.#holder(deed, id, { index, value, holderId: entry.value }) });
    }
    return claims;
  }

  async #holder(
    deed: string,
    id: string,
    { index, value, holderId }: { index: string; value: string; holderId: unknown },
  ): Promise<Holder> {
    if (typeof holderId !== "string") return "nobody";
    if (holderId === id) return "self";
    const { value: found, versionstamp } = await this.#entry(deed, this.#key(holderId));
    if (versionstamp === null) return "nobody";
    const { data } = this.#spec.schema.safeParse(found);
    if (data === undefined) return "another";
    return isLive(this.#spec, data, this.#wallMs) && isUnder(this.#spec, data, { index, value }) ? "another" : "nobody";
  }

  /** Records with a value in an index, by their ids. */
  async #under(
    where: { index: string; value: string },
    { limit, after }: { limit: number; after: string | undefined },
  ): Promise<Versioned<T>[]> {
    const deed = `look in ${this.#spec.name}`;
    const found: Versioned<T>[] = [];
    for await (const ids of this.#idsUnder(deed, where, after)) {
      const records = await this.#readAll(deed, ids);
      found.push(...records.filter((each) => each && isUnder(this.#spec, each.record, where)) as Versioned<T>[]);
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  /** As many at a time as can be read at once. */
  async *#idsUnder(
    deed: string,
    { index, value }: { index: string; value: string },
    after: string | undefined,
  ): AsyncGenerator<string[]> {
    if (isUnique(this.#spec, index)) {
      const { value: id } = await this.#entry(deed, this.#indexKey("", [index, value]));
      if (typeof id === "string" && (after === undefined || id > after)) yield [id];
      return;
    }
    const keys = this.#store.kv.list(selectorAfter([...this.#prefix, "many", index, value], after));
    let ids: string[] = [];
    // Not in one deed: what is thrown by whoever takes the ids is not the store's.
    for (;;) {
      const { done, value: entry } = await inStore(deed, () => keys.next());
      if (done) break;
      ids.push(String(entry.key.at(-1)));
      if (ids.length < MAX_READ_KEYS) continue;
      yield ids;
      ids = [];
    }
    if (ids.length > 0) yield ids;
  }

  async #readAll(deed: string, ids: readonly string[]): Promise<(Versioned<T> | undefined)[]> {
    const entries = await inStore(deed, () => this.#store.kv.getMany(ids.map((id) => this.#key(id))));
    return entries.map(({ value, versionstamp }) => {
      const record = readRecord(this.#spec, value, this.#wallMs);
      return record === undefined ? undefined : { record, version: versionstamp! };
    });
  }
}

/** What lies under a prefix, after the one whose last part is given. */
function selectorAfter(prefix: Deno.KvKey, after: string | undefined): Deno.KvListSelector {
  // A longer key comes after a shorter one that it begins with, and before all others.
  return after === undefined ? { prefix } : { prefix, start: [...prefix, after, ""] };
}
