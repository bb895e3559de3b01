/**
 * One timer for many waits of the same length. Items fall due in the order they were added, so the oldest is always
 * first and adding or removing one costs a map operation, not a timer.
 */

import type { Clock, Timer } from "../protocol/clock.ts";

export class Deadlines<T> implements Disposable {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onExpire: (item: T) => void;
  /** Items and when they are due, the soonest first. */
  readonly #dueMs = new Map<T, number>();
  #timer: Timer | undefined;
  #disposed = false;

  constructor(clock: Clock, timeoutMs: number, onExpire: (item: T) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onExpire = onExpire;
  }

  /** Starts the wait for this item, again if it is waiting already. */
  add(item: T): void {
    if (this.#disposed) return;
    this.#dueMs.delete(item);
    this.#dueMs.set(item, this.#clock.now() + this.#timeoutMs);
    this.#timer ??= this.#clock.after(this.#timeoutMs, () => this.#sweep());
  }

  /** Ends the wait for this item; false if it was not waiting. */
  delete(item: T): boolean {
    return this.#dueMs.delete(item);
  }

  has(item: T): boolean {
    return this.#dueMs.has(item);
  }

  /** When the first of them is due; Infinity when nothing waits. */
  get soonestMs(): number {
    for (const dueMs of this.#dueMs.values()) return dueMs;
    return Infinity;
  }

  /** The items that wait. */
  [Symbol.iterator](): Iterator<T> {
    return this.#dueMs.keys();
  }

  /** Forgets every item, and takes no later ones. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.cancel();
    this.#dueMs.clear();
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    for (const [item, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) break;
      this.#dueMs.delete(item);
      this.#onExpire(item);
    }
    // Only now: an item that expires may be added again, and one timer is enough.
    this.#timer = undefined;
    const [soonestMs] = this.#dueMs.values();
    if (soonestMs === undefined) return;
    // A timer may fire a fraction early; a whole millisecond keeps that from becoming a busy loop.
    this.#timer = this.#clock.after(Math.max(1, soonestMs - nowMs), () => this.#sweep());
  }
}

/** The `after` of a clock on which every wait takes this long, whatever is asked for. */
export function sharedWait(callbacks: Deadlines<() => void>): Pick<Clock, "after"> {
  return {
    after(_delayMs, callback) {
      callbacks.add(callback);
      const cancel = () => callbacks.delete(callback);
      return { cancel, [Symbol.dispose]: cancel };
    },
  };
}
