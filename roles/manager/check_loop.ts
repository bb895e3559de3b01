/**
 * Looks at a service for as long as it runs: every so often, and once more a second after a failure, which alone confirms it.
 * A single odd one changes nothing.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { HUNG_AFTER_MS } from "../../protocol/manager/watchdog_settings.ts";
import type { CheckFailure } from "./checks.ts";
import type { Notices } from "./runner.ts";

const CONFIRM_AFTER_MS = 1_000;

export interface CheckLoop {
  readonly clock: Clock;
  /** The first look comes as long after the begin. */
  readonly everyMs: number;
  look(): Promise<CheckFailure | undefined>;
  /** Of a failure only when it is confirmed. */
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
      if (failure) {
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

/** One that once said that it is alive, and then no more. */
export function hungFailure({ aliveAtMs }: Notices, nowMs: number): CheckFailure | undefined {
  const silentMs = aliveAtMs === undefined ? 0 : nowMs - aliveAtMs;
  if (silentMs <= HUNG_AFTER_MS) return undefined;
  return { level: "alive", reason: `It hangs: it has not said that it is alive for ${Math.round(silentMs / 1000)} s` };
}
