/**
 * A Clock that stands still until told: `advance(ms)` fires the timers that fall due, in order, each at its own time.
 */

import type { Clock, Timer } from "../protocol/clock.ts";

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #wallStartMs: number;
  readonly #pending = new Set<Pending>();

  constructor(wallStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallStartMs = wallStartMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const pending = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#pending.add(pending);
    const cancel = () => void this.#pending.delete(pending);
    return { cancel, [Symbol.dispose]: cancel };
  }

  /** Timers that have not fired. Zero at the end of a test means nothing leaked. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** When the next timer fires, in milliseconds from now; undefined if none is set. */
  get nextTimerMs(): number | undefined {
    const next = this.#next();
    return next && next.dueMs - this.#nowMs;
  }

  /** Moves time on, firing what falls due. Promises settled by a timer run only once the caller awaits. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (let next = this.#next(); next && next.dueMs <= untilMs; next = this.#next()) {
      this.#pending.delete(next);
      this.#nowMs = next.dueMs;
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  /** Like `advance`, but lets promises run after every timer, as they would between real ones. */
  async advanceAsync(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await settle();
    for (let next = this.#next(); next && next.dueMs <= untilMs; next = this.#next()) {
      this.#pending.delete(next);
      this.#nowMs = next.dueMs;
      next.callback();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  #next(): Pending | undefined {
    let next: Pending | undefined;
    for (const pending of this.#pending) {
      if (!next || pending.dueMs < next.dueMs || (pending.dueMs === next.dueMs && pending.order < next.order)) {
        next = pending;
      }
    }
    return next;
  }
}

/** Lets every promise that can settle without outside help do so. */
async function settle(): Promise<void> {
  for (let round = 0; round < 32; round++) await Promise.resolve();
}
