/** How a service's process ended, in words; and its end seen by looking, where it cannot be waited for. */

import { type Clock, delay } from "../../protocol/clock.ts";
import type { ServiceExit } from "./runner.ts";

const LOOK_EVERY_MS = 1_000;

export function wordsFor({ code, signal }: ServiceExit): string {
  if (signal !== undefined) return signal;
  return code === undefined ? "nobody saw how" : `exit code ${code}`;
}

/** Calls `onGone` once it is no longer there; what cannot be looked at is taken to be there. Settles when the signal aborts. */
export async function lookForEnd(
  { clock, isThere, onGone }: { readonly clock: Clock; isThere(): boolean; onGone(): void },
  signal: AbortSignal,
): Promise<void> {
  const isSeen = () => {
    try {
      return isThere();
    } catch {
      return true;
    }
  };
  try {
    while (isSeen()) await delay(clock, LOOK_EVERY_MS, signal);
    onGone();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
