/**
 * What all makers of tables agree on: how a record becomes a row and back, and which questions make sense.
 *
 *   record ─ toRow ─▶ id, JSON, what it is found under, when it ends         readRecord: back, if it fits and still counts
 *
 * Ids are printable ASCII, so that every store sorts them alike. What is wrong here is the caller's mistake, told by
 * `invalid_option`.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { TablePage, TableSpec } from "./table.ts";

export interface Row<T> {
  readonly id: string;
  readonly record: T;
  /** By index; those without a value are left out. */
  readonly indexed: ReadonlyMap<string, string>;
  readonly expiresAtMs: number | undefined;
}

const ID = /^[!-~]{1,256}$/;
const MAX_VALUE_LENGTH = 256;
const MAX_PAGE = 1000;

/** The row that a record is kept as. */
export function toRow<T>(spec: TableSpec<T>, record: T): Row<T> {
  const deed = `keep a record in ${spec.name}`;
  const { data, success } = spec.schema.safeParse(record);
  if (!success || data === undefined) throw mistake(deed, "it must fit the table's schema");
  const plain: T = JSON.parse(JSON.stringify(data));
  const id = spec.id(plain);
  if (!ID.test(id)) throw mistake(deed, `its id must be 1 to 256 characters of printable ASCII, got "${id}"`);
  return { id, record: plain, indexed: indexedOf(spec, plain), expiresAtMs: spec.expiresAtMs?.(plain) };
}

/** The row of a record that takes the place of another; its id must be that one's. */
export function toRowAfter<T>(spec: TableSpec<T>, from: T, record: T): Row<T> {
  const row = toRow(spec, record);
  const id = spec.id(from);
  if (row.id === id) return row;
  throw mistake(`replace a record in ${spec.name}`, `its id must stay ${id}, got ${row.id}`);
}

function indexedOf<T>(spec: TableSpec<T>, record: T): Map<string, string> {
  const values = Object.entries(spec.indexes ?? {}).map(([name, { of }]) => [name, of(record)] as const);
  const indexed = new Map(values.filter((entry): entry is [string, string] => entry[1] !== undefined));
  for (const [name, value] of indexed) {
    if (value.length > 0 && value.length <= MAX_VALUE_LENGTH && !value.includes("\0")) continue;
    throw mistake(
      `keep a record in ${spec.name}`,
      `its ${name} must be 1 to ${MAX_VALUE_LENGTH} characters without NUL`,
    );
  }
  return indexed;
}

/** What lies in the store, if it fits the schema and its time has not come. */
export function readRecord<T>(spec: TableSpec<T>, value: unknown, wallMs: number): T | undefined {
  const { data } = spec.schema.safeParse(value);
  return data !== undefined && isLive(spec, data, wallMs) ? data : undefined;
}

export function isLive<T>(spec: TableSpec<T>, record: T, wallMs: number): boolean {
  const expiresAtMs = spec.expiresAtMs?.(record);
  return expiresAtMs === undefined || expiresAtMs > wallMs;
}

/** Whether the record is found under a value of an index. */
export function isUnder<T>(spec: TableSpec<T>, record: T, { index, value }: { index: string; value: string }): boolean {
  return indexOf(spec, index).of(record) === value;
}

export function uniqueIndexes<T>(spec: TableSpec<T>): string[] {
  return Object.entries(spec.indexes ?? {}).filter(([, { unique }]) => unique).map(([name]) => name);
}

export function isUnique<T>(spec: TableSpec<T>, index: string): boolean {
  return indexOf(spec, index).unique === true;
}

function indexOf<T>(spec: TableSpec<T>, index: string) {
  const found = spec.indexes && Object.hasOwn(spec.indexes, index) ? spec.indexes[index] : undefined;
  if (found) return found;
  const names = Object.keys(spec.indexes ?? {}).join(", ") || "none";
  throw mistake(`look in ${spec.name}`, `index must be one of its own (${names}), got ${index}`);
}

export function checkUnique<T>(spec: TableSpec<T>, index: string): void {
  if (!isUnique(spec, index)) throw mistake(`find one in ${spec.name}`, `index must be a unique one, got ${index}`);
}

export function readTablePage<T>(
  spec: TableSpec<T>,
  { limit = 100, after }: TablePage,
): { readonly limit: number; readonly after: string | undefined } {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE) return { limit, after };
  throw mistake(`list ${spec.name}`, `limit must be 1 to ${MAX_PAGE}, got ${limit}`);
}

function mistake(deed: string, problem: string): CulvertError {
  return new CulvertError("invalid_option", `Cannot ${deed}: ${problem}`);
}
