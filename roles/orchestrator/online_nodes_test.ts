import { assertEquals } from "@std/assert";
import { ONLINE_NODES } from "../../edge/orchestrator/deps.ts";
import { createMemoryCounters } from "../../kv/sharing/memory_counters.ts";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { OnlineNodes } from "./online_nodes.ts";

Deno.test("nodes are online while they are connected, at whatever process, and for a minute after that was killed", async () => {
  const clock = new FakeClock();
  const counters = createMemoryCounters(clock);
  const open = (...nodeIds: string[]) =>
    new OnlineNodes({ counters, clock, log: silentLog, nodes: () => nodeIds.map((nodeId) => ({ nodeId })) });
  const online = () => counters.online(ONLINE_NODES);
  const killed = open("a");
  using _other = open("b", "c");
  await killed.up("a");
  assertEquals(await online(), ["a"]);
  await clock.advanceAsync(20_000);
  assertEquals(await online(), ["a", "b", "c"]);
  killed[Symbol.dispose]();
  await clock.advanceAsync(40_000);
  assertEquals(await online(), ["a", "b", "c"]);
  await clock.advanceAsync(20_000);
  assertEquals(await online(), ["b", "c"]);
});

Deno.test("a node that has gone is online no more", async () => {
  const clock = new FakeClock();
  const counters = createMemoryCounters(clock);
  using nodes = new OnlineNodes({ counters, clock, log: silentLog, nodes: () => [] });
  await nodes.up("a");
  await nodes.gone("a");
  assertEquals(await counters.online(ONLINE_NODES), []);
});
