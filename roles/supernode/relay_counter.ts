/**
 * What the relay has carried, for the metrics: it counts by session, and of those only what has been added since the last
 * look. What a session carries between the last look and its end is not counted.
 */

import type { Metrics } from "../../protocol/metrics.ts";
import type { PacketRelay, RelayCounts } from "./packet_relay.ts";

export class RelayCounter {
  readonly #relay: Pick<PacketRelay, "counts">;
  readonly #bytes;
  readonly #dropped;
  #last = new Map<string, RelayCounts>();

  constructor(relay: Pick<PacketRelay, "counts">, metrics: Metrics) {
    this.#relay = relay;
    this.#bytes = metrics.counter("relay_bytes_total", "Bytes relayed, by direction", ["direction"]);
    this.#dropped = metrics.counter("relay_datagrams_dropped_total", "Datagrams that the relay has not passed on");
  }

  async look(): Promise<void> {
    const now = new Map<string, RelayCounts>();
    for (const counts of await this.#relay.counts()) {
      const { sessionId, port, toExitBytes, toClientBytes, droppedDatagrams } = counts;
      const known = this.#last.get(sessionId);
      // Another port is another life of the session, which counts anew.
      const last = known?.port === port && known.toExitBytes <= toExitBytes ? known : undefined;
      this.#bytes.add(toExitBytes - (last?.toExitBytes ?? 0), { direction: "to_exit" });
      this.#bytes.add(Math.max(0, toClientBytes - (last?.toClientBytes ?? 0)), { direction: "from_exit" });
      this.#dropped.add(Math.max(0, droppedDatagrams - (last?.droppedDatagrams ?? 0)));
      now.set(sessionId, counts);
    }
    this.#last = now;
  }
}
