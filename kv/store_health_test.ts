import { assertEquals, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { createMetrics } from "../edge/metrics.ts";
import { clockOf } from "../protocol/clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { createKvNonces } from "./nonces.ts";
import { openKv } from "./open.ts";
import { StoreHealth } from "./store_health.ts";

// Takes some seconds: so long is waited for the lock.
Deno.test("a store that is locked is known to be, by check, metric and log, until it is let go", async () => {
  using temp = new TempDirectory();
  using kv = await openKv(temp.path("store.db"));
  const clock = clockOf(globalThis);
  const [log, metrics] = [new LogCollector(), createMetrics()];
  const health = new StoreHealth(kv, { space: "test", clock, log, metrics });
  const stop = new AbortController();
  const running = health.run(stop.signal);
  const nonces = createKvNonces(kv, clock, { space: "test", guard: health.guard });
  await nonces.remember("a", clock.wallNow() + 60_000);
  assertEquals(health.problem, undefined);
  assertStringIncludes(await metrics.text(), "store_up 1");

  using holder = new DatabaseSync(temp.path("store.db"));
  holder.exec("BEGIN IMMEDIATE");
  await nonces.remember("b", clock.wallNow() + 60_000).catch(() => {});
  assertStringIncludes(health.problem!, "is locked");
  const said = await log.waitFor("The store cannot be written to");
  assertEquals([said.level, said.fields["code"]], ["error", "store_locked"]);
  assertStringIncludes(await metrics.text(), 'store_failures_total{code="store_locked"} 1\n');
  assertStringIncludes(await metrics.text(), "store_up 0");

  holder.exec("COMMIT");
  await log.waitFor("The store can be written to again");
  assertEquals(health.problem, undefined);
  assertStringIncludes(await metrics.text(), "store_up 1");
  stop.abort();
  await running;
});

Deno.test("a quiet store is tried now and then, and a write that is at fault itself says nothing about the store", async () => {
  using temp = new TempDirectory();
  const kv = await openKv(temp.path("store.db"));
  const real = clockOf(globalThis);
  // Ten seconds are as one millisecond.
  const clock = {
    ...real,
    now: () => real.now() * 10_000,
    after: (_: number, then: () => void) => real.after(1, then),
  };
  const [log, metrics] = [new LogCollector(), createMetrics()];
  const health = new StoreHealth(kv, { space: "test", clock, log, metrics });
  const nonces = createKvNonces(kv, clock, { space: "test", guard: health.guard });
  await nonces.remember("n".repeat(5000), clock.wallNow() + 60_000).catch(() => {});
  assertEquals(health.problem, undefined);
  const stop = new AbortController();
  const running = health.run(stop.signal);
  kv.close();
  const said = await log.waitFor("The store cannot be written to");
  assertEquals(said.fields["code"], "store_closed");
  stop.abort();
  await running;
});
