/**
 * A table on PostgreSQL, as `migrations/tables.ts` makes it.
 *
 *   id · record (JSON, as it was written) · version · expires_at_ms · a column `by_…` for each index
 *
 * Each change is one statement. The database itself keeps ids and unique values apart; a value that is held by a record
 * whose time has passed is free, which costs a second attempt. What has ended is cleared away now and then by whoever
 * adds a record.
 *
 * Versions come from one sequence, so that a record which was removed and made anew is told from the old one. JSON is
 * kept as `json`: `jsonb` would refuse some texts that are in order, such as those with a NUL.
 */

import type { Table, TablePage, TableSpec, Versioned } from "../sharing/table.ts";
import { checkUnique, isUnique, readRecord, readTablePage, type Row, toRow, toRowAfter } from "../sharing/table_row.ts";
import { codeOf, type Database, inDatabase, type Sql } from "./client.ts";

const UNIQUE_VIOLATION = "23505";
const SWEEP_EVERY_MS = 60_000;
const SWEEP_ROWS = 1000;

export function createPostgresTable<T>(database: Database, spec: TableSpec<T>): Table<T> {
  return new PostgresTable(database, spec);
}

/** The column of an index. */
export function columnOf(index: string): string {
  return `by_${index.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
}

/** What postgres.js writes as JSON. */
type Json = { readonly [name: string]: unknown };

interface Found {
  readonly id: string;
  readonly record: unknown;
  readonly version: bigint;
}

class PostgresTable<T> implements Table<T> {
  readonly #database: Database;
  readonly #spec: TableSpec<T>;
  #sweptAtMs = -Infinity;

  constructor(database: Database, spec: TableSpec<T>) {
    this.#database = database;
    this.#spec = spec;
  }

  async get(id: string): Promise<Versioned<T> | undefined> {
    const rows = await this.#in("look in", (sql) =>
      sql<Found[]>`
      SELECT id, record, version FROM ${sql(this.#spec.name)} WHERE id = ${id}`);
    return this.#read(rows)[0];
  }

  async find(index: string, value: string): Promise<Versioned<T> | undefined> {
    checkUnique(this.#spec, index);
    const rows = await this.#in("look in", (sql) =>
      sql<Found[]>`
      SELECT id, record, version FROM ${sql(this.#spec.name)} WHERE ${sql(columnOf(index))} = ${value}`);
    return this.#read(rows)[0];
  }

  async list(where?: { index: string; value: string }, page: TablePage = {}): Promise<Versioned<T>[]> {
    const { limit, after } = readTablePage(this.#spec, page);
    // Throws for an index that is not there.
    if (where) isUnique(this.#spec, where.index);
    const found: Versioned<T>[] = [];
    let from = after;
    let isMore = true;
    // Of what was read some may not fit, and a short page would say that there is no more.
    while (isMore && found.length < limit) {
      const wanted = limit - found.length;
      const rows = await this.#page(where, { limit: wanted, after: from });
      found.push(...this.#read(rows));
      from = rows.at(-1)?.id;
      isMore = rows.length === wanted;
    }
    return found;
  }

  async insert(record: T): Promise<boolean> {
    const row = toRow(this.#spec, record);
    await this.#sweep();
    return await this.#in("add to", (sql) =>
      this.#withRoom(sql, row, async () => {
        const { count } = await sql`
        INSERT INTO ${sql(this.#spec.name)} ${sql(this.#columns(row))}`;
        return count === 1;
      }));
  }

  async replace(from: Versioned<T>, record: T): Promise<boolean> {
    const row = toRowAfter(this.#spec, from.record, record);
    return await this.#in("change", (sql) =>
      this.#withRoom(sql, row, async () => {
        const { count } = await sql`
        UPDATE ${sql(this.#spec.name)} SET ${sql(this.#columns(row))}, version = nextval('table_versions')
        WHERE id = ${row.id} AND version = ${from.version} AND ${this.#isLive(sql)}`;
        return count === 1;
      }));
  }

  async remove(from: Versioned<T>): Promise<boolean> {
    const { count } = await this.#in("remove from", (sql) =>
      sql`
      DELETE FROM ${sql(this.#spec.name)}
      WHERE id = ${this.#spec.id(from.record)} AND version = ${from.version} AND ${this.#isLive(sql)}`);
    return count === 1;
  }

  #in<R>(deed: string, act: (sql: Sql) => Promise<R>): Promise<R> {
    return inDatabase(this.#database, `${deed} ${this.#spec.name}`, act);
  }

  get #wallMs(): number {
    return Math.floor(this.#database.clock.wallNow());
  }

  #isLive(sql: Sql) {
    return sql`(expires_at_ms IS NULL OR expires_at_ms > ${this.#wallMs})`;
  }

  #read(rows: readonly Found[]): Versioned<T>[] {
    return rows.flatMap(({ record: value, version }) => {
      const record = readRecord(this.#spec, value, this.#wallMs);
      return record === undefined ? [] : [{ record, version: version.toString() }];
    });
  }

  #page(where: { index: string; value: string } | undefined, page: { limit: number; after: string | undefined }) {
    return this.#in("list", (sql) =>
      sql<Found[]>`
      SELECT id, record, version FROM ${sql(this.#spec.name)}
      WHERE ${this.#isLive(sql)}
        ${where ? sql`AND ${sql(columnOf(where.index))} = ${where.value}` : sql``}
        ${page.after === undefined ? sql`` : sql`AND id > ${page.after}`}
      ORDER BY id LIMIT ${page.limit}`);
  }

  #columns({ id, record, indexed, expiresAtMs }: Row<T>): Record<string, string | number | null | Json> {
    const by = Object.keys(this.#spec.indexes ?? {}).map((index) => [columnOf(index), indexed.get(index) ?? null]);
    const expires = expiresAtMs === undefined ? null : Math.ceil(expiresAtMs);
    return { id, record: record as Json, expires_at_ms: expires, ...Object.fromEntries(by) };
  }

  /** Writes; where something is in the way that has ended, clears that away and writes once more. */
  async #withRoom(sql: Sql, row: Row<T>, write: () => Promise<boolean>): Promise<boolean> {
    try {
      return await write();
    } catch (error) {
      if (codeOf(error) !== UNIQUE_VIOLATION) throw error;
    }
    if (!await this.#clearFor(sql, row)) return false;
    return await write().catch((error) => {
      if (codeOf(error) === UNIQUE_VIOLATION) return false;
      throw error;
    });
  }

  async #clearFor(sql: Sql, { id, indexed }: Row<T>): Promise<boolean> {
    if (!this.#spec.expiresAtMs) return false;
    const isInTheWay = [...indexed].filter(([index]) => isUnique(this.#spec, index))
      .reduce((either, [index, value]) => sql`${either} OR ${sql(columnOf(index))} = ${value}`, sql`id = ${id}`);
    const { count } = await sql`
      DELETE FROM ${sql(this.#spec.name)} WHERE expires_at_ms <= ${this.#wallMs} AND (${isInTheWay})`;
    return count > 0;
  }

  async #sweep(): Promise<void> {
    const { clock } = this.#database;
    if (!this.#spec.expiresAtMs || clock.now() - this.#sweptAtMs < SWEEP_EVERY_MS) return;
    this.#sweptAtMs = clock.now();
    await this.#in("clear out", (sql) =>
      sql`
      DELETE FROM ${sql(this.#spec.name)} WHERE id IN (
        SELECT id FROM ${sql(this.#spec.name)} WHERE expires_at_ms <= ${this.#wallMs} LIMIT ${SWEEP_ROWS})`);
  }
}
