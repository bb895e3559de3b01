/**
 * Whether a store can be written to, for a health check, a metric and the log: from what became of its writes and, when
 * there have been none for a while, from one of its own.
 *
 *   <space> "trial"                    when it was last tried
 *
 * A store in trouble is tried every second, so that it is known soon when it works again. Reading is not looked at: with
 * a locked file and on a full disk it goes on.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import type { CulvertError } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import { commitAll, type WriteGuard } from "./commit.ts";
import type { KvSpace } from "./records.ts";

const TRY_EVERY_MS = 10_000;
const LOOK_MS = 1_000;
/** Not the store's: what was to be written was at fault, or who wanted to. */
const NOT_ITS_FAULT: readonly string[] = ["too_large", "store_fenced", "store_contended"];

export interface StoreHealthOptions extends KvSpace {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

export class StoreHealth {
  readonly #kv: Deno.Kv;
  readonly #options: StoreHealthOptions;
  readonly #metrics;
  #trouble: CulvertError | undefined;
  #wroteAtMs: number;

  constructor(kv: Deno.Kv, options: StoreHealthOptions) {
    this.#kv = kv;
    this.#options = options;
    this.#wroteAtMs = options.clock.now();
    this.#metrics = {
      up: options.metrics.gauge("store_up", "Whether the store can be written to"),
      failures: options.metrics.counter("store_failures_total", "Writes to the store that failed", ["code"]),
    };
    this.#metrics.up.set(1);
  }

  /** The guard for all the stores on this KV. */
  get guard(): WriteGuard {
    return { fence: this.#options.guard?.fence, onWrite: (error) => this.#wrote(error) };
  }

  /** Why the store cannot be written to at present, if so. */
  get problem(): string | undefined {
    return this.#trouble?.message;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await delay(clock, LOOK_MS, signal).catch(() => {});
      if (signal.aborted) return;
      if (this.#trouble || clock.now() - this.#wroteAtMs >= TRY_EVERY_MS) await this.#try();
    }
  }

  async #try(): Promise<void> {
    const { clock, space } = this.#options;
    const trial = { key: [space, "trial"], value: clock.wallNow() };
    // What comes of it is heard by the guard.
    await commitAll({ kv: this.#kv, clock, guard: this.guard }, "write to the store", [trial]).catch(() => {});
  }

  #wrote(error: CulvertError | undefined): void {
    const { clock, log } = this.#options;
    this.#wroteAtMs = clock.now();
    if (error) this.#metrics.failures.add(1, { code: error.code });
    if (error && NOT_ITS_FAULT.includes(error.code)) return;
    const last = this.#trouble;
    this.#trouble = error;
    this.#metrics.up.set(error ? 0 : 1);
    if (error && error.code !== last?.code) {
      log.error("The store cannot be written to", { code: error.code, error: error.message });
    } else if (!error && last) log.info("The store can be written to again");
  }
}
