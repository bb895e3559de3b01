import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually } from "../../testing/waiting.ts";
import { closeRedis } from "../redis/client.ts";
import { createRedisCounters } from "../redis/counters.ts";
import { redisForTests } from "../redis/fixtures/test_redis.ts";
import { createDegradingCounters } from "./degrading_counters.ts";
import { countersCases } from "./fixtures/counters_contract.ts";
import { createMemoryCounters } from "./memory_counters.ts";

const redisTests = redisForTests();
const space = "test";
const minute = { windowMs: 60_000 };
const day = { windowMs: 86_400_000 };

for (const [clause, run] of Object.entries(countersCases)) {
  Deno.test(`counters in memory: ${clause}`, async () => {
    const clock = new FakeClock();
    const store = createMemoryCounters(clock);
    await run({ store, elsewhere: store, clock });
  });
  redisTests.test(`counters in Redis: ${clause}`, async ({ redis, elsewhere }) => {
    const clock = new FakeClock();
    const make = (client: typeof redis) => createRedisCounters(client, clock, { space });
    await run({ store: make(redis), elsewhere: make(elsewhere), clock });
  });
  redisTests.test(`counters that can do without Redis: ${clause}`, async ({ redis, elsewhere }) => {
    const clock = new FakeClock();
    const make = (client: typeof redis) =>
      createDegradingCounters(createRedisCounters(client, clock, { space }), clock);
    await run({ store: make(redis), elsewhere: make(elsewhere), clock });
  });
}

redisTests.test("nothing stays in Redis for ever", async ({ redis }) => {
  const counters = createRedisCounters(redis, clockOf(globalThis), { space });
  await counters.add("a", 1, minute);
  await counters.take("a", { limit: 5, windowMs: 60_000 });
  await counters.markOnline("nodes", "a", 60_000);
  const keys = await redis.keys("*");
  assertEquals(keys.length, 3);
  for (const key of keys) {
    const lifeMs = await redis.pttl(key);
    assert(lifeMs > 0 && lifeMs <= 60_000, `${key} lives for ${lifeMs} ms`);
  }
});

redisTests.test("while Redis is away each counter says so at once", async ({ redis, server }) => {
  const counters = createRedisCounters(redis, new FakeClock(), { space });
  await server.stop();
  const error = await assertRejects(() => counters.add("a", 1, minute), CulvertError, "Cannot count: ");
  assertEquals([error.code, error.message.includes("Redis cannot be reached")], ["store_unreachable", true]);
  await server.resume();
  await eventually("Redis answers", () => counters.add("a", 1, minute).then(() => true, () => false));
});

redisTests.test("a Redis that does not answer is not waited for", async ({ redis, server }) => {
  const counters = createRedisCounters(redis, new FakeClock(), { space });
  server.freeze();
  const error = await assertRejects(() => counters.add("a", 1, minute), CulvertError, "Command timed out");
  assertEquals(error.code, "store_unreachable");
  server.thaw();
  await eventually("Redis answers", () => counters.add("a", 1, minute).then(() => true, () => false));
});

redisTests.test("counting goes on without Redis, and is told to it once it is back", async ({ redis, elsewhere, server }) => {
  const clock = new FakeClock();
  const outcomes: (string | undefined)[] = [];
  const shared = createRedisCounters(redis, clock, { space });
  const counters = createDegradingCounters(shared, clock, { onOutcome: (error) => outcomes.push(error?.code) });
  const other = createRedisCounters(elsewhere, clock, { space });
  await other.add("a", 100, day);
  assertEquals(await counters.add("a", 1, day), 101);
  assert((await counters.take("b", { limit: 1, windowMs: 60_000 })).isAllowed);
  await counters.markOnline("nodes", "mine", 60_000);
  await other.markOnline("nodes", "theirs", 60_000);

  await server.stop();
  assertEquals(await counters.add("a", 2, day), 103);
  assertEquals([await counters.add("a", 3, day), await counters.history("a", day)], [106, [106]]);
  assert((await counters.take("b", { limit: 1, windowMs: 60_000 })).isAllowed);
  assert(!(await counters.take("b", { limit: 1, windowMs: 60_000 })).isAllowed);
  assertEquals(await counters.online("nodes"), ["mine"]);
  // It was left alone after the first failure.
  assertEquals(outcomes.filter((code) => code !== undefined), ["store_unreachable"]);

  await server.resume();
  await eventually("the other process reaches Redis", () => other.add("a", 50, day).then(() => true, () => false));
  await eventually("what was counted meanwhile is in Redis", async () => {
    clock.advance(1000);
    await counters.markOnline("nodes", "mine", 60_000);
    // Redis has forgotten what it knew: 50 of the other, and the 5 that were owed.
    return (await other.history("a", day))[0] === 55;
  });
  assertEquals(await counters.add("a", 0, day), 55);
  assertEquals(await other.online("nodes"), ["mine"]);
});

redisTests.test("a client is closed without a rest, also while Redis is away", async ({ elsewhere, server }) => {
  await server.stop();
  await eventually("the client has noticed", () => elsewhere.status === "reconnecting");
  await closeRedis(elsewhere, clockOf(globalThis));
  await server.resume();
});

Deno.test("counters in memory are bounded, and forget first what was used longest ago", async () => {
  const counters = createMemoryCounters(new FakeClock(), { maxEntries: 16 });
  for (let n = 0; n < 40; n++) await counters.add(`key ${n}`, 1, minute);
  const sums = await Promise.all(Array.from({ length: 40 }, (_, n) => counters.history(`key ${n}`, minute)));
  assertEquals([sums[0], sums[23], sums[39]], [[0], [0], [1]]);
  assert(sums.filter(([sum]) => sum === 1).length <= 16);
});
