/**
 * Something that is looked at again and again while a role runs, such as a file that somebody may renew.
 *
 * Files are read again rather than watched: that also sees links that are switched and directories that are replaced,
 * and costs nothing.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { messageOf } from "../protocol/errors.ts";

/** A renewed file is taken up within ten seconds. */
export const LOOK_EVERY_MS = 9_000;

export interface Repeating {
  readonly clock: Clock;
  readonly everyMs: number;
  /** Begins so long after the last look has ended. */
  look(signal: AbortSignal): Promise<void>;
  /** A look has failed otherwise than the one before. */
  onProblem(problem: string): void;
}

/** Looks until disposed. */
export function repeat({ clock, everyMs, look, onProblem }: Repeating): Disposable {
  const stop = new AbortController();
  const { signal } = stop;
  let lastProblem: string | undefined;
  let timer: Timer;
  const wind = () => timer = clock.after(everyMs, () => void lookAgain());

  async function lookAgain(): Promise<void> {
    try {
      await look(signal);
      lastProblem = undefined;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== lastProblem && !signal.aborted) onProblem(problem);
      lastProblem = problem;
    }
    if (!signal.aborted) wind();
  }

  wind();
  return {
    [Symbol.dispose]() {
      stop.abort();
      timer.cancel();
    },
  };
}
