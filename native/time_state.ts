/**
 * Whether the kernel's clock is kept right by somebody: adjtimex(2), asked without setting anything.
 */

import type { Libc } from "./libc.ts";

/** struct timex; `modes` 0 sets nothing. */
const TIMEX = { status: 40, size: 208 } as const;
/** linux/timex.h: nobody has told the kernel for a while that its time is right. */
const STA_UNSYNC = 0x0040;

/** Undefined where the kernel does not say. */
export function isTimeKept(libc: Libc): boolean | undefined {
  const timex = new Uint8Array(TIMEX.size);
  if (libc.call.adjtimex(timex) < 0) return undefined;
  return (new DataView(timex.buffer).getInt32(TIMEX.status, true) & STA_UNSYNC) === 0;
}
