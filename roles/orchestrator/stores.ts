/**
 * What an orchestrator keeps, and where:
 *
 *   --kv        one Deno KV, a file or a denokv: everything, for one process        the default
 *   --database  PostgreSQL in its place: everything, for several processes
 *   --redis     beside either: counters, rate limits and who is online, shared by several processes
 *
 * Without Redis these are each process' own, in memory. In PostgreSQL money and the audit log are append-only by the
 * database's own word. The operator's side of it is in `docs/orchestrator-stores.md`.
 */

import { z } from "zod";
import type { AuditLog } from "../../kv/sharing/audit_log.ts";
import type { Counters } from "../../kv/sharing/counters.ts";
import { createMemoryCounters } from "../../kv/sharing/memory_counters.ts";
import type { SharingTables } from "../../kv/sharing/tables.ts";
import type { CulvertError } from "../../protocol/errors.ts";
import type { LedgerStore } from "../../protocol/sharing/ledger.ts";
import { ConfigError } from "../config.ts";
import { kvFlag } from "../kv_store.ts";
import type { RoleContext } from "../role.ts";
import { openKvStores } from "./stores/kv_stores.ts";

/** A URL with a password in it, perhaps. */
function storeUrl(protocols: readonly string[]): z.ZodType<string> {
  const rule = `a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`;
  return z.string().meta({ placeholder: "url", secret: true, rule }).refine(
    (text) => protocols.includes(URL.parse(text)?.protocol ?? ""),
    rule,
  );
}

export const storeFlags = {
  ...kvFlag("orchestrator"),
  database: storeUrl(["postgres:", "postgresql:"]).optional()
    .describe("PostgreSQL, in place of --kv. Best given as CULVERT_DATABASE: it may hold a password."),
  databaseOwner: storeUrl(["postgres:", "postgresql:"]).optional().describe(
    "The same database as the role that owns its tables: used at the start to bring them up to date, so that " +
      "--database may be a role that owns nothing and cannot rewrite what is append-only.",
  ),
  redis: storeUrl(["redis:", "rediss:"]).optional()
    .describe("Redis, for counters and limits that several orchestrators share. Best given as CULVERT_REDIS."),
};

export interface StoreSettings {
  readonly kv?: string | undefined;
  readonly database?: string | undefined;
  readonly databaseOwner?: string | undefined;
  readonly redis?: string | undefined;
}

/** What lasts. */
export interface LastingStores {
  readonly tables: SharingTables;
  readonly audit: AuditLog;
  readonly ledger: LedgerStore;
  /** Settles with an error that says who, once another process has taken over; never on PostgreSQL. */
  readonly lost: Promise<CulvertError>;
}

export interface OrchestratorStores extends LastingStores {
  /** Whether other processes of the same orchestrator may use them too. */
  readonly isShared: boolean;
  /** Never reject because of a store; see `kv/sharing/degrading_counters.ts`. */
  readonly counters: Counters;
}

export type StoreContext = Pick<RoleContext, "clock" | "log" | "metrics" | "check" | "signal" | "stateDir">;

/** Opens them; disposing closes them again. `space` is the orchestrator's peer id. */
export async function openStores(
  settings: StoreSettings,
  context: StoreContext,
  { space }: { readonly space: string },
): Promise<OrchestratorStores & AsyncDisposable> {
  checkSettings(settings);
  const { database, databaseOwner, redis } = settings;
  await using opened = new AsyncDisposableStack();
  const lasting = opened.use(
    database === undefined
      ? await openKvStores(settings, context, { space })
      // A client is only loaded where it is used.
      : await (await import("./stores/postgres_stores.ts")).openPostgresStores({ database, databaseOwner }, context),
  );
  const shared = redis === undefined
    ? undefined
    : opened.use(await (await import("./stores/redis_counters.ts")).openRedisCounters(redis, context));
  const { tables, audit, ledger, lost } = lasting;
  const counters = shared?.counters ?? createMemoryCounters(context.clock);
  const kept = opened.move();
  const isShared = database !== undefined;
  return { tables, audit, ledger, lost, counters, isShared, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

function checkSettings({ kv, database, databaseOwner }: StoreSettings): void {
  const problems = [
    ...kv !== undefined && database !== undefined
      ? ["--kv and --database must not both be given: one keeps everything"]
      : [],
    ...databaseOwner !== undefined && database === undefined ? ["--database-owner must come with --database"] : [],
  ];
  if (problems.length > 0) throw new ConfigError("open the stores", problems);
}
