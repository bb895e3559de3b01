/** What a till is given by its booth. */

import type { Backoff } from "../../../protocol/backoff.ts";
import type { Clock } from "../../../protocol/clock.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Counter } from "../../../protocol/metrics.ts";
import type { LedgerStore } from "../../../protocol/sharing/ledger.ts";
import type { LedgerQueue } from "./ledger_queue.ts";

export interface TillSettings {
  /** The smallest hold, as bytes at the client's highest price. */
  readonly minHoldBytes: number;
  /** A hold that is not renewed expires after this. */
  readonly holdTtlMs: number;
  /** How long a till that nobody uses keeps its hold. */
  readonly lingerMs: number;
  /** How long a stream waits for a ledger that does not answer. */
  readonly patienceMs: number;
  /** Other processes of the same orchestrator may be at work: what was held for another run is left to expire. */
  readonly isOneOfMany: boolean;
}

export interface TillDeps extends TillSettings {
  readonly clock: Clock;
  readonly log: Log;
  readonly ledger: Pick<LedgerStore, "balance" | "pending">;
  readonly queue: LedgerQueue;
  /** Names the orchestrator, also after a restart. */
  readonly boothName: string;
  /** Tells this run of it from the others. */
  readonly runId: string;
  /** Tells a set of this run from all others: a client's till may be closed and opened again. */
  nextSetNumber(): number;
  /** The ledger is not asked again once it aborts. */
  readonly stop: AbortSignal;
  newBackoff(): Backoff;
  readonly counters: { readonly settlements: Counter; readonly charged: Counter };
}

/** The booth has closed and the ledger has not answered. */
export class LedgerGone extends Error {}
