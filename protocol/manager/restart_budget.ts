/**
 * How often a service may be restarted by itself, and how long to wait before each time.
 *
 *   restart      1   2   3   4   5   no more
 *   wait (s)     5  10  20  40  80             base · 2^n, n = restarts in the window
 *
 * The window is of time in which the service ran: waits and starts that fail do not let it pass. By the wall clock, one
 * that takes 30 s to fail to start would be tried for ever, and so would one whose waits are longer than its window. The
 * time it ran is never longer than the time that passed, so no stretch of time as long as the window sees more restarts
 * than are allowed.
 */

import type { WatchdogSettings } from "./watchdog_settings.ts";

export type BudgetSettings = Pick<
  WatchdogSettings,
  "maxRestarts" | "restartWindowMs" | "backoffBaseMs" | "backoffMaxMs"
>;

/** Beyond it doubling has long reached any limit. */
const MAX_DOUBLINGS = 30;

export class RestartBudget {
  #settings: BudgetSettings;
  /** How long the service has run since each restart, the oldest first. */
  #ranMs: number[] = [];

  constructor(settings: BudgetSettings) {
    this.#settings = settings;
  }

  /** Restarts in the window. */
  get used(): number {
    return this.#ranMs.length;
  }

  /** Before the next restart; undefined when there is to be none. */
  get waitMs(): number | undefined {
    const { maxRestarts, backoffBaseMs, backoffMaxMs } = this.#settings;
    if (this.used >= maxRestarts) return undefined;
    return Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(this.used, MAX_DOUBLINGS));
  }

  spend(): void {
    this.#ranMs.push(0);
  }

  /** It has run for so much longer. */
  ran(ms: number): void {
    this.#ranMs = this.#ranMs.map((sofar) => sofar + ms);
    this.#forget();
  }

  clear(): void {
    this.#ranMs = [];
  }

  configure(settings: BudgetSettings): void {
    this.#settings = settings;
    this.#forget();
  }

  #forget(): void {
    this.#ranMs = this.#ranMs.filter((ms) => ms < this.#settings.restartWindowMs);
  }
}
