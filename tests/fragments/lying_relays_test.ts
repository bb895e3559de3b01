/**
 * Relays that lie about their load, so that clients come to them, and do nothing for them.
 */

import { assert } from "@std/assert";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { startLyingRelay } from "../fixtures/lying_relay.ts";
import { FragmentNetwork } from "../fixtures/relay_network.ts";

const BYTES = 3_000_000;

Deno.test("as many liars as honest relays, who pretend to be idle and swallow everything, hold nobody up for long", async () => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start();
  const base = `http://${network.network.baseHost}/`;
  await using liars = new AsyncDisposableStack();
  const kinds = ["upstream", "downstream"] as const;
  const started = kinds.flatMap((kind) => Array.from({ length: 3 }, () => startLyingRelay(base, kind)));
  const lying = (await Promise.all(started)).map((relay) => liars.use(relay));
  // Its client learns of them from the start: the one before them may have chosen.
  const { role, at } = await network.network.startProxy(network.url);
  await untilReachable(at, target.address);
  for (let turn = 0; turn < 3; turn++) {
    await download(at, target.address, { bytes: BYTES });
    await upload(at, target.address, { bytes: BYTES });
  }
  assert(lying.some(({ visits }) => visits > 0), "the lie was believed, or this shows nothing");
  await role.program.stop();
});
