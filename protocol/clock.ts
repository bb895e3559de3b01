/**
 * Time as a parameter. Nothing in Culvert asks the host for the time: it is handed a Clock, so that a test can make
 * hours pass in milliseconds. `clockOf(globalThis)` is the real one; `testing/fake_clock.ts` the other.
 */

import { CulvertError } from "./errors.ts";

/** A callback that is still to come; cancelling or disposing it makes it never come. */
export interface Timer extends Disposable {
  /** Stops the timer; harmless when it has fired or was cancelled before. */
  cancel(): void;
}

/** Where time comes from: the host by `clockOf`, or a `FakeClock` in tests. */
export interface Clock {
  /** Milliseconds that only ever go forward, from an arbitrary start. For durations. */
  now(): number;
  /** Milliseconds since 1970, as the host believes. For timestamps that leave the process. */
  wallNow(): number;
  /** Calls `callback` once, `delayMs` from now. */
  after(delayMs: number, callback: () => void): Timer;
}

/**
 * The parts of a JavaScript host that a Clock is made from. `globalThis` has them. `TimerId` is a number, or an object
 * once the types of `node:` modules are about.
 */
export interface TimeHost<TimerId> {
  /** Monotonic time. */
  readonly performance: { now(): number };
  /** The wall clock. */
  readonly Date: { now(): number };
  /** Calls back once. */
  setTimeout(callback: () => void, delayMs: number): TimerId;
  /** Takes that back. */
  clearTimeout(id: TimerId): void;
}

/** The host's own time: `clockOf(globalThis)`. */
export function clockOf<TimerId>(host: TimeHost<TimerId>): Clock {
  return {
    now: () => host.performance.now(),
    wallNow: () => host.Date.now(),
    after(delayMs, callback) {
      const id = host.setTimeout(callback, delayMs);
      const cancel = () => host.clearTimeout(id);
      return { cancel, [Symbol.dispose]: cancel };
    },
  };
}

/** Waits; rejects with the signal's reason if it is aborted first. */
export function delay(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal!.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** A signal that aborts after a time or with its parent, and a disposer that frees both. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

/** A deadline for one piece of work. The reason it aborts with is a CulvertError `timeout` that names `what`. */
export function deadline(clock: Clock, timeoutMs: number, what: string, parent?: AbortSignal): Deadline {
  const controller = new AbortController();
  const onParent = () => controller.abort(parent!.reason);
  if (parent?.aborted) onParent();
  parent?.addEventListener("abort", onParent, { once: true });
  const timer = clock.after(timeoutMs, () => {
    controller.abort(new CulvertError("timeout", `Cannot ${what}: no answer within ${timeoutMs} ms`));
  });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      timer.cancel();
      parent?.removeEventListener("abort", onParent);
    },
  };
}
