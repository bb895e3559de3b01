/**
 * A tracker with the store it is to use: memory, or a key-value store under keys that begin with "tracker". Every process that
 * is given the same key-value store serves the same tracker.
 */

import { createKvNonces, createMemoryNonces } from "../../kv/nonces.ts";
import { KvTrackerStore } from "../../kv/tracker/kv_store.ts";
import { MemoryTrackerStore } from "../../kv/tracker/memory_store.ts";
import { createTracker, type Tracker, type TrackerDeps } from "../tracker.ts";
import { trackerLimits } from "./limits.ts";

export interface OpenTrackerOptions extends Omit<TrackerDeps, "store" | "nonces" | "limits" | "ttlMs"> {
  /** Left out, what is known lasts as long as the process. */
  readonly kv?: Deno.Kv | undefined;
  readonly maxPeers?: number;
  /** Requests a second. Default 200. */
  readonly addressPerSecond?: number;
}

/** A peer may miss two heartbeats. */
const INTERVALS_PER_TTL = 3;

export interface OpenTracker extends AsyncDisposable {
  readonly app: Tracker;
  /** How many peers there are. */
  readonly peers: () => number;
}

/** Settles once it knows who is there. */
export async function openTracker({ kv, ...options }: OpenTrackerOptions): Promise<OpenTracker> {
  const { clock, random, intervalMs, addressPerSecond } = options;
  const space = { space: "tracker" };
  const ttlMs = INTERVALS_PER_TTL * intervalMs;
  const settings = { ...options, ...space, ttlMs };
  const store = kv ? await KvTrackerStore.open(kv, settings) : new MemoryTrackerStore(settings);
  const app = createTracker({
    ...options,
    store,
    ttlMs,
    nonces: kv ? createKvNonces(kv, clock, space) : createMemoryNonces(clock),
    limits: trackerLimits(random, addressPerSecond),
  });
  return {
    app,
    peers: () => store.peers.size,
    async [Symbol.asyncDispose]() {
      app[Symbol.dispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
