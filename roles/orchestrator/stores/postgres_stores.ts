/**
 * Everything in PostgreSQL. At the start its tables are brought up to date, by their owner where that is another role; a
 * server that is not up yet is waited for. From then on what needs it fails while it is away, says so, and works again
 * once it is back: `kv/postgres/client.ts`.
 */

import postgres from "postgres";
import { HealthWatch } from "../../../kv/health_watch.ts";
import { createPostgresAuditLog } from "../../../kv/postgres/audit_log.ts";
import { clientOptions, type Database, inDatabase } from "../../../kv/postgres/client.ts";
import { grantUse } from "../../../kv/postgres/grants.ts";
import { createPostgresLedger } from "../../../kv/postgres/ledger.ts";
import { migrate } from "../../../kv/postgres/migrate.ts";
import { migrations } from "../../../kv/postgres/migrations.ts";
import { createPostgresTable } from "../../../kv/postgres/table.ts";
import { createSharingTables } from "../../../kv/sharing/tables.ts";
import { delay } from "../../../protocol/clock.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import type { LastingStores, StoreContext } from "../stores.ts";

/** How long a server that does not answer yet is waited for at the start. */
const START_PATIENCE_MS = 30_000;
const START_RETRY_MS = 500;
const CLOSE_SECONDS = 5;
/** What says that PostgreSQL itself is in trouble. */
const TROUBLES: readonly string[] = ["store_unreachable", "store_full", "store_closed"];

export interface PostgresUrls {
  readonly database: string;
  readonly databaseOwner: string | undefined;
}

export async function openPostgresStores(
  { database: url, databaseOwner }: PostgresUrls,
  context: StoreContext,
): Promise<LastingStores & AsyncDisposable> {
  const { clock, log, metrics, check } = context;
  if (isInTheClear(url)) log.warn("PostgreSQL is on another machine and reached without TLS: add ?sslmode=verify-full");
  await using opened = new AsyncDisposableStack();
  const sql = openSql(opened, url);
  const watch: HealthWatch = new HealthWatch({
    ...{ clock, log, metrics, name: "store" },
    help: { up: "Whether PostgreSQL can be used", failures: "Uses of PostgreSQL that failed" },
    says: { broken: "PostgreSQL cannot be used", mended: "PostgreSQL can be used again" },
    isTrouble: ({ code }) => TROUBLES.includes(code),
    probe: () => inDatabase(database, "reach PostgreSQL", (sql) => sql`SELECT 1`),
  });
  const database: Database = { sql, clock, onOutcome: (error) => watch.told(error) };
  check("store", () => watch.problem);
  await untilReachable(context, () => bringUpToDate(database, databaseOwner));
  const stop = new AbortController();
  const watching = watch.run(stop.signal);
  opened.defer(async () => {
    stop.abort();
    await watching;
  });
  const kept = opened.move();
  return {
    tables: createSharingTables((spec) => createPostgresTable(database, spec)),
    audit: createPostgresAuditLog(database),
    ledger: createPostgresLedger(database),
    lost: new Promise(() => {}),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function bringUpToDate(database: Database, ownerUrl: string | undefined): Promise<void> {
  if (ownerUrl !== undefined) {
    await using opened = new AsyncDisposableStack();
    const owner: Database = { sql: openSql(opened, ownerUrl, 1), clock: database.clock };
    await migrate(owner, migrations);
    await grantUse(owner, String(database.sql.options.user));
  }
  // Finds all done, or does what is missing.
  await migrate(database, migrations);
}

async function untilReachable({ clock, log, signal }: StoreContext, act: () => Promise<void>): Promise<void> {
  const untilMs = clock.now() + START_PATIENCE_MS;
  for (let attempt = 1;; attempt++) {
    try {
      return await act();
    } catch (error) {
      const isAway = error instanceof CulvertError && error.code === "store_unreachable";
      if (!isAway || clock.now() >= untilMs || signal.aborted) throw error;
      if (attempt === 1) log.info("Waiting for PostgreSQL", { error: error.message });
    }
    await delay(clock, START_RETRY_MS, signal);
  }
}

/** `?host=` is the folder of a Unix socket, in place of the URL's host; the port names the socket in it. */
function openSql(opened: AsyncDisposableStack, text: string, maxConnections?: number): Database["sql"] {
  const url = new URL(text);
  const folder = url.searchParams.get("host");
  url.searchParams.delete("host");
  const sql = postgres(url.href, {
    ...clientOptions({ applicationName: "culvert orchestrator", ...maxConnections && { maxConnections } }),
    ...folder !== null && { host: folder },
  });
  opened.defer(() => sql.end({ timeout: CLOSE_SECONDS }));
  return sql;
}

function isInTheClear(text: string): boolean {
  const url = new URL(text);
  const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  return !isHere && !/^(require|verify-ca|verify-full)$/.test(url.searchParams.get("sslmode") ?? "");
}
