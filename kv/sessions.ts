/**
 * The sessions of a supernode's clients, which outlive it. A session whose time has passed is gone, whatever Deno KV
 * still holds of it; one that has ended is found by its id until then, and not under its client or exit.
 *
 *   <space> "session" sessionId                        SessionRecord
 *   <space> "session_of_client" peerId sessionId       true
 *   <space> "session_of_exit" peerId sessionId         true
 *
 * Not here: what may follow what (`protocol/session.ts`).
 */

import type { Clock } from "../protocol/clock.ts";
import { isLive } from "../protocol/directory.ts";
import { type SessionRecord, sessionRecordSchema } from "../protocol/session.ts";
import { commitIf, type Mutation, untilCommitted } from "./commit.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { type KvSpace, readAll, readKeys, readMany, readOne } from "./records.ts";
import { inStore } from "./store_error.ts";

export interface SessionStore {
  /**
   * Keeps a record if its `revision` is above that of what is kept. False if it is not: somebody else was first, and
   * what they wrote has to be read before going on.
   */
  save(record: SessionRecord): Promise<boolean>;
  find(sessionId: string): Promise<SessionRecord | undefined>;
  /** Sessions that have not ended, the oldest first. */
  ofClient(clientPeerId: string): Promise<SessionRecord[]>;
  ofExit(exitPeerId: string): Promise<SessionRecord[]>;
  /** Every session, ended or not, the oldest first. */
  list(): Promise<SessionRecord[]>;
  /** Forgets it at once. False if there was none. */
  remove(sessionId: string): Promise<boolean>;
}

function isOpen({ state }: SessionRecord): boolean {
  return state !== "ended";
}

function oldestFirst(records: Iterable<SessionRecord | undefined>, wallMs: number): SessionRecord[] {
  return [...records].filter((record) => record !== undefined).filter((record) => isLive(record, wallMs))
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.sessionId < b.sessionId ? -1 : 1));
}

/** Sessions that last as long as the process. */
export function createMemorySessions(clock: Clock): SessionStore {
  const records = new ExpiringMap<SessionRecord>(clock, { what: "sessions" });
  const ofClient = new Groups();
  const ofExit = new Groups();
  // ... 
  return undefined as unknown as SessionStore;
}
