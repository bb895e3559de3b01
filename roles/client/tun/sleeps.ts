/**
 * Notices that the machine has slept: the wall clock has gone on, the other has not. The peer may have forgotten us
 * meanwhile, or the network be another.
 */

import { type Clock, delay } from "../../../protocol/clock.ts";

const LOOK_MS = 1_000;
/** Far above what a machine under load is late by; a clock that is set by as much does no harm either. */
const SLEPT_MS = 5_000;

/** Calls it after each sleep, until the signal aborts. Never rejects. */
export async function watchSleeps(clock: Clock, onWake: () => void, signal: AbortSignal): Promise<void> {
  for (let apartMs = clock.wallNow() - clock.now(); !signal.aborted;) {
    await delay(clock, LOOK_MS, signal).catch(() => {});
    const nowMs = clock.wallNow() - clock.now();
    if (nowMs - apartMs >= SLEPT_MS && !signal.aborted) onWake();
    apartMs = nowMs;
  }
}
