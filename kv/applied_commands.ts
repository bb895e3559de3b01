/**
 * A peer's memory of the commands it was given, so that none is applied twice, even after a restart: what
 * `AppliedCommands` says with `keep` and `forget`, change by change, comes back from `load` as one snapshot. Design §5.
 *
 *   <space> "applied" commandId        { order, entry }: the order in which they were kept
 *   <space> "applied_floor" peerId     { order, floor }: the counters of one supernode's commands
 *
 * Nothing expires: `AppliedCommands` bounds itself, and says what to forget. Of the floors `load` forgets all but the
 * newest. One process writes; it loads first.
 */

import type { Clock } from "../protocol/clock.ts";
import { type AppliedEntry, type AppliedSnapshot, MAX_STORED_FLOORS } from "../protocol/control/applied_commands.ts";
import { storedAppliedSchema, storedFloorSchema } from "../protocol/stored_records.ts";
import { commitAll, type Mutation } from "./commit.ts";
import { type KvSpace, readAll } from "./records.ts";

type Floor = AppliedSnapshot["floors"][number];

/** What has changed since the last save. */
export interface AppliedChange {
  readonly keep?: readonly AppliedEntry[];
  /** Command ids. */
  readonly forget?: readonly string[];
  /** Those of the supernodes whose entries changed are enough. */
  readonly floors?: readonly Floor[];
}

export interface AppliedStore {
  /** Resolves once it is kept, all of it at once: only then may be applied or answered what depends on it. */
  save(change: AppliedChange): Promise<void>;
  /** For `AppliedCommands.restore`. */
  load(): Promise<AppliedSnapshot>;
}

/** A memory that lasts as long as the process. */
export function createMemoryApplied(): AppliedStore {
  const entries = new Map<string, AppliedEntry>();
  const floors = new Map<string, Floor>();
  return {
    save({ keep = [], forget = [], floors: changed = [] }) {
      for (const entry of keep) putLast(entries, entry.commandId, entry);
      for (const commandId of forget) entries.delete(commandId);
      for (const floor of changed) putLast(floors, floor.supernodeId, floor);
      return Promise.resolve();
    },
    load() {
      for (const supernodeId of [...floors.keys()].slice(0, -MAX_STORED_FLOORS)) floors.delete(supernodeId);
      return Promise.resolve({ version: 1, entries: [...entries.values()], floors: [...floors.values()] });
    },
  };
}

function putLast<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
}

/** A memory in Deno KV. */
export function createKvApplied(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace): AppliedStore {
  const entryPrefix = [space, "applied"];
  const floorPrefix = [space, "applied_floor"];
  let lastOrder = 0;
  // Time, so that a later process goes on from where this one was; and always one more, within a millisecond too.
  const nextOrder = () => lastOrder = Math.max(lastOrder + 1, clock.wallNow());
  return {
    save({ keep = [], forget = [], floors = [] }) {
      const writes: Mutation[] = [
        ...keep.map((entry) => ({ key: [...entryPrefix, entry.commandId], value: { order: nextOrder(), entry } })),
        ...forget.map((commandId) => ({ key: [...entryPrefix, commandId] })),
        ...floors.map((floor) => ({ key: [...floorPrefix, floor.supernodeId], value: { order: nextOrder(), floor } })),
      ];
      return commitAll({ kv, clock, guard }, "save what was applied", writes);
    },
    async load() {
      const deed = "load what was applied";
      const entries = await readAll(kv, deed, { prefix: entryPrefix, schema: storedAppliedSchema });
      const floors = await readAll(kv, deed, { prefix: floorPrefix, schema: storedFloorSchema });
      for (const { order } of [...entries, ...floors]) lastOrder = Math.max(lastOrder, order);
      floors.sort(byOrder);
      const tooMany = floors.splice(0, floors.length - MAX_STORED_FLOORS);
      await commitAll(
        { kv, clock, guard },
        deed,
        tooMany.map(({ floor }) => ({ key: [...floorPrefix, floor.supernodeId] })),
      );
      return {
        version: 1,
        entries: entries.sort(byOrder).map(({ entry }) => entry),
        floors: floors.map(({ floor }) => floor),
      };
    },
  };
}

function byOrder(a: { readonly order: number }, b: { readonly order: number }): number {
  return a.order - b.order;
}
