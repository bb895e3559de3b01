import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { createKvRelayAddresses, createMemoryRelayAddresses, type RelayAddressStore } from "./relay_addresses.ts";

const idOf = (number: number) => `${number}`.padEnd(21, "x") + "A";

Deno.test("where sessions are is known until they are forgotten or their time has passed", async (t) => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  await t.step("in KV", () => check(createKvRelayAddresses(kv, clock, { space: "sn" }), clock));
  await t.step("in memory", () => check(createMemoryRelayAddresses(clock), clock));
  await t.step("each space for itself", async () => {
    assertEquals(await createKvRelayAddresses(kv, clock, { space: "other" }).list(), []);
  });
});

async function check(store: RelayAddressStore, clock: FakeClock): Promise<void> {
  const expiresAtMs = clock.wallNow() + 60_000;
  const [brief, forgotten, moved] = [1, 2, 3].map((number) => ({ sessionId: idOf(number), expiresAtMs }));
  const longer = { ...moved!, expiresAtMs: expiresAtMs + 1 };
  await store.save([{ ...brief!, clientAt: "192.0.2.1:5000" }, forgotten!, longer]);
  await store.save([{ ...longer, exitAt: "[fe80::1%2]:6000" }]);
  await store.remove(forgotten!.sessionId);
  assertEquals((await store.list()).map(({ sessionId }) => sessionId), [brief!.sessionId, longer.sessionId]);
  clock.advance(60_000);
  assertEquals(await store.list(), [{ ...longer, exitAt: "[fe80::1%2]:6000" }]);
}
