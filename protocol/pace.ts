/**
 * At most so many of something a second, and a few at once: a `TokenBucket` for where there are thousands of them and time
 * is at hand. It remembers one number, the moment at which the full burst is there again (GCRA).
 */

export interface PaceLimit {
  readonly perSecond: number;
  /** How many may come at once. */
  readonly burst: number;
}

export class Pace {
  #fullAtMs = -Infinity;

  /** Whether one more may go on now; if so it is counted. `nowMs` never goes back. */
  allow(limit: PaceLimit, nowMs: number): boolean {
    if (!this.has(limit, nowMs)) return false;
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + 1000 / limit.perSecond;
    return true;
  }

  /** Whether one more might go on now; nothing is counted. */
  has({ perSecond, burst }: PaceLimit, nowMs: number): boolean {
    const costMs = 1000 / perSecond;
    return Math.max(this.#fullAtMs, nowMs) + costMs - nowMs <= burst * costMs;
  }
}
