/**
 * Whether something outside can be used, for a health check, a metric and the log: from what became of its uses and, when
 * there have been none for a while, from one of its own. What is in trouble is tried every second, so that it is known soon
 * when it works again.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import type { CulvertError } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";

const TRY_EVERY_MS = 10_000;
const LOOK_MS = 1_000;

export interface HealthWatchOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What the metrics are named for: `<name>_up`, `<name>_failures_total`. */
  readonly name: string;
  /** The metrics' help. */
  readonly help: { readonly up: string; readonly failures: string };
  /** What the log says. */
  readonly says: { readonly broken: string; readonly mended: string };
  /** Whether an error is its fault, rather than that of what was asked. */
  isTrouble(error: CulvertError): boolean;
  /** Uses it once; what comes of that is told to `told`. May reject. */
  probe(): Promise<unknown>;
}

export class HealthWatch {
  readonly #options: HealthWatchOptions;
  readonly #metrics;
  #trouble: CulvertError | undefined;
  #toldAtMs: number;

  constructor(options: HealthWatchOptions) {
    const { clock, metrics, name, help } = options;
    this.#options = options;
    this.#toldAtMs = clock.now();
    this.#metrics = {
      up: metrics.gauge(`${name}_up`, help.up),
      failures: metrics.counter(`${name}_failures_total`, help.failures, ["code"]),
    };
    this.#metrics.up.set(1);
  }

  /** Why it cannot be used at present, if so. */
  get problem(): string | undefined {
    return this.#trouble?.message;
  }

  /** What became of a use of it. */
  told(error?: CulvertError): void {
    const { clock, log, says, isTrouble } = this.#options;
    this.#toldAtMs = clock.now();
    if (error) this.#metrics.failures.add(1, { code: error.code });
    if (error && !isTrouble(error)) return;
    const last = this.#trouble;
    this.#trouble = error;
    this.#metrics.up.set(error ? 0 : 1);
    if (error && error.code !== last?.code) log.error(says.broken, { code: error.code, error: error.message });
    else if (!error && last) log.info(says.mended);
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, probe } = this.#options;
    while (!signal.aborted) {
      await delay(clock, LOOK_MS, signal).catch(() => {});
      if (signal.aborted) return;
      if (this.#trouble || clock.now() - this.#toldAtMs >= TRY_EVERY_MS) await probe().catch(() => {});
    }
  }
}
