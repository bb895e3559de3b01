/**
 * Both deployments of the seed, with relays as processes: central leaves by itself, or by relays and a gateway that only
 * the last of them knows.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { type CircuitRelays, FragmentNetwork, startCircuitRelays } from "../fixtures/relay_network.ts";

const BYTES = 20_000_000;

for (const { name, query } of [{ name: "by WebSocket", query: "" }, { name: "by POST and poll", query: "post=1" }]) {
  Deno.test(`central leaves directly: bytes each way arrive as they were sent, ${name}`, async () => {
    await using target = new CheckedTarget();
    await using network = await FragmentNetwork.start({ query });
    await untilReachable(network.at, target.address);
    await Promise.all([
      download(network.at, target.address, { bytes: BYTES }),
      upload(network.at, target.address, { bytes: BYTES }),
    ]);
    const carried = network.relays.map(({ meddler }) => meddler.seen.byteCount);
    // Legs that are slower, as any may be where processors are few, are given less, and never nothing.
    assert(carried.every((bytes) => bytes > BYTES / 50), `every leg carried its share: ${carried}`);
  });
}

Deno.test("central leaves by relays and a gateway: bytes each way arrive, and only the gateway dials the target", async () => {
  await using target = new CheckedTarget();
  let circuits: CircuitRelays | undefined;
  await using network = await FragmentNetwork.start({
    upstreams: 2,
    downstreams: 2,
    async centralFlags(network) {
      circuits = await startCircuitRelays(network, 3);
      return ["--path", circuits.url];
    },
  });
  const { gateway, relays } = circuits!;
  await untilReachable(network.at, target.address);
  await download(network.at, target.address, { bytes: BYTES });
  await upload(network.at, target.address, { bytes: BYTES });
  assertEquals(relays.filter(({ meddler }) => meddler.seen.has(`${target.address.port}`)).length, 0);
  await gateway.program.stop();
  await assertRejects(() => download(network.at, target.address, { bytes: 1000 }));
});
