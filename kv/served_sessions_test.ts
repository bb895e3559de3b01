import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { createKvServedSessions, createMemoryServedSessions, type ServedSessionStore } from "./served_sessions.ts";

const clientKey = "A".repeat(43) + "=";
const idOf = (number: number) => `${number}`.padEnd(21, "x") + "A";

Deno.test("an exit's sessions are there again until they are removed or expire", async (t) => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  await t.step("in KV", () => check(createKvServedSessions(kv, clock, { space: "exit" }), clock));
  await t.step("in memory", () => check(createMemoryServedSessions(clock), clock));
  await t.step("each space for itself", async () => {
    assertEquals(await createKvServedSessions(kv, clock, { space: "other" }).load(), []);
  });
});

async function check(store: ServedSessionStore, clock: FakeClock): Promise<void> {
  const expiresAtMs = clock.wallNow() + 60_000;
  const [brief, removed, kept] = [1, 2, 3].map(idOf);
  await store.save({ sessionId: brief!, clientKey, expiresAtMs });
  await store.save({ sessionId: removed!, clientKey, expiresAtMs: expiresAtMs + 1 });
  await store.save({ sessionId: kept!, clientKey, expiresAtMs: expiresAtMs + 1 });
  await store.remove(removed!);
  assertEquals((await store.load()).map(({ sessionId }) => sessionId), [brief, kept]);
  clock.advance(60_000);
  assertEquals(await store.load(), [{ sessionId: kept!, clientKey, expiresAtMs: expiresAtMs + 1 }]);
}
