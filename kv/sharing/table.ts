/**
 * A table: records of one kind by id, found also by a few of their fields. One contract suite (`fixtures/`), three makers:
 * `createMemoryTable`, `createKvTable`, and PostgreSQL's in `kv/postgres/table.ts`.
 *
 * A change names the version it was made from, so that of two at once one learns that it was too late. What lies in a store
 * and does not fit the schema, from another version of the program perhaps, is not found; its id and unique values stay
 * taken. Records are plain JSON: a bigint is kept as text.
 */

import type { Parser } from "../records.ts";

export interface TableSpec<T> {
  /** Lower-case letters and underscores: the table's name in SQL, a part of the key on KV. */
  readonly name: string;
  readonly schema: Parser<T>;
  id(record: T): string;
  /** By name: what the record is found under, or undefined for nothing. */
  readonly indexes?: Readonly<Record<string, { readonly unique?: boolean; of(record: T): string | undefined }>>;
  /** When a record counts no more; it is removed some time after. */
  expiresAtMs?(record: T): number | undefined;
}

export interface Versioned<T> {
  readonly record: T;
  /** Opaque. */
  readonly version: string;
}

export interface TablePage {
  /** Default 100, at most 1000. */
  readonly limit?: number;
  /** The id of the last record of the page before. */
  readonly after?: string;
}

export interface Table<T> {
  get(id: string): Promise<Versioned<T> | undefined>;
  /** By a unique index. */
  find(index: string, value: string): Promise<Versioned<T> | undefined>;
  /** Those with the value in the index, or all, by their ids. */
  list(where?: { readonly index: string; readonly value: string }, page?: TablePage): Promise<Versioned<T>[]>;
  /** False, and nothing written, when the id or a unique value is taken. */
  insert(record: T): Promise<boolean>;
  /** False, and nothing written, when it was changed or removed since, or a unique value is taken. The id stays. */
  replace(from: Versioned<T>, record: T): Promise<boolean>;
  /** False when it was changed or removed since. */
  remove(from: Versioned<T>): Promise<boolean>;
}
