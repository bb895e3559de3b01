/**
 * The sessions of a supernode's clients, which outlive it. A session that has ended is deleted, for who used which exit
 * is nobody's business then; one whose time has passed is gone, whatever Deno KV still holds of it.
 *
 *   <space> "session" sessionId        SessionRecord
 *
 * Records that are saved at once share commits (`group_commit.ts`), also with the command queues where they are given the
 * same one: then a command is never kept without the session that it is for. One process writes: of a supernode, the
 * one that holds the lease (`leases.ts`).
 *
 * Not here: what may follow what (`protocol/session.ts`); whose a session is, which `roles/supernode/sessions.ts` knows.
 */

import type { Clock } from "../protocol/clock.ts";
import { isLive } from "../protocol/directory.ts";
import { type SessionRecord, sessionRecordSchema } from "../protocol/session.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { GroupCommit } from "./group_commit.ts";
import { type KvSpace, readAll, readOne } from "./records.ts";
import { inStore } from "./store_error.ts";

export interface SessionStore {
  /** Resolves once it is kept, in place of what was saved before; or, of one that has ended, once nothing is. */
  save(record: SessionRecord): Promise<void>;
  find(sessionId: string): Promise<SessionRecord | undefined>;
  /** The oldest first. Earlier versions kept those that had ended until their time had passed. */
  list(): Promise<SessionRecord[]>;
}

function oldestFirst(records: Iterable<SessionRecord>, wallMs: number): SessionRecord[] {
  return [...records].filter((record) => isLive(record, wallMs))
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.sessionId < b.sessionId ? -1 : 1));
}

/** Sessions that last as long as the process. */
export function createMemorySessions(clock: Clock): SessionStore {
  const records = new ExpiringMap<SessionRecord>(clock, { what: "sessions" });
  return {
    save: (record) =>
      inStore(`save session ${record.sessionId}`, () => {
        if (record.state === "ended") records.delete(record.sessionId);
        else records.set(record.sessionId, record, record.expiresAtMs);
        return Promise.resolve();
      }),
    find: (sessionId) => Promise.resolve(records.get(sessionId)),
    list: () => Promise.resolve(oldestFirst(records.values(), clock.wallNow())),
  };
}

/** Sessions in Deno KV. */
export function createKvSessions(
  kv: Deno.Kv,
  clock: Clock,
  { space, guard, commits = new GroupCommit({ kv, clock, guard }, "save sessions") }: KvSpace & {
    readonly commits?: GroupCommit;
  },
): SessionStore {
  const prefix = [space, "session"];
  const schema = sessionRecordSchema;
  return {
    save(record) {
      const key = [...prefix, record.sessionId];
      if (record.state === "ended") return commits.write([{ key }]);
      return commits.write([{ key, value: record, expireInMs: record.expiresAtMs - clock.wallNow() }]);
    },
    async find(sessionId) {
      const record = await readOne(kv, "find a session", { key: [...prefix, sessionId], schema });
      return record && isLive(record, clock.wallNow()) ? record : undefined;
    },
    async list() {
      return oldestFirst(await readAll(kv, "list sessions", { prefix, schema }), clock.wallNow());
    },
  };
}
