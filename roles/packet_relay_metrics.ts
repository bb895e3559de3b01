/** What a packet relay has done, as metrics: asked of its engine once a second. */

import {
  DROP_REASONS,
  type PacketRelay,
  type PacketRelayCounts,
  QUESTION_OUTCOMES,
} from "../native/relay_packets/relay_packets.ts";
import { type Clock, delay } from "../protocol/clock.ts";
import type { Metrics } from "../protocol/metrics.ts";

const LOOK_MS = 1000;

/** Counts until disposed. */
export function countPacketRelay(
  relay: Pick<PacketRelay, "counts">,
  { clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics },
): AsyncDisposable {
  const packets = metrics.counter("packet_relay_packets_total", "Packets passed on or answered.");
  const bytes = metrics.counter("packet_relay_bytes_total", "Bytes passed on or answered.");
  const dropped = metrics.counter("packet_relay_dropped_total", "Packets that went nowhere, by why.", ["reason"]);
  const questions = metrics.counter(
    "packet_relay_questions_total",
    "Questions for tickets, by what they were answered with.",
    ["outcome"],
  );
  let last: PacketRelayCounts | undefined;
  const count = (now: PacketRelayCounts) => {
    packets.add(now.forwardedPackets - (last?.forwardedPackets ?? 0));
    bytes.add(now.forwardedBytes - (last?.forwardedBytes ?? 0));
    for (const reason of DROP_REASONS) dropped.add(now.dropped[reason] - (last?.dropped[reason] ?? 0), { reason });
    for (const outcome of QUESTION_OUTCOMES) {
      questions.add(now.questions[outcome] - (last?.questions[outcome] ?? 0), { outcome });
    }
    last = now;
  };
  const stopping = new AbortController();
  const run = async () => {
    while (!stopping.signal.aborted) {
      count(await relay.counts());
      await delay(clock, LOOK_MS, stopping.signal);
    }
  };
  // Its end is told by the relay itself.
  const running = run().catch(() => {});
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}
