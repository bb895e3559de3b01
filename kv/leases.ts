/**
 * Who owns a space of a store: of two processes with one identity on one store the newer takes over and the older stops.
 *
 *   <space> "lease"                    LeaseRecord
 *
 * The key is written when the lease is taken and at no other time, so its version stands for who holds it: `fence` is
 * what stores check with every write (`commit.ts`), and one who has been overtaken writes nothing any more, also what
 * it had begun before and also when it has not noticed yet. It notices by `lost`: at once in its own process and over
 * Deno Deploy's or denokv's KV, else within the poll of `watch.ts`. A lease does not expire.
 */

import type { Clock } from "../protocol/clock.ts";
import { type LeaseRecord, leaseRecordSchema } from "../protocol/stored_records.ts";
import { commitIf, untilCommitted } from "./commit.ts";
import { Doorbell } from "./doorbell.ts";
import { type KvSpace, readVersion } from "./records.ts";
import { watchKey } from "./watch.ts";

export interface LeaseStore {
  /** Takes the lease, from whoever may have it. `holder` says who, for people. */
  take(holder: string): Promise<Lease>;
}

export interface Lease {
  readonly record: LeaseRecord;
  /** For the writes that only its holder may make; none for stores in memory. */
  readonly fence: Deno.AtomicCheck | undefined;
  /** Settles with who has taken it since; with nothing once the signal aborts. */
  lost(signal: AbortSignal): Promise<LeaseRecord | undefined>;
}

function recordAfter(last: LeaseRecord | undefined, holder: string, clock: Clock): LeaseRecord {
  return { epoch: (last?.epoch ?? 0) + 1, holder, takenAtMs: clock.wallNow() };
}

/** A lease among the parts of one process. */
export function createMemoryLeases(clock: Clock): LeaseStore {
  let present: LeaseRecord | undefined;
  const bells = new Set<Doorbell>();
  return {
    take(holder) {
      const record = present = recordAfter(present, holder, clock);
      for (const bell of bells) bell.ring();
      return Promise.resolve({
        record,
        fence: undefined,
        async lost(signal) {
          const bell = new Doorbell();
          bells.add(bell);
          while (present === record && !signal.aborted) await bell.wait(signal);
          bells.delete(bell);
          return present === record ? undefined : present;
        },
      });
    },
  };
}

/** A lease among all the processes on a Deno KV. */
export function createKvLeases(kv: Deno.Kv, clock: Clock, { space }: KvSpace): LeaseStore {
  const key = [space, "lease"];
  const schema = leaseRecordSchema;
  const deed = `take over ${space}`;
  return {
    async take(holder) {
      let record: LeaseRecord;
      await untilCommitted(deed, async () => {
        const { record: last, versionstamp } = await readVersion(kv, deed, { key, schema });
        record = recordAfter(last, holder, clock);
        const mutations = [{ key, value: record }];
        return commitIf({ kv, clock }, deed, { checks: [{ key, versionstamp }], mutations });
      });
      const { record: present, versionstamp } = await readVersion(kv, deed, { key, schema });
      // One who was overtaken at once has a fence that nothing passes.
      const held = present?.epoch === record!.epoch ? versionstamp : null;
      return { record: record!, fence: { key, versionstamp: held }, lost: (signal) => lost(held, signal) };
    },
  };

  async function lost(held: string | null, signal: AbortSignal): Promise<LeaseRecord | undefined> {
    const read = () => readVersion(kv, deed, { key, schema });
    for await (const { record, versionstamp } of watchKey(kv, key, { read, clock, signal })) {
      // Where nothing can be read another version of the program has written, or somebody has cleared the store.
      if (versionstamp !== held) return record ?? recordAfter(undefined, "somebody unknown", clock);
    }
    return undefined;
  }
}
