import { assertEquals } from "@std/assert";
import { createMemoryCounters } from "../../kv/sharing/memory_counters.ts";
import type { ClientSession } from "../../net/sharing/client_sessions.ts";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { DAYS, TrafficCounts } from "./traffic_counts.ts";

function openCounts() {
  const clock = new FakeClock();
  const counters = createMemoryCounters(clock);
  const sessions: ClientSession[] = [];
  const counts = new TrafficCounts({ counters, sessions: () => sessions, clock, log: silentLog });
  return { counters, sessions, counts };
}

function use(userId: string, nodeId: string, downBytes: number): ClientSession {
  const counted = { upBytes: 0, downBytes, streams: 1, openStreams: 1 };
  return { sessionId: `${userId} ${nodeId}`, userId, nodeId, virtualAddress: "::1", startedAtMs: 0, ...counted };
}

Deno.test("bytes are counted once, by account, by node and in all", async () => {
  const { counters, sessions, counts } = openCounts();
  using _counts = counts;
  const one = use("u", "a", 100);
  sessions.push(one, use("u", "b", 5), use("v", "a", 7));
  await counts.look();
  await counts.look();
  one.upBytes = 50;
  await counts.look();
  const today = async (key: string) => (await counters.history(`bytes/day/${key}`, DAYS)).at(-1);
  assertEquals([await today("user:u"), await today("user:v"), await today("node:a"), await today("all")], [
    155,
    7,
    157,
    162,
  ]);
  assertEquals((await counts.bytesByMinute()).at(-1), 162);
});
