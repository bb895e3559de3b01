/**
 * How long to wait before trying again: exponential with full jitter, so that a thousand peers who lost the same
 * supernode do not all come back in the same instant. wait = random · min(max, base · 2^failures).
 */

import type { Random } from "./random.ts";

export interface BackoffOptions {
  /** The ceiling of the first wait. Default 500 ms. */
  readonly baseMs?: number;
  /** No wait is longer. Default 30 s. */
  readonly maxMs?: number;
}

export class Backoff {
  readonly #random: Random;
  readonly #baseMs: number;
  readonly #maxMs: number;
  #failures = 0;

  constructor(random: Random, options: BackoffOptions = {}) {
    this.#random = random;
    this.#baseMs = options.baseMs ?? 500;
    this.#maxMs = options.maxMs ?? 30_000;
  }

  /** The wait after one more failure. */
  nextMs(): number {
    const ceilingMs = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return this.#random.next() * ceilingMs;
  }

  /** It worked: the next failure starts from the beginning. */
  reset(): void {
    this.#failures = 0;
  }
}
