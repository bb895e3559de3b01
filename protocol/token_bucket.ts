/**
 * How much of something may happen per second. Tokens drip in at a steady rate up to a burst.
 *
 * Three ways to use one: `tryTake` refuses what is not there (connections), `take` goes into debt and says how long to
 * wait until it is paid (bytes of a stream). Debts queue up in the order they were made, so streams that share a bucket
 * share its rate. `takeUnlessBehind` neither waits nor needs it all (datagrams): one may be larger than the burst, and
 * beside streams that always owe a little there would never be enough for it.
 */

import type { Clock } from "./clock.ts";

export interface TokenRate {
  readonly perSecond: number;
  /** How much may gather while nothing happens. */
  readonly burst: number;
}

export class TokenBucket {
  readonly #clock: Pick<Clock, "now">;
  readonly rate: TokenRate;
  #tokens: number;
  #filledAtMs: number;

  constructor(clock: Pick<Clock, "now">, rate: TokenRate) {
    this.#clock = clock;
    this.rate = rate;
    this.#tokens = rate.burst;
    this.#filledAtMs = clock.now();
  }

  /** Takes `amount` if it is there now. */
  tryTake(amount = 1): boolean {
    this.#fill();
    if (this.#tokens < amount) return false;
    this.#tokens -= amount;
    return true;
  }

  /** Takes `amount`, there or not, and gives the milliseconds to wait before acting on it. */
  take(amount: number): number {
    this.#fill();
    this.#tokens -= amount;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.rate.perSecond * 1000;
  }

  /** Takes `amount`, there or not, unless two bursts or more are owed already. */
  takeUnlessBehind(amount: number): boolean {
    this.#fill();
    if (this.#tokens <= -2 * this.rate.burst) return false;
    this.#tokens -= amount;
    return true;
  }

  /** Puts back what was taken and not used. */
  give(amount: number): void {
    this.#tokens = Math.min(this.rate.burst, this.#tokens + amount);
  }

  #fill(): void {
    const nowMs = this.#clock.now();
    this.give((nowMs - this.#filledAtMs) / 1000 * this.rate.perSecond);
    this.#filledAtMs = nowMs;
  }
}
