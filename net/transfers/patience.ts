/**
 * Asking a busy peer again when it says, and not for ever.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import type { Random } from "../../protocol/random.ts";
import { HttpRefusal } from "./peer_http.ts";

const MAX_TRIES = 20;
/** However long a peer says that it wants to be left alone. */
const MAX_WAIT_MS = 60_000;

export interface PatienceTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Whether a peer would answer if it were asked later. */
export function isBusy(error: unknown): boolean {
  return error instanceof HttpRefusal && (error.status === 429 || error.status === 503);
}

/** Asks until there is an answer, or an error for which asking later is of no use. */
export async function patiently<T>(
  ask: () => Promise<T>,
  { clock, random, signal }: PatienceTools,
  isForLater: (error: unknown) => boolean = isBusy,
): Promise<T> {
  const backoff = new Backoff(random, { baseMs: 500, maxMs: 8000 });
  for (let tries = 1;; tries++) {
    let saidMs: number | undefined;
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      if (tries === MAX_TRIES || !isForLater(error)) throw error;
      if (error instanceof HttpRefusal) saidMs = error.retryAfterMs;
    }
    await delay(clock, Math.min(MAX_WAIT_MS, (saidMs ?? 0) + backoff.nextMs()), signal);
  }
}
