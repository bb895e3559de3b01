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
import { commitIf, type Mutation, untilCommitted, type Writable } from "./commit.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { type KvSpace, readAll, readKeys, readMany, readOne, readVersion } from "./records.ts";
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

function exitOf({ exit }: SessionRecord): string | undefined {
  return exit?.exit.peerId;
}

function oldestFirst(records: Iterable<SessionRecord | undefined>, wallMs: number): SessionRecord[] {
  return [...records].filter((record) => record !== undefined).filter((record) => isLive(record, wallMs))
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.sessionId < b.sessionId ? -1 : 1));
}

/** Sessions that last as long as the process. Looking for a client's or an exit's goes through all of them. */
export function createMemorySessions(clock: Clock): SessionStore {
  const records = new ExpiringMap<SessionRecord>(clock, { what: "sessions" });
  const select = (isWanted: (record: SessionRecord) => boolean) =>
    Promise.resolve(oldestFirst(records.values(), clock.wallNow()).filter(isWanted));
  return {
    save: (record) =>
      inStore(`save session ${record.sessionId}`, () => {
        const old = records.get(record.sessionId);
        if (old && old.revision >= record.revision) return Promise.resolve(false);
        records.set(record.sessionId, record, record.expiresAtMs);
        return Promise.resolve(true);
      }),
    find: (sessionId) => Promise.resolve(records.get(sessionId)),
    ofClient: (peerId) => select((record) => isOpen(record) && record.clientPeerId === peerId),
    ofExit: (peerId) => select((record) => isOpen(record) && exitOf(record) === peerId),
    list: () => select(() => true),
    remove: (sessionId) => Promise.resolve(records.delete(sessionId)),
  };
}

/** Sessions in Deno KV. */
export function createKvSessions(kv: Deno.Kv, clock: Clock, options: KvSpace): SessionStore {
  return new KvSessions(kv, clock, options);
}

class KvSessions implements SessionStore {
  readonly #kv: Deno.Kv;
  readonly #store: Writable;
  readonly #clock: Clock;
  readonly #space: string;

  constructor(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace) {
    this.#kv = kv;
    this.#store = { kv, clock, guard };
    this.#clock = clock;
    this.#space = space;
  }

  async save(record: SessionRecord): Promise<boolean> {
    const deed = `save session ${record.sessionId}`;
    let isNewest = true;
    await untilCommitted(deed, async () => {
      const wallMs = this.#clock.wallNow();
      const { record: old, versionstamp } = await readVersion(this.#kv, deed, this.#at(record.sessionId));
      isNewest = !old || !isLive(old, wallMs) || old.revision < record.revision;
      if (!isNewest) return true;
      return commitIf(this.#store, deed, {
        checks: [{ key: this.#at(record.sessionId).key, versionstamp }],
        mutations: [
          ...old ? this.#indexKeys(old).map((key) => ({ key })) : [],
          ...this.#writesOf(record, record.expiresAtMs - wallMs),
        ],
      });
    });
    return isNewest;
  }

  async find(sessionId: string): Promise<SessionRecord | undefined> {
    const record = await readOne(this.#kv, "find a session", this.#at(sessionId));
    return record && isLive(record, this.#clock.wallNow()) ? record : undefined;
  }

  async ofClient(peerId: string): Promise<SessionRecord[]> {
    const records = await this.#indexed([this.#space, "session_of_client", peerId]);
    return records.filter((record) => isOpen(record) && record.clientPeerId === peerId);
  }

  async ofExit(peerId: string): Promise<SessionRecord[]> {
    const records = await this.#indexed([this.#space, "session_of_exit", peerId]);
    return records.filter((record) => isOpen(record) && exitOf(record) === peerId);
  }

  async list(): Promise<SessionRecord[]> {
    const prefix = [this.#space, "session"];
    return oldestFirst(
      await readAll(this.#kv, "list sessions", { prefix, schema: sessionRecordSchema }),
      this.#clock.wallNow(),
    );
  }

  async remove(sessionId: string): Promise<boolean> {
    const deed = `remove session ${sessionId}`;
    let wasThere = false;
    await untilCommitted(deed, async () => {
      const { key } = this.#at(sessionId);
      const { record, versionstamp } = await readVersion(this.#kv, deed, this.#at(sessionId));
      wasThere = record !== undefined && isLive(record, this.#clock.wallNow());
      const keys = [key, ...record ? this.#indexKeys(record) : []];
      return commitIf(this.#store, deed, {
        checks: [{ key, versionstamp }],
        mutations: keys.map((key) => ({ key })),
      });
    });
    return wasThere;
  }

  async #indexed(prefix: Deno.KvKey): Promise<SessionRecord[]> {
    const keys = await readKeys(this.#kv, "list sessions", prefix);
    const records = await readMany(this.#kv, "list sessions", {
      keys: keys.map((key) => this.#at(String(key.at(-1))).key),
      schema: sessionRecordSchema,
    });
    return oldestFirst(records, this.#clock.wallNow());
  }

  #writesOf(record: SessionRecord, expireInMs: number): Mutation[] {
    const indexes = isOpen(record) ? this.#indexKeys(record) : [];
    return [
      { key: this.#at(record.sessionId).key, value: record, expireInMs },
      ...indexes.map((key) => ({ key, value: true, expireInMs })),
    ];
  }

  /** Where a record lies, and what it has to look like. */
  #at(sessionId: string): { key: Deno.KvKey; schema: typeof sessionRecordSchema } {
    return { key: [this.#space, "session", sessionId], schema: sessionRecordSchema };
  }

  #indexKeys(record: SessionRecord): Deno.KvKey[] {
    const { sessionId, clientPeerId } = record;
    const exitPeerId = exitOf(record);
    return [
      [this.#space, "session_of_client", clientPeerId, sessionId],
      ...exitPeerId === undefined ? [] : [[this.#space, "session_of_exit", exitPeerId, sessionId]],
    ];
  }
}
