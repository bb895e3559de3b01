/**
 * A deadline for every dial at the price of one timer for all. Every dial here has the same time to go, so they fall
 * due in the order they began: the timer stands for the first of them and is set again when it fires. A timer each
 * would cost 1.4 µs of the 33 µs that a loopback connect takes.
 *
 *   begin ─▶ [oldest … newest] ─▶ done: taken out        the timer fires: the overdue are aborted, the next is awaited
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";

/** A dial under way: its signal aborts at the deadline, with its parent, or when the Path closes. */
export interface PendingDial extends Disposable {
  readonly signal: AbortSignal;
  /** Ends it before its time. */
  abort(reason: unknown): void;
}

export class DialDeadlines implements Disposable {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #dueMs = new Map<AbortController, number>();
  #timer: Timer | undefined;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** How many dials are under way. */
  get pending(): number {
    return this.#dueMs.size;
  }

  begin(parent?: AbortSignal): PendingDial {
    const controller = new AbortController();
    const onParent = parent && (() => controller.abort(parent.reason));
    if (parent?.aborted) onParent!();
    else parent?.addEventListener("abort", onParent!);
    this.#dueMs.set(controller, this.#clock.now() + this.#timeoutMs);
    this.#timer ??= this.#clock.after(this.#timeoutMs, () => this.#abortOverdue());
    return {
      signal: controller.signal,
      abort: (reason) => controller.abort(reason),
      [Symbol.dispose]: () => {
        this.#dueMs.delete(controller);
        parent?.removeEventListener("abort", onParent!);
      },
    };
  }

  /** Aborts every dial under way. */
  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const controller of this.#dueMs.keys()) {
      controller.abort(new DialError("path_down", "Cannot dial: the way out has closed"));
    }
  }

  #abortOverdue(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.now();
    for (const [controller, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) {
        this.#timer = this.#clock.after(dueMs - nowMs, () => this.#abortOverdue());
        return;
      }
      this.#dueMs.delete(controller);
      controller.abort(new DialError("timeout", `Cannot dial: no answer within ${this.#timeoutMs} ms`));
    }
  }
}
