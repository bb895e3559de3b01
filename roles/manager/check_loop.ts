/**
 * Looks at a service for as long as it runs: every so often, and once more a second after a failure, which alone confirms it.
 * A single odd one changes nothing.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { NOTIFY_WATCHDOG_MS } from "../../protocol/manager/notify_text.ts";
import type { CheckFailure } from "./checks.ts";
import type { Notices } from "./runner.ts";

const CONFIRM_AFTER_MS = 1_000;

export interface CheckLoop {
  readonly clock: Clock;
  /** The first look comes as long after the begin. */
  readonly everyMs: number;
  look(): Promise<CheckFailure | undefined>;
  /** Of a failure only when it is confirmed; of what cannot be looked at, at once. */
  onLook(failure: CheckFailure | undefined): void;
}

/** Settles when the signal aborts, after which nothing is told. */
export async function checkAgainAndAgain(
  { clock, everyMs, look, onLook }: CheckLoop,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (;;) {
      await delay(clock, everyMs, signal);
      let failure = await look();
      if (failure && failure.level !== "unseen") {
        await delay(clock, CONFIRM_AFTER_MS, signal);
        failure = await look();
      }
      if (signal.aborted) return;
      onLook(failure);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

export interface HangTimes {
  readonly nowMs: number;
  /** Of one that has to say that it is alive from its start on: since when it could be heard. */
  readonly livesSinceMs?: number;
}

/** One that once said that it is alive, or has to, and says so no more. */
export function hungFailure(
  { aliveAtMs, readyAtMs = -Infinity }: Notices,
  { nowMs, livesSinceMs }: HangTimes,
): CheckFailure | undefined {
  const sinceMs = aliveAtMs ?? (livesSinceMs === undefined ? nowMs : Math.max(livesSinceMs, readyAtMs));
  const silentMs = nowMs - sinceMs;
  if (silentMs <= NOTIFY_WATCHDOG_MS) return undefined;
  return { level: "alive", reason: `It hangs: it has not said that it is alive for ${Math.round(silentMs / 1000)} s` };
}
