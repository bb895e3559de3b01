/**
 * Legs that are lost in the middle of a transfer, in whatever way: the programs behind the proxy notice nothing.
 */

import { assert } from "@std/assert";
import { eventually } from "../../testing/waiting.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { FragmentNetwork, type Watched } from "../fixtures/relay_network.ts";

const BYTES = 8_000_000;

interface Case {
  readonly name: string;
  lose(relay: Watched): Promise<void> | void;
  /** None where it is gone for good. */
  findAgain?(relay: Watched): void;
}

const cases: readonly Case[] = [
  {
    name: "that take nothing any more, and close nothing",
    lose: ({ meddler }) => meddler.fallSilent(),
    findAgain: ({ meddler }) => meddler.speakAgain(),
  },
  {
    name: "that swallow everything",
    lose: ({ meddler }) => void (meddler.meddle = () => []),
    findAgain: ({ meddler }) => {
      meddler.meddle = (message) => [message];
      meddler.cut();
    },
  },
  { name: "whose connections are cut", lose: ({ meddler }) => meddler.cut() },
  { name: "whose process is killed", lose: ({ role }) => role.kill() },
];

Deno.test("a transfer goes on over the others when an upstream and a downstream are lost", async (test) => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start();
  await untilReachable(network.at, target.address);
  const lost = [network.upstreams[0]!, network.downstreams[0]!];
  for (const { name, lose, findAgain } of cases) {
    for (const [direction, transfer] of [["down", download], ["up", upload]] as const) {
      await test.step(`${direction}, relays ${name}`, async () => {
        let isLost = false;
        await transfer(network.at, target.address, {
          bytes: BYTES,
          async onProgress(arrived) {
            if (isLost || arrived < BYTES / 4) return;
            isLost = true;
            for (const relay of lost) await lose(relay);
          },
        });
        assert(isLost);
        for (const relay of lost) findAgain?.(relay);
      });
    }
  }
});

Deno.test("a dead relay is replaced by one that the directory has beside", async () => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start();
  await untilReachable(network.at, target.address);
  const spare = await network.network.startWatched("upstream");
  const other = await network.network.startWatched("downstream");
  await Promise.all([network.upstreams[0]!.role.kill(), network.downstreams[0]!.role.kill()]);
  await eventually("the spare ones in use", async () => {
    await download(network.at, target.address, { bytes: 100_000 });
    return spare.meddler.seen.byteCount > 10_000 && other.meddler.seen.byteCount > 10_000;
  });
});
