/**
 * The timestamp in an initiation: TAI64N (https://cr.yp.to/libtai/tai64.html), 8 bytes of seconds and 4 of nanoseconds,
 * big endian, so that later ones compare greater byte by byte. Its low 24 bits are cleared (steps of 16.8 ms), because
 * the exact time of a machine is nobody's business.
 */

import type { Bytes } from "../primitives.ts";

export const TIMESTAMP_BYTES = 12;

/** TAI64's zero is 2^62; 1970 began ten seconds later in TAI than in UTC. */
const TAI64_BASE = 2 ** 62;
const TAI_MINUS_UTC_S = 10;

/** The timestamp of a wall-clock time in milliseconds since 1970. */
export function tai64n(wallMs: number): Bytes {
  const seconds = Math.floor(wallMs / 1000) + TAI_MINUS_UTC_S;
  const nanoseconds = Math.floor((wallMs - Math.floor(wallMs / 1000) * 1000) * 1e6);
  const timestamp = new Uint8Array(TIMESTAMP_BYTES);
  const view = new DataView(timestamp.buffer);
  view.setUint32(0, TAI64_BASE / 2 ** 32 + Math.floor(seconds / 2 ** 32));
  view.setUint32(4, seconds % 2 ** 32);
  view.setUint32(8, nanoseconds & 0xff000000);
  return timestamp;
}

/** Negative when `one` is earlier, 0 when they are equal, positive when `one` is later. */
export function compareTimestamps(one: Uint8Array, other: Uint8Array): number {
  for (let at = 0; at < TIMESTAMP_BYTES; at++) {
    const difference = one[at]! - other[at]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
