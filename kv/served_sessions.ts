/**
 * The sessions that an exit has been told to serve, so that it goes on serving them after a restart: the command that set
 * one up counts as applied and does not come again.
 *
 *   <space> "served" sessionId     { sessionId, clientKey, expiresAtMs, supernodeId }
 *
 * Deno KV forgets them some time after they have expired; `load` does so at once. One process writes.
 */

import type { Clock } from "../protocol/clock.ts";
import { type ServedSessionRecord, servedSessionSchema } from "../protocol/session.ts";
import { commitAll } from "./commit.ts";
import { type KvSpace, readAll } from "./records.ts";

export interface ServedSessionStore {
  save(session: ServedSessionRecord): Promise<void>;
  remove(sessionId: string): Promise<void>;
  /** Those that have not expired. */
  load(): Promise<ServedSessionRecord[]>;
}

/** Sessions that last as long as the process. */
export function createMemoryServedSessions(clock: Clock): ServedSessionStore {
  const sessions = new Map<string, ServedSessionRecord>();
  return {
    save(session) {
      sessions.set(session.sessionId, session);
      return Promise.resolve();
    },
    remove(sessionId) {
      sessions.delete(sessionId);
      return Promise.resolve();
    },
    load() {
      for (const { sessionId, expiresAtMs } of [...sessions.values()]) {
        if (expiresAtMs <= clock.wallNow()) sessions.delete(sessionId);
      }
      return Promise.resolve([...sessions.values()]);
    },
  };
}

/** Sessions in Deno KV. */
export function createKvServedSessions(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace): ServedSessionStore {
  const prefix = [space, "served"];
  return {
    save(session) {
      const expireInMs = session.expiresAtMs - clock.wallNow();
      return commitAll({ kv, clock, guard }, "save a session", [{
        key: [...prefix, session.sessionId],
        value: session,
        expireInMs,
      }]);
    },
    remove: (sessionId) => commitAll({ kv, clock, guard }, "remove a session", [{ key: [...prefix, sessionId] }]),
    async load() {
      const sessions = await readAll(kv, "load the sessions", { prefix, schema: servedSessionSchema });
      return sessions.filter(({ expiresAtMs }) => expiresAtMs > clock.wallNow());
    },
  };
}
