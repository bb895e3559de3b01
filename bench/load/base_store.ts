/** Fills a store with relays as base keeps them, which stay however long a measurement takes. */

import { Asker } from "../../edge/fixtures/directory.ts";
import { commitAll } from "../../kv/commit.ts";
import { openKv } from "../../kv/open.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { encodeBase32 } from "../../protocol/encoding.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";

const PEER_ID_BYTES = 16;
const REGIONS = ["eu", "us", "ap"];
const STAYS_MS = 24 * 3_600_000;

export async function fillBaseStore(path: string, relays: number, clock: Clock): Promise<void> {
  using kv = await openKv(path);
  const registeredAtMs = clock.wallNow();
  const random = new SeededRandom(1);
  // Keys of one for all: nobody looks whether they fit.
  const registration = new Asker(1).relay();
  const mutations = Array.from({ length: relays }, (_, number) => {
    const value: RelayRecord = {
      ...registration,
      relayId: encodeBase32(random.fill(new Uint8Array(PEER_ID_BYTES))),
      region: REGIONS[number % REGIONS.length]!,
      load: number / relays,
      registeredAtMs,
      expiresAtMs: registeredAtMs + STAYS_MS,
    };
    return { key: ["base", "relay", value.kind, value.relayId], value };
  });
  await commitAll({ kv, clock }, "fill base's store", mutations);
}
