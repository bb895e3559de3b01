/**
 * A bounded map whose entries end at a time, for what can be forgotten without harm: when full, what has ended goes first,
 * then what was set longest ago. (`../expiring_map.ts` refuses instead.)
 */

import type { Clock } from "../../protocol/clock.ts";

interface Entry<V> {
  readonly value: V;
  readonly endsAtMs: number;
}

export class FadingMap<V> {
  readonly #clock: Pick<Clock, "wallNow">;
  readonly #maxEntries: number;
  readonly #entries = new Map<string, Entry<V>>();

  constructor(clock: Pick<Clock, "wallNow">, maxEntries: number) {
    this.#clock = clock;
    this.#maxEntries = maxEntries;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    return entry && entry.endsAtMs > this.#clock.wallNow() ? entry.value : undefined;
  }

  set(key: string, value: V, endsAtMs: number): void {
    // Set anew it comes last.
    this.#entries.delete(key);
    if (this.#entries.size >= this.#maxEntries) this.#makeRoom();
    this.#entries.set(key, { value, endsAtMs });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Takes out so many, those that were set longest ago first; what has ended on the way is gone. */
  drain(maxEntries: number): V[] {
    const nowMs = this.#clock.wallNow();
    const values: V[] = [];
    for (const [key, { value, endsAtMs }] of this.#entries) {
      if (values.length === maxEntries) break;
      this.#entries.delete(key);
      if (endsAtMs > nowMs) values.push(value);
    }
    return values;
  }

  /** Those that have not ended. */
  *entries(): Generator<[string, V]> {
    const nowMs = this.#clock.wallNow();
    for (const [key, { value, endsAtMs }] of this.#entries) if (endsAtMs > nowMs) yield [key, value];
  }

  /** An eighth at a time, so that the cost of looking through all is shared by many. */
  #makeRoom(): void {
    const nowMs = this.#clock.wallNow();
    for (const [key, { endsAtMs }] of this.#entries) if (endsAtMs <= nowMs) this.#entries.delete(key);
    const surplus = this.#entries.size - Math.floor(this.#maxEntries * 7 / 8);
    if (surplus > 0) { for (const key of [...this.#entries.keys().take(surplus)]) this.#entries.delete(key); }
  }
}
