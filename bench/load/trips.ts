/**
 * How long a small message takes there and back on a stream that is open, one after the other.
 */

import { clockOf } from "../../protocol/clock.ts";
import { readFull, type Target, writeAll } from "../../protocol/stream.ts";
import { ECHO } from "./source.ts";

const MESSAGE_BYTES = 64;
/** What the first ones compile is not counted. */
const WARM_TRIPS = 50;

/** Milliseconds of each. */
export async function runTrips(target: Target, count: number): Promise<number[]> {
  const clock = clockOf(globalThis);
  using connection = await Deno.connect({ hostname: target.host, port: target.port });
  connection.setNoDelay();
  await writeAll(connection, Uint8Array.of(ECHO));
  const [message, answer] = [new Uint8Array(MESSAGE_BYTES), new Uint8Array(MESSAGE_BYTES)];
  const took: number[] = [];
  for (let trip = -WARM_TRIPS; trip < count; trip++) {
    const startMs = clock.now();
    await writeAll(connection, message);
    if (!await readFull(connection, answer)) throw new Error("Cannot measure: the stream ended");
    if (trip >= 0) took.push(clock.now() - startMs);
  }
  return took;
}
