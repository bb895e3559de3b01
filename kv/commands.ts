/**
 * The command queues of a supernode, one for each peer, so that it carries on after a restart where it was: what
 * `CommandQueue.snapshot` gave is what `CommandQueue.restore` gets back. Design §5.
 *
 *   <space> "queue" peerId             { snapshot, keepUntilMs }
 *
 * Snapshots of many peers that are saved at once share commits (`group_commit.ts`). One is kept for `KEEP_MS` after it
 * was last saved, also when it is empty, for the number of the next command in it; without it the peer itself says
 * where it stands. One process writes: of a supernode, the one that holds the lease (`leases.ts`).
 *
 * Not here: the peer's memory of what it applied (`applied_commands.ts`).
 */

import type { Clock } from "../protocol/clock.ts";
import type { QueueSnapshot } from "../protocol/control/command_queue.ts";
import { type StoredQueueRecord, storedQueueSchema } from "../protocol/stored_records.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { GroupCommit } from "./group_commit.ts";
import { type KvSpace, readAll, readOne } from "./records.ts";
import { inStore } from "./store_error.ts";

/** Longer than any command lives, and than most peers stay away. */
const KEEP_MS = 30 * 86_400_000;

export interface StoredQueue {
  readonly peerId: string;
  /** For `CommandQueue.restore`, which checks it. */
  readonly snapshot: unknown;
}

export interface QueueStore {
  /** Resolves once it is kept: only then may be sent what depends on it. */
  save(peerId: string, snapshot: QueueSnapshot): Promise<void>;
  /** For `CommandQueue.restore`, which checks it; undefined if there is none. */
  load(peerId: string): Promise<unknown>;
  /** Those in which commands wait, whose deadlines run whether or not their peers come back. */
  pending(): Promise<StoredQueue[]>;
  /** Forgets a peer's queue: it has been turned away for good. */
  remove(peerId: string): Promise<void>;
}

function newRecord(peerId: string, snapshot: QueueSnapshot, wallMs: number): StoredQueueRecord {
  return { peerId, snapshot, keepUntilMs: wallMs + KEEP_MS };
}

function pendingIn(records: Iterable<StoredQueueRecord>, wallMs: number): StoredQueue[] {
  return [...records].filter(({ snapshot, keepUntilMs }) => snapshot.commands.length > 0 && wallMs < keepUntilMs)
    .map(({ peerId, snapshot }) => ({ peerId, snapshot }));
}

/** Queues that last as long as the process. */
export function createMemoryQueues(clock: Clock): QueueStore {
  const records = new ExpiringMap<StoredQueueRecord>(clock, { what: "command queues" });
  return {
    save: (peerId, snapshot) =>
      inStore(`save the commands of ${peerId}`, () => {
        const record = newRecord(peerId, snapshot, clock.wallNow());
        records.set(peerId, record, record.keepUntilMs);
        return Promise.resolve();
      }),
    load: (peerId) => Promise.resolve(records.get(peerId)?.snapshot),
    pending: () => Promise.resolve(pendingIn(records.values(), clock.wallNow())),
    remove(peerId) {
      records.delete(peerId);
      return Promise.resolve();
    },
  };
}

/** Queues in Deno KV. */
export function createKvQueues(
  kv: Deno.Kv,
  clock: Clock,
  { space, guard, commits = new GroupCommit({ kv, clock, guard }, "save commands") }: KvSpace & {
    readonly commits?: GroupCommit;
  },
): QueueStore {
  const prefix = [space, "queue"];
  return {
    save(peerId, snapshot) {
      const value = newRecord(peerId, snapshot, clock.wallNow());
      return commits.write([{ key: [...prefix, peerId], value, expireInMs: KEEP_MS }]);
    },
    async load(peerId) {
      const key = [...prefix, peerId];
      const record = await readOne(kv, `load the commands of ${peerId}`, { key, schema: storedQueueSchema });
      return record && clock.wallNow() < record.keepUntilMs ? record.snapshot : undefined;
    },
    async pending() {
      return pendingIn(await readAll(kv, "load commands", { prefix, schema: storedQueueSchema }), clock.wallNow());
    },
    remove: (peerId) => commits.write([{ key: [...prefix, peerId] }]),
  };
}
