/**
 * Milliseconds since the machine was started, those it slept included (CLOCK_BOOTTIME). `performance.now()` stands still
 * while a laptop's lid is closed, and what has to expire would look young when it opens again.
 */

import { Slab } from "../protocol/slab.ts";
import type { Libc } from "./libc.ts";

const CLOCK_BOOTTIME = 7;

/** A function that reads it, on this thread. */
export function bootTimeMs(libc: Libc): () => number {
  // struct timespec { time_t seconds; long nanoseconds }, of which the lower halves are enough
  const time = new Slab(16);
  return () => {
    libc.call.clock_gettime(CLOCK_BOOTTIME, time.bytes);
    return time.view.getUint32(0, true) * 1000 + time.view.getUint32(8, true) / 1e6;
  };
}
