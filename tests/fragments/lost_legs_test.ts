/**
 * Legs that are lost in the middle of a transfer, in whatever way: the programs behind the proxy notice nothing.
 */

import { eventually, within } from "../../testing/waiting.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";
import { FragmentNetwork, type Watched } from "../fixtures/relay_network.ts";

const BYTES = 8_000_000;
/** Transfers that took twenty times as long as others would not be ones that go on. */
const REPAIRED_MS = 20_000;

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

Deno.test("transfers go on over the others when an upstream and a downstream are lost", async (test) => {
  await using target = new CheckedTarget();
  await using network = await FragmentNetwork.start();
  await untilReachable(network.at, target.address);
  const lost = [network.upstreams[0]!, network.downstreams[0]!];
  for (const { name, lose, findAgain } of cases) {
    await test.step(name, async () => {
      await untilInUse(lost, network, target);
      const isLost = Promise.withResolvers<void>();
      let arrived = 0;
      const onProgress = async (count: number) => {
        if (count < BYTES / 4) return;
        // Both are in their middle when it happens, and neither is done before.
        if (++arrived === 1) eventually("both on their way", () => arrived > 1).then(isLost.resolve, isLost.reject);
        await isLost.promise;
      };
      const losing = isLost.promise.then(async () => {
        for (const relay of lost) await lose(relay);
      });
      await within(
        "the transfers",
        Promise.all([
          download(network.at, target.address, { bytes: BYTES, onProgress }),
          upload(network.at, target.address, { bytes: BYTES, onProgress }),
          losing,
        ]),
        { limitMs: REPAIRED_MS },
      );
      for (const relay of lost) findAgain?.(relay);
    });
  }
});

/** Until what goes through the network goes by each of these relays: a leg that was lost is left alone for a while. */
async function untilInUse(relays: readonly Watched[], network: FragmentNetwork, target: CheckedTarget): Promise<void> {
  const before = relays.map(({ meddler }) => meddler.seen.byteCount);
  await eventually("every relay in use", async () => {
    await download(network.at, target.address, { bytes: 300_000 });
    await upload(network.at, target.address, { bytes: 300_000 });
    return relays.every(({ meddler }, at) => meddler.seen.byteCount > before[at]! + 50_000);
  });
}

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
