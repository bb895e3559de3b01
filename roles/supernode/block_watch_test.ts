import { assertEquals } from "@std/assert";
import { createMemoryBlocks } from "../../kv/blocks.ts";
import { peerId } from "../../kv/fixtures/records.ts";
import { silentLog } from "../../protocol/log.ts";
import type { Block } from "../../protocol/stored_records.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { BlockWatch } from "./block_watch.ts";

const blockOf = (number: number): Block => ({
  kind: "peer",
  peerId: peerId(number),
  reason: "",
  by: "admin",
  sinceMs: 0,
});

Deno.test("each who is blocked is turned away once, and again when it could not be done", async () => {
  const clock = new FakeClock();
  const store = createMemoryBlocks();
  const turnedAway: string[] = [];
  let fails = 0;
  await store.block(blockOf(1));
  const watch = new BlockWatch(await store.list(), {
    store,
    clock,
    log: silentLog,
    turnAway({ peerId }) {
      turnedAway.push(peerId);
      return fails-- > 0 ? Promise.reject(new Error("no room")) : Promise.resolve();
    },
  });
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  await settle();
  await store.block(blockOf(2));
  await settle();
  assertEquals(turnedAway, [peerId(1), peerId(2)]);
  fails = 1;
  await store.block(blockOf(3));
  await settle();
  assertEquals(watch.has("peer", peerId(3)), true);
  await clock.advanceAsync(1_000);
  assertEquals(turnedAway.slice(2), [peerId(3), peerId(1), peerId(2), peerId(3)]);
  await store.unblock("peer", peerId(2));
  await settle();
  assertEquals(watch.has("peer", peerId(2)), false);
  stop.abort();
  await running;
});
