/**
 * A table that lasts as long as the process: for tests and trials, and what the others are held against. It is bounded:
 * with more than `maxRecords` that count, a further one is refused with `store_full`.
 */

import type { Clock } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Table, TablePage, TableSpec, Versioned } from "./table.ts";
import { checkUnique, isLive, isUnder, isUnique, readTablePage, type Row, toRow, toRowAfter } from "./table_row.ts";

const MAX_RECORDS = 100_000;

interface Kept<T> extends Row<T> {
  readonly version: string;
}

export function createMemoryTable<T>(
  clock: Clock,
  spec: TableSpec<T>,
  { maxRecords = MAX_RECORDS }: { readonly maxRecords?: number } = {},
): Table<T> {
  return new MemoryTable(clock, spec, maxRecords);
}

class MemoryTable<T> implements Table<T> {
  readonly #clock: Clock;
  readonly #spec: TableSpec<T>;
  readonly #maxRecords: number;
  readonly #rows = new Map<string, Kept<T>>();
  /** Ids by index and value: `index\0value`. */
  readonly #ids = new Map<string, Set<string>>();
  #versions = 0;

  constructor(clock: Clock, spec: TableSpec<T>, maxRecords: number) {
    this.#clock = clock;
    this.#spec = spec;
    this.#maxRecords = maxRecords;
  }

  get(id: string): Promise<Versioned<T> | undefined> {
    return Promise.try(() => this.#given(this.#live(id)));
  }

  find(index: string, value: string): Promise<Versioned<T> | undefined> {
    return Promise.try(() => {
      checkUnique(this.#spec, index);
      const ids = [...this.#ids.get(`${index}\0${value}`) ?? []];
      return this.#given(ids.map((id) => this.#live(id)).find((row) => row !== undefined));
    });
  }

  list(where?: { index: string; value: string }, page: TablePage = {}): Promise<Versioned<T>[]> {
    return Promise.try(() => {
      const { limit, after } = readTablePage(this.#spec, page);
      if (where) isUnique(this.#spec, where.index);
      const ids = where ? this.#ids.get(`${where.index}\0${where.value}`) ?? [] : this.#rows.keys();
      return [...ids].filter((id) => after === undefined || id > after).sort()
        .map((id) => this.#live(id)).filter((row) => row !== undefined)
        .filter((row) => !where || isUnder(this.#spec, row.record, where))
        .slice(0, limit).map((row) => this.#given(row)!);
    });
  }

  insert(record: T): Promise<boolean> {
    return Promise.try(() => {
      const row = toRow(this.#spec, record);
      if (this.#live(row.id) || this.#isTaken(row)) return false;
      this.#makeRoom();
      this.#keep(row);
      return true;
    });
  }

  replace(from: Versioned<T>, record: T): Promise<boolean> {
    return Promise.try(() => {
      const row = toRowAfter(this.#spec, from.record, record);
      if (this.#live(row.id)?.version !== from.version || this.#isTaken(row)) return false;
      this.#keep(row);
      return true;
    });
  }

  remove(from: Versioned<T>): Promise<boolean> {
    return Promise.try(() => {
      const row = this.#live(this.#spec.id(from.record));
      if (row?.version !== from.version) return false;
      this.#drop(row);
      return true;
    });
  }

  #live(id: string): Kept<T> | undefined {
    const row = this.#rows.get(id);
    return row && isLive(this.#spec, row.record, this.#clock.wallNow()) ? row : undefined;
  }

  /** A copy: what the caller does to it is nobody else's business. */
  #given(row: Kept<T> | undefined): Versioned<T> | undefined {
    return row && { record: structuredClone(row.record), version: row.version };
  }

  #isTaken({ id, indexed }: Row<T>): boolean {
    return [...indexed].some(([index, value]) =>
      isUnique(this.#spec, index) &&
      [...this.#ids.get(`${index}\0${value}`) ?? []].some((other) => other !== id && this.#live(other))
    );
  }

  #keep(row: Row<T>): void {
    const last = this.#rows.get(row.id);
    if (last) this.#drop(last);
    this.#rows.set(row.id, { ...row, version: String(++this.#versions) });
    for (const [index, value] of row.indexed) {
      const key = `${index}\0${value}`;
      const ids = this.#ids.get(key);
      if (ids) ids.add(row.id);
      else this.#ids.set(key, new Set([row.id]));
    }
  }

  #drop({ id, indexed }: Row<T>): void {
    this.#rows.delete(id);
    for (const [index, value] of indexed) {
      const ids = this.#ids.get(`${index}\0${value}`);
      ids?.delete(id);
      if (ids?.size === 0) this.#ids.delete(`${index}\0${value}`);
    }
  }

  /** Clears away what counts no more, and refuses when that is not enough. */
  #makeRoom(): void {
    if (this.#rows.size < this.#maxRecords) return;
    const wallMs = this.#clock.wallNow();
    for (const row of [...this.#rows.values()]) if (!isLive(this.#spec, row.record, wallMs)) this.#drop(row);
    if (this.#rows.size < this.#maxRecords) return;
    const { name } = this.#spec;
    throw new CulvertError(
      "store_full",
      `Cannot keep more in ${name}: there must be at most ${this.#maxRecords} records`,
    );
  }
}
