/**
 * The audit log on Deno KV.
 *
 *   <space> "audit_chain" sequence     ChainedEntry
 *   <space> "audit_head"               the newest sequence and its hash
 *
 * Entries and the head are one commit, checked against the head that they follow on, so that of several processes none
 * overwrites another's. The head is also what `verify` holds the newest entries against. Nothing here keeps whoever has
 * access to the store itself from rewriting it; what they did shows unless they rewrote it all.
 */

import type { Clock } from "../../protocol/clock.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import {
  ChainCheck,
  type ChainedEntry,
  chainedEntrySchema,
  type ChainHead,
  chainHeadSchema,
  EMPTY_CHAIN,
} from "../../protocol/sharing/audit_chain.ts";
import { commitIf, untilCommitted } from "../commit.ts";
import { type KvSpace, readAll, readVersion } from "../records.ts";
import { inStore } from "../store_error.ts";
import { AppendQueue } from "./append_queue.ts";
import {
  type AuditLog,
  type AuditLogOptions,
  chainOn,
  checkChain,
  readAuditPage,
  timed,
  type TimedEvent,
} from "./audit_log.ts";

const CHECK_PAGE = 500;

export function createKvAuditLog(
  kv: Deno.Kv,
  clock: Clock,
  { space, guard, primitives = portablePrimitives }: KvSpace & AuditLogOptions,
): AuditLog {
  const prefix = [space, "audit_chain"];
  const headKey = [space, "audit_head"];
  const schema = chainedEntrySchema;
  const queue = new AppendQueue(write);
  let ownHead: ChainHead | undefined;
  return {
    append: (event) => Promise.try(() => queue.append(timed(clock, event))),
    async list(page = {}) {
      const { limit, before } = readAuditPage(page);
      const end = before === undefined ? undefined : [...prefix, before];
      return await readAll(kv, "list the audit log", { prefix, schema, limit, reverse: true, end });
    },
    async verify(anchors = []) {
      const deed = "check the audit log";
      const { record: head } = await readVersion(kv, deed, { key: headKey, schema: chainHeadSchema });
      const remembered = [...anchors, ...head ? [head] : [], ...ownHead ? [ownHead] : []];
      return await checkChain(new ChainCheck(primitives, remembered), pagesOf(deed));
    },
  };

  async function write(events: readonly TimedEvent[]): Promise<ChainedEntry[]> {
    const deed = "add to the audit log";
    let entries: ChainedEntry[] = [];
    await untilCommitted(deed, async () => {
      const { record, versionstamp } = await readVersion(kv, deed, { key: headKey, schema: chainHeadSchema });
      const last = record ?? (await readAll(kv, deed, { prefix, schema, limit: 1, reverse: true }))[0] ?? EMPTY_CHAIN;
      entries = chainOn(primitives, last, events);
      const { sequence, hash } = entries.at(-1)!;
      return await commitIf({ kv, clock, guard }, deed, {
        checks: [{ key: headKey, versionstamp }],
        mutations: [
          ...entries.map((entry) => ({ key: [...prefix, entry.sequence], value: entry })),
          { key: headKey, value: { sequence, hash } },
        ],
      });
    });
    const { sequence, hash } = entries.at(-1)!;
    ownHead = { sequence, hash };
    return entries;
  }

  async function* pagesOf(deed: string): AsyncGenerator<ChainedEntry[]> {
    const entries = kv.list({ prefix }, { batchSize: CHECK_PAGE });
    for (;;) {
      const { done, value } = await inStore(deed, () => entries.next());
      if (done) return;
      const { data } = schema.safeParse(value.value);
      // What cannot be read is missing, which the next one shows.
      if (data) yield [data];
    }
  }
}
