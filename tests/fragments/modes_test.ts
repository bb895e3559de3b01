/**
 * Both deployments of the seed, with relays as processes: central leaves by itself, or by relays and a gateway that only
 * the last of them knows.
 */

import { assert } from "@std/assert";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { FragmentNetwork, untilReachable } from "../fixtures/relay_network.ts";

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
    for (const { meddler } of network.relays) {
      assert(meddler.seen.byteCount > BYTES / 10, "every leg carried its share");
    }
  });
}
