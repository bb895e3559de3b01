import { portablePrimitives } from "../../protocol/primitives.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { MAX_PEERS, trackerCases, TTL_MS } from "../fixtures/tracker_contract.ts";
import { openKv } from "../open.ts";
import { KvTrackerStore } from "./kv_store.ts";
import { MemoryTrackerStore } from "./memory_store.ts";

const settings = { primitives: portablePrimitives, ttlMs: TTL_MS, maxPeers: MAX_PEERS, space: "test" };

for (const [clause, run] of Object.entries(trackerCases)) {
  Deno.test(`a tracker's store in memory: ${clause}`, async () => {
    const clock = new FakeClock();
    await using store = new MemoryTrackerStore({ ...settings, clock });
    await run({ store, clock, elsewhere: store });
  });
  Deno.test(`a tracker's store in Deno KV: ${clause}`, async () => {
    const clock = new FakeClock();
    using kv = await openKv(":memory:");
    await using store = await KvTrackerStore.open(kv, { ...settings, clock, random: new SeededRandom(1) });
    await using elsewhere = await KvTrackerStore.open(kv, { ...settings, clock, random: new SeededRandom(2) });
    await run({ store, clock, elsewhere });
  });
}
