/**
 * A Clock that stands still until told: `advance(ms)` fires the timers that fall due, in order, each at its own time.
 * Timers lie in a heap, so that thousands of simulated peers may each hold several.
 */

import { setImmediate } from "node:timers";
import type { Clock, Timer } from "../protocol/clock.ts";
import { type TimerEntry, TimerHeap } from "./timer_heap.ts";

/** A clock that stands until it is told to go on. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #wallStartMs: number;
  readonly #pending = new TimerHeap();

  /** `wallStartMs` is what the wall clock says first. */
  constructor(wallStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallStartMs = wallStartMs;
  }

  now(): number {
    return this.#nowMs;
  }

  /** Whole milliseconds, as `Date.now()` gives them. */
  wallNow(): number {
    return Math.floor(this.#wallStartMs + this.#nowMs);
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry: TimerEntry = {
      dueMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      callback,
      index: -1,
    };
    this.#pending.push(entry);
    const cancel = () => this.#pending.remove(entry);
    return { cancel, [Symbol.dispose]: cancel };
  }

  /** Timers that have not fired. Zero at the end of a test means nothing leaked. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** When the next timer fires, in milliseconds from now; undefined if none is set. */
  get nextTimerMs(): number | undefined {
    const next = this.#pending.first;
    return next && next.dueMs - this.#nowMs;
  }

  /** Moves time on, firing what falls due. Promises settled by a timer run only once the caller awaits. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    while (this.#fireNext(untilMs));
    this.#nowMs = untilMs;
  }

  /** Like `advance`, but lets promises run after every timer, as they would between real ones. */
  async advanceAsync(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await settle();
    while (this.#fireNext(untilMs)) await settle();
    this.#nowMs = untilMs;
  }

  /**
   * Lets time pass until the promise settles and gives its value; rejects if `limitMs` pass first. For "this takes as
   * long as it takes" where the exact time is not what the test is about.
   */
  async runUntil<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let settled = false;
    const mark = () => void (settled = true);
    promise.then(mark, mark);
    const untilMs = this.#nowMs + limitMs;
    await settle();
    while (!settled) {
      if (!this.#fireNext(untilMs)) {
        throw new Error(`Cannot run on: nothing is left to happen within ${limitMs} ms, and the promise is pending`);
      }
      await settle();
    }
    return promise;
  }

  /** Fires the next timer if it falls due by then. */
  #fireNext(untilMs: number): boolean {
    const next = this.#pending.first;
    if (!next || next.dueMs > untilMs) return false;
    this.#pending.remove(next);
    this.#nowMs = next.dueMs;
    next.callback();
    return true;
  }
}

/** Lets every promise that can settle without outside help do so: an immediate runs once no microtask is left. */
export function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(() => resolve()));
}
