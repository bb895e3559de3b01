import { assertEquals } from "@std/assert";
import type { PeerStatus } from "../../../protocol/wireguard/settings.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { TunnelStats } from "./stats.ts";

Deno.test("what has gone through is counted once, whoever shares a tunnel and whenever it begins anew", async () => {
  const way = (tunnel: object, receivedBytes: number, sentBytes: number) => ({
    tunnel,
    status: () => Promise.resolve({ receivedBytes, sentBytes, lastHandshakeMs: 1 } as PeerStatus),
  });
  const [one, other] = [{}, {}];
  let present = way(one, 100, 10);
  const stats = new TunnelStats(() => present, new FakeClock());
  for (const next of [present, way(one, 150, 10), way(other, 7, 7), way(other, 3, 9)]) {
    present = next;
    await stats.refresh();
  }
  assertEquals(stats.traffic, { rxBytes: 150 + 7 + 3, txBytes: 10 + 7 + 2 });
});
