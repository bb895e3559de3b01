/** What a tracker is made of. */

import type { TrackerStore } from "../../kv/tracker/store.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { DenyList } from "../../protocol/tracker/deny_list.ts";
import type { AdmissionDeps } from "../directory/admission.ts";

/** A deny list that may change while a tracker runs. */
export interface DenySource {
  readonly current: DenyList;
  /** Called after each change. */
  subscribe(onChange: () => void): Disposable;
}

export interface TrackerDeps extends Omit<AdmissionDeps, "blocks"> {
  readonly store: TrackerStore;
  readonly random: Random;
  readonly deny: DenySource;
  /** Only those who have it may join, and only those who have joined may ask. */
  readonly joinToken?: string | undefined;
  /** Between two heartbeats of a peer. */
  readonly intervalMs: number;
  /** The store's. */
  readonly ttlMs: number;
  readonly version: string;
  /** Of streams of events. Default 1,000. */
  readonly maxListeners?: number | undefined;
  readonly log?: Log;
  readonly metrics?: Metrics;
}

/** What whoever serves the app tells it of a request. */
export interface TrackerOrigin {
  /** The IP address it came from; without one no limit per address is kept, and none is noted. */
  readonly remoteAddress?: string | undefined;
}
