/**
 * The far side of a stream of datagrams: each frame goes to the one place that the stream is for, and what comes from there
 * goes back as a frame. It ends with either, and when nothing has moved for a while. Never rejects.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { DialError } from "../../protocol/errors.ts";
import type { Datagrams, Target } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import type { MuxStream } from "../mux.ts";
import { MAX_PAQET_DATAGRAM_BYTES } from "./paqet_datagrams.ts";

export interface PaqetRelayOptions {
  readonly target: Target;
  readonly clock: Clock;
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

export async function relayPaqetDatagrams(
  stream: MuxStream,
  far: Datagrams,
  options: PaqetRelayOptions,
): Promise<void> {
  const { clock, idleMs, signal, target } = options;
  let movedMs = clock.now();
  let timer: Timer;
  const end = () => {
    closeQuietly(stream);
    closeQuietly(far);
  };
  const look = (): void => {
    const leftMs = movedMs + idleMs - clock.now();
    if (leftMs <= 0) end();
    else timer = clock.after(leftMs, look);
  };
  timer = clock.after(idleMs, look);
  signal.addEventListener("abort", end, { once: true });
  const moved = () => movedMs = clock.now();
  await Promise.all([there(stream, far, target, moved), back(stream, far, moved)].map((way) => way.finally(end)));
  signal.removeEventListener("abort", end);
  timer.cancel();
}

async function there(stream: MuxStream, far: Datagrams, target: Target, moved: () => void): Promise<void> {
  // One byte more, to tell the longest from those beyond.
  const frame = new Uint8Array(MAX_PAQET_DATAGRAM_BYTES + 1);
  try {
    for (let length; (length = await stream.readFrame(frame)) !== null;) {
      moved();
      if (length > MAX_PAQET_DATAGRAM_BYTES) continue;
      try {
        await far.send(frame.subarray(0, length), target);
      } catch (error) {
        if (!(error instanceof DialError)) throw error;
        // Refused by a policy, or unreachable: to a datagram that is loss.
      }
    }
  } catch {
    // Either side has ended, and the other is closed for it.
  }
}

async function back(stream: MuxStream, far: Datagrams, moved: () => void): Promise<void> {
  const datagram = new Uint8Array(65_535);
  try {
    for (let got; (got = await far.receive(datagram));) {
      moved();
      if (got.length === 0 || got.length > MAX_PAQET_DATAGRAM_BYTES) continue;
      await stream.writeFrame(datagram.subarray(0, got.length));
    }
  } catch {
    // As above.
  }
}
