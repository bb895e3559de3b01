/**
 * Whether a store on Deno KV can be written to (`health_watch.ts`), from its writes and now and then one of its own.
 *
 *   <space> "trial"                    when it was last tried
 *
 * Reading is not looked at: with a locked file and on a full disk it goes on.
 */

import type { Clock } from "../protocol/clock.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import { commitAll, type WriteGuard } from "./commit.ts";
import { HealthWatch } from "./health_watch.ts";
import type { KvSpace } from "./records.ts";

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
  readonly #watch: HealthWatch;

  constructor(kv: Deno.Kv, options: StoreHealthOptions) {
    const { clock, log, metrics } = options;
    this.#kv = kv;
    this.#options = options;
    this.#watch = new HealthWatch({
      ...{ clock, log, metrics, name: "store" },
      help: { up: "Whether the store can be written to", failures: "Writes to the store that failed" },
      says: { broken: "The store cannot be written to", mended: "The store can be written to again" },
      isTrouble: ({ code }) => !NOT_ITS_FAULT.includes(code),
      probe: () => this.#try(),
    });
  }

  /** The guard for all the stores on this KV. */
  get guard(): WriteGuard {
    return { fence: this.#options.guard?.fence, onWrite: (error) => this.#watch.told(error) };
  }

  /** Why the store cannot be written to at present, if so. */
  get problem(): string | undefined {
    return this.#watch.problem;
  }

  /** Until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void> {
    return this.#watch.run(signal);
  }

  async #try(): Promise<void> {
    const { clock, space } = this.#options;
    const trial = { key: [space, "trial"], value: clock.wallNow() };
    await commitAll({ kv: this.#kv, clock, guard: this.guard }, "write to the store", [trial]);
  }
}
