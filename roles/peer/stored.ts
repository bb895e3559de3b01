/**
 * Writing to a store that may not work at present, because it is locked or full: again every second until it does.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";

const AGAIN_MS = 1_000;
/** It, or what was to be written, will be no better another time. */
const HOPELESS: readonly string[] = ["store_closed", "too_large"];

export interface StoredOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Settles once the write has gone through; rejects when it never will, or the signal aborts. */
export async function untilStored(write: () => Promise<void>, { clock, log, signal }: StoredOptions): Promise<void> {
  for (let hasFailed = false;; hasFailed = true) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof CulvertError) || HOPELESS.includes(error.code)) throw error;
      if (!hasFailed) log.error("A command has to wait for the store", { code: error.code, error: error.message });
      await delay(clock, AGAIN_MS, signal);
    }
  }
}
