/**
 * A bounded map in memory whose entries end at a time of the wall clock: what the stores in memory are made of.
 * When full it first clears away what has ended, at most once a second, and then refuses with `store_full`.
 */

import type { Clock } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";

const SWEEP_EVERY_MS = 1000;

export interface ExpiringMapOptions {
  /** What the entries are, for the message when there are too many. */
  readonly what: string;
  /** @default 100_000 */
  readonly maxEntries?: number;
}

interface Entry<V> {
  readonly value: V;
  readonly expiresAtMs: number;
}

export class ExpiringMap<V> {
  readonly #clock: Clock;
  readonly #what: string;
  readonly #maxEntries: number;
  readonly #entries = new Map<string, Entry<V>>();
  #sweptAtMs = -Infinity;

  constructor(clock: Clock, { what, maxEntries = 100_000 }: ExpiringMapOptions) {
    this.#clock = clock;
    this.#what = what;
    this.#maxEntries = maxEntries;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    return entry && entry.expiresAtMs > this.#clock.wallNow() ? entry.value : undefined;
  }

  /** Throws `store_full` if there is no room for another key. */
  set(key: string, value: V, expiresAtMs: number): void {
    if (!this.#entries.has(key) && this.#entries.size >= this.#maxEntries) this.#sweep();
    this.#entries.set(key, { value, expiresAtMs });
  }

  /** Whether there was one that had not ended. */
  delete(key: string): boolean {
    const wasThere = this.get(key) !== undefined;
    this.#entries.delete(key);
    return wasThere;
  }

  /** Those that have not ended, in the order in which their keys were first set. */
  *values(): Generator<V> {
    const nowMs = this.#clock.wallNow();
    for (const { value, expiresAtMs } of this.#entries.values()) if (expiresAtMs > nowMs) yield value;
  }

  #sweep(): void {
    const nowMs = this.#clock.wallNow();
    if (this.#clock.now() - this.#sweptAtMs >= SWEEP_EVERY_MS) {
      this.#sweptAtMs = this.#clock.now();
      for (const [key, { expiresAtMs }] of this.#entries) if (expiresAtMs <= nowMs) this.#entries.delete(key);
    }
    if (this.#entries.size < this.#maxEntries) return;
    throw new CulvertError(
      "store_full",
      `Cannot keep more ${this.#what}: there must be at most ${this.#maxEntries}, got ${this.#entries.size + 1}`,
    );
  }
}
