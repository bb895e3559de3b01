import { assertEquals } from "@std/assert";
import { createMetrics } from "../../edge/metrics.ts";
import type { RelayCounts } from "./packet_relay.ts";
import { RelayCounter } from "./relay_counter.ts";

function countsOf(sessionId: string, port: number, bytes: number): RelayCounts {
  return { sessionId, port, toExitBytes: bytes, toClientBytes: 10 * bytes, droppedDatagrams: 1 };
}

Deno.test("bytes are counted once, over sessions that come, go and have another port", async () => {
  const metrics = createMetrics();
  let now: RelayCounts[] = [];
  const counter = new RelayCounter({ counts: () => Promise.resolve(now) }, metrics);
  for (
    now of [
      [countsOf("a", 1, 100)],
      [countsOf("a", 1, 150), countsOf("b", 2, 7)],
      [countsOf("b", 2, 7)],
      [countsOf("b", 3, 5)],
      [countsOf("b", 3, 5), countsOf("a", 1, 20)],
    ]
  ) await counter.look();
  const text = await metrics.text();
  const lines = text.split("\n").filter((line) => /^relay_(bytes|datagrams)/.test(line));
  assertEquals(lines.sort(), [
    'relay_bytes_total{direction="from_exit"} 1820',
    'relay_bytes_total{direction="to_exit"} 182',
    "relay_datagrams_dropped_total 4",
  ]);
});
