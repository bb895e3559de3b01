import { assert } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { LegCongestion } from "./leg_congestion.ts";

const FRAGMENT_BYTES = 32 * 1024;
const ROUND_FRAGMENTS = 8;
const ROUND_MS = 10;

/** The mean window of a leg that is kept busy and loses so much, once it has started. */
function meanWindow(lossShare: number): number {
  const random = new SeededRandom(1);
  let nowMs = 0;
  const leg = new LegCongestion(4 * 1024 * 1024, nowMs);
  const windows: number[] = [];
  for (let round = 0; round < 2000; round++) {
    const newest = leg.entry(nowMs, FRAGMENT_BYTES, true);
    nowMs += ROUND_MS;
    let received = 0;
    for (let count = 0; count < ROUND_FRAGMENTS; count++) if (random.next() >= lossShare) received++;
    const bytes = ROUND_FRAGMENTS * FRAGMENT_BYTES;
    leg.onAnswer({ newest, heldBackMs: 0, fragments: ROUND_FRAGMENTS, received, bytes }, nowMs);
    if (round > 200) windows.push(leg.windowBytes);
  }
  return windows.reduce((sum, bytes) => sum + bytes) / windows.length;
}

Deno.test("a window shrinks with heavy loss, and not with one that is light", () => {
  const whole = meanWindow(0);
  assert(meanWindow(0.05) > 0.99 * whole, `light: ${meanWindow(0.05) / whole}`);
  assert(meanWindow(0.4) < 0.5 * whole, `heavy: ${meanWindow(0.4) / whole}`);
});
