/** Fills a store with peers as a tracker keeps them, each alive: what a hundred thousand leave behind in a few seconds. */

import { openKv } from "../../kv/open.ts";
import { KvTrackerStore } from "../../kv/tracker/kv_store.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Random } from "../../protocol/random.ts";
import { entryOf } from "../../protocol/tracker/fixtures/entries.ts";

const TOGETHER = 5000;
const REGIONS = ["eu", "us", "ap"];
/** One of so many is a relay. */
const PEERS_PER_RELAY = 500;

export async function fillTrackerStore(
  path: string,
  peers: number,
  { clock, random, ttlMs }: { readonly clock: Clock; readonly random: Random; readonly ttlMs: number },
): Promise<void> {
  using kv = await openKv(path);
  const settings = { clock, random, primitives: hostPrimitives(), ttlMs, maxPeers: peers, space: "tracker" };
  await using store = await KvTrackerStore.open(kv, settings);
  for (let from = 0; from < peers; from += TOGETHER) {
    await Promise.all(Array.from({ length: Math.min(TOGETHER, peers - from) }, (_, at) => {
      const number = from + at;
      const capabilities = number % PEERS_PER_RELAY === 0 ? ["files", "relay"] : ["files"];
      return store.register(entryOf(number, { region: REGIONS[number % REGIONS.length], capabilities }), {});
    }));
  }
}
