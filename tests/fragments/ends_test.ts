/**
 * Either end of a session is gone from one moment to the next: what the other one hears of it, and what is left behind.
 */

import { assert, assertRejects } from "@std/assert";
import { eventually, within } from "../../testing/waiting.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download } from "../fixtures/checked_target.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";

const BYTES = 100_000_000;
/** Within so long each end must hear of the other's death. */
const NEWS_MS = 15_000;

Deno.test("a central that vanishes in the middle of an answer is an error, and the next request goes to another", async () => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start({ upstreams: 2, downstreams: 2, query: "sessions=1" });
  await untilReachable(network.at, target.address);
  const other = await network.network.startCentral();
  const broken = download(network.at, target.address, {
    bytes: BYTES,
    onProgress: async (arrived) => {
      if (arrived > 1_000_000 && arrived < 1_200_000) await network.central.kill();
    },
  });
  await within("the error", assertRejects(() => broken, Error, "The stream ended after"), { limitMs: NEWS_MS });
  await untilReachable(network.at, target.address);
  await download(network.at, target.address, { bytes: 100_000 });
  assert(/central_openings_total{outcome="ok"} [1-9]/.test(await other.metrics()));
});

Deno.test("a client that vanishes leaves nothing at central or at its relays", async () => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start({ upstreams: 2, downstreams: 2 });
  await untilReachable(network.at, target.address);
  const broken = download(network.at, target.address, {
    bytes: BYTES,
    onProgress: async (arrived) => {
      if (arrived > 1_000_000 && arrived < 1_200_000) await network.proxy.kill();
    },
  });
  await assertRejects(() => broken);
  await eventually("the end of the stream at its target", () => target.open === 0, 60_000);
});
