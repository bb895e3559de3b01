/**
 * The audit log on PostgreSQL, in the table `audit_log` (`migrations/audit.ts`), which the database keeps from being
 * rewritten. Several processes may add to it: an advisory lock lets one at a time find the end of the chain.
 */

import { portablePrimitives } from "../../protocol/primitives.ts";
import {
  ChainCheck,
  type ChainedEntry,
  chainedEntrySchema,
  type ChainHead,
  EMPTY_CHAIN,
} from "../../protocol/sharing/audit_chain.ts";
import { AppendQueue } from "../sharing/append_queue.ts";
import {
  type AuditLog,
  type AuditLogOptions,
  chainOn,
  checkChain,
  readAuditPage,
  timed,
  type TimedEvent,
} from "../sharing/audit_log.ts";
import { type Database, inDatabase } from "./client.ts";

/** Any number that nobody else takes a lock by. */
const LOCK = 5_218_837_202n;
const CHECK_PAGE = 1000;

/** A row of the table. */
interface AuditRow {
  readonly sequence: bigint;
  readonly at_ms: bigint;
  readonly actor: string;
  readonly action: string;
  readonly subject: string | null;
  readonly outcome: string;
  readonly detail: string | null;
  readonly previous_hash: string;
  readonly hash: string;
}

export function createPostgresAuditLog(
  database: Database,
  { primitives = portablePrimitives }: AuditLogOptions = {},
): AuditLog {
  const queue = new AppendQueue(write);
  let ownHead: ChainHead | undefined;
  return {
    append: (event) => Promise.try(() => queue.append(timed(database.clock, event))),
    async list(page = {}) {
      const { limit, before } = readAuditPage(page);
      const rows = await inDatabase(database, "list the audit log", (sql) =>
        sql<AuditRow[]>`
        SELECT * FROM audit_log WHERE sequence < ${
          before ?? Number.MAX_SAFE_INTEGER
        } ORDER BY sequence DESC LIMIT ${limit}`);
      return rows.flatMap(entryOf);
    },
    verify: (anchors = []) =>
      checkChain(new ChainCheck(primitives, [...anchors, ...ownHead ? [ownHead] : []]), pages()),
  };

  async function write(events: readonly TimedEvent[]): Promise<ChainedEntry[]> {
    const entries = await inDatabase(database, "add to the audit log", (sql) =>
      sql.begin(async (transaction) => {
        await transaction`SELECT pg_advisory_xact_lock(${LOCK})`;
        const [last] = await transaction<AuditRow[]>`SELECT * FROM audit_log ORDER BY sequence DESC LIMIT 1`;
        const head = last ? { sequence: Number(last.sequence), hash: last.hash } : EMPTY_CHAIN;
        const added = chainOn(primitives, head, events);
        await transaction`INSERT INTO audit_log ${transaction(added.map(rowOf))}`;
        return added;
      }));
    const { sequence, hash } = entries.at(-1)!;
    ownHead = { sequence, hash };
    return entries;
  }

  async function* pages(): AsyncGenerator<ChainedEntry[]> {
    for (let after = 0n;;) {
      const rows = await inDatabase(database, "check the audit log", (sql) =>
        sql<AuditRow[]>`
        SELECT * FROM audit_log WHERE sequence > ${after} ORDER BY sequence LIMIT ${CHECK_PAGE}`);
      if (rows.length === 0) return;
      yield rows.flatMap(entryOf);
      after = rows.at(-1)!.sequence;
    }
  }
}

function rowOf(entry: ChainedEntry) {
  const { sequence, atMs, actor, action, subject = null, outcome, detail = null, previousHash, hash } = entry;
  return { sequence, at_ms: atMs, actor, action, subject, outcome, detail, previous_hash: previousHash, hash };
}

/** None for a row that no version of the program has written. */
function entryOf(row: AuditRow): ChainedEntry[] {
  const { sequence, at_ms, actor, action, subject, outcome, detail, previous_hash, hash } = row;
  const { data } = chainedEntrySchema.safeParse({
    ...{ id: sequence.toString(), sequence: Number(sequence), atMs: Number(at_ms), actor, action, outcome },
    ...subject !== null && { subject },
    ...detail !== null && { detail },
    ...{ previousHash: previous_hash, hash },
  });
  return data ? [data] : [];
}
