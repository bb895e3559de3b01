/**
 * Waiting for what happens over sockets and in other processes, in real time, and never for ever: what does not come
 * fails the test and is named. What happens on a fake clock is waited for with that clock.
 */

import { clockOf, delay } from "../protocol/clock.ts";

/** Beyond anything a machine under load is late by, and below what ends a test. */
export const PATIENCE_MS = 30_000;
const LOOK_MS = 20;

/** How long to wait. */
export interface WaitOptions {
  /** Then it fails, and says what for. Default: long enough for a machine under load. */
  readonly limitMs?: number | undefined;
  /** What there was instead, to be told with the failure. */
  readonly instead?: () => string;
}

/** What the promise gives; rejects, and says what there was none of, when that takes too long. */
export async function within<T>(what: string, promise: Promise<T>, options: WaitOptions = {}): Promise<T> {
  const { limitMs = PATIENCE_MS, instead = () => "" } = options;
  const { promise: late, reject } = Promise.withResolvers<never>();
  using _timer = clockOf(globalThis).after(limitMs, () => {
    reject(new Error(`Not within ${limitMs} ms: ${what}\n${instead()}`.trim()));
  });
  return await Promise.race([promise, late]);
}

/** Waits until it holds, for what can only be looked at. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  options: WaitOptions = {},
): Promise<void> {
  const isOver = new AbortController();
  const look = async () => {
    while (!await holds()) await delay(clockOf(globalThis), LOOK_MS, isOver.signal);
  };
  // A look that never ends is late as well.
  await within(what, look(), options).finally(() => isOver.abort(new Error("It is too late")));
}

/** Something that changes and says so. */
export class Changes {
  readonly #wakes = new Set<() => void>();

  /** Whoever waits looks again. */
  tell(): void {
    const wakes = [...this.#wakes];
    this.#wakes.clear();
    for (const wake of wakes) wake();
  }

  /** Waits until it holds, looked at after each change. What there was instead is told with the failure. */
  async until(
    holds: () => boolean,
    what: string,
    instead: () => string = () => "",
    limitMs = PATIENCE_MS,
  ): Promise<void> {
    const look = async () => {
      while (!holds()) await new Promise<void>((resolve) => this.#wakes.add(resolve));
    };
    await within(what, look(), { instead, limitMs });
  }
}
