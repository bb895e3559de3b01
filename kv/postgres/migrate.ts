/**
 * Brings a database to what this program needs, step by step, each once.
 *
 *   schema_migrations (name, statements, applied_at)       what has been done here
 *
 * All that is missing is done in one transaction, under an advisory lock: of several processes that start at once one
 * does it and the others find it done, and a step that fails leaves nothing behind. A step is never changed once it was
 * published, only followed by another; a database that has steps this program does not know, or knows otherwise, is
 * from another version, and is refused rather than guessed at.
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { type Database, databaseError, type Transaction } from "./client.ts";

export interface Migration {
  /** Whose it is and its number there, such as `ledger_1`; unique. */
  readonly name: string;
  /** Statements with semicolons between. */
  readonly statements: string;
}

/** Any number that nobody else takes a lock by. */
const LOCK = 5_218_837_201n;

const DEED = "bring the database up to date";

/** Does what has not been done yet, in this order; gives the names of what it did. Takes as long as it takes. */
export async function migrate({ sql, onOutcome }: Database, migrations: readonly Migration[]): Promise<string[]> {
  try {
    const done = await sql.begin((transaction) => bringUpToDate(transaction, migrations));
    onOutcome?.();
    return done;
  } catch (cause) {
    const error = databaseError(DEED, cause);
    onOutcome?.(error);
    throw error;
  }
}

async function bringUpToDate(transaction: Transaction, migrations: readonly Migration[]): Promise<string[]> {
  // Neither a large table nor another process that is at it is a reason to give up.
  await transaction`SET LOCAL statement_timeout = 0`;
  await transaction`SELECT pg_advisory_xact_lock(${LOCK})`;
  const done = await readDone(transaction);
  checkKnown(done, migrations);
  const doneNames = new Set(done.map(({ name }) => name));
  const missing = migrations.filter(({ name }) => !doneNames.has(name));
  for (const migration of missing) await apply(transaction, migration);
  return missing.map(({ name }) => name);
}

/** A role that may create nothing finds all done, where its owner has seen to that. */
async function readDone(transaction: Transaction): Promise<Migration[]> {
  const [found] = await transaction<{ table: string | null }[]>`SELECT to_regclass('schema_migrations') AS table`;
  if (!found?.table) {
    await transaction`
      CREATE TABLE schema_migrations (
        name text PRIMARY KEY,
        statements text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
      )`;
  }
  return await transaction<Migration[]>`SELECT name, statements FROM schema_migrations ORDER BY applied_at, name`;
}

async function apply(transaction: Transaction, { name, statements }: Migration): Promise<void> {
  try {
    await transaction.unsafe(statements);
  } catch (cause) {
    throw new CulvertError("store_failed", `Cannot ${DEED}: ${name} failed: ${messageOf(cause)}`, { cause });
  }
  await transaction`INSERT INTO schema_migrations (name, statements) VALUES (${name}, ${statements})`;
}

function checkKnown(done: readonly Migration[], migrations: readonly Migration[]): void {
  const known = new Map(migrations.map(({ name, statements }) => [name, statements]));
  for (const { name, statements } of done) {
    if (known.get(name) === statements) continue;
    const what = known.has(name) ? "which is another here" : "which this version does not know";
    throw new CulvertError("store_other_version", `Cannot ${DEED}: it has had the step ${name}, ${what}`);
  }
}
