/**
 * How stores speak to PostgreSQL: through a client of postgres.js that a role has opened and hands in.
 *
 *   const sql = postgres(url, clientOptions({ applicationName: "culvert" }))         in roles/ and tests
 *   const database: Database = { sql, clock }
 *   await inDatabase(database, "find a user", (sql) => sql`SELECT …`)
 *
 * What fails is told apart by code, as for Deno KV (`../store_error.ts`), and the next call tries again: postgres.js opens
 * connections when they are needed. What was under way when the server went may have happened or not; who cares writes
 * what is harmless twice.
 *
 *   store_unreachable  nothing answers there, or not in time, or it is starting or stopping
 *   store_full         its disk is
 *   store_contended    others were in the way; doing it all again helps
 *   store_closed       the client was closed here
 *   store_failed       anything else; the message carries PostgreSQL's
 */

import type postgres from "postgres";
import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";

/** BIGINT is a bigint here, never text and never a float. */
export type Types = { bigint: bigint };
export type Sql = postgres.Sql<Types>;
export type Transaction = postgres.TransactionSql<Types>;

/** A client, and what goes with each use of it. */
export interface Database {
  readonly sql: Sql;
  readonly clock: Clock;
  /** Told of every deed that was done or failed, for health. */
  readonly onOutcome?: ((error?: CulvertError) => void) | undefined;
}

/** A statement that takes longer is ended by the server. */
const STATEMENT_TIMEOUT_MS = 10_000;
/** A server that keeps a connection and does not answer at all; more than it takes to say that a statement took too long. */
const ANSWER_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_SECONDS = 5;
/** Fixed and short: each waiting deed waits for it, and one connection at a time knocks at a server that is down. */
const RECONNECT_SECONDS = 0.05;
/** OID of int8. */
const BIGINT_OID = 20;

export interface ClientOptions {
  /** What the server's list of connections calls us. */
  readonly applicationName: string;
  /** @default 10 */
  readonly maxConnections?: number;
}

/** What every client of ours is opened with. */
export function clientOptions({ applicationName, maxConnections = 10 }: ClientOptions): postgres.Options<
  { bigint: postgres.PostgresType<bigint> }
> {
  return {
    max: maxConnections,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    backoff: () => RECONNECT_SECONDS,
    onnotice: () => {},
    types: {
      bigint: {
        to: BIGINT_OID,
        from: [BIGINT_OID],
        parse: (text: string) => BigInt(text),
        serialize: (value: bigint) => value.toString(),
      },
    },
    connection: { application_name: applicationName, statement_timeout: STATEMENT_TIMEOUT_MS },
  };
}

/** Does the deed, and throws `databaseError` if it fails or has no answer in time. */
export async function inDatabase<T>(
  { sql, clock, onOutcome }: Database,
  deed: string,
  act: (sql: Sql) => Promise<T>,
): Promise<T> {
  const answered = new AbortController();
  const late = delay(clock, ANSWER_TIMEOUT_MS, answered.signal).then(() => {
    throw new CulvertError("store_unreachable", `Cannot ${deed}: PostgreSQL has not answered for 15 s`);
  });
  try {
    const result = await Promise.race([act(sql), late]);
    onOutcome?.();
    return result;
  } catch (cause) {
    const error = databaseError(deed, cause);
    onOutcome?.(error);
    throw error;
  } finally {
    answered.abort();
    await late.catch(() => {});
  }
}

interface Symptom {
  /** Of a system error, of postgres.js, or an SQLSTATE. */
  readonly codes: RegExp;
  readonly code: string;
  readonly advice: string;
}

const SYMPTOMS: readonly Symptom[] = [
  { codes: /^CONNECTION_ENDED$/, code: "store_closed", advice: "its client was closed" },
  {
    codes: /^(E[A-Z]+|CONNECTION_CLOSED|CONNECTION_DESTROYED|CONNECT_TIMEOUT|57P0[123]|08...|53300)$/,
    code: "store_unreachable",
    advice: "PostgreSQL cannot be reached",
  },
  { codes: /^53100$/, code: "store_full", advice: "free some space" },
  { codes: /^(40001|40P01|55P03|57014)$/, code: "store_contended", advice: "others were in the way" },
];

/** The error to throw for what postgres.js has thrown. `deed` completes "Cannot …". */
export function databaseError(deed: string, cause: unknown): CulvertError {
  if (cause instanceof CulvertError) return cause;
  const symptom = SYMPTOMS.find(({ codes }) => codes.test(codeOf(cause)));
  const advice = symptom ? ` (${symptom.advice})` : "";
  return new CulvertError(symptom?.code ?? "store_failed", `Cannot ${deed}: ${messageOf(cause)}${advice}`, { cause });
}

/** The SQLSTATE, or what a system error is called; "" when there is none. */
export function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}
