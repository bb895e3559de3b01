import { assertEquals, assertRejects } from "@std/assert";
import type { SupernodeHeartbeat } from "../../protocol/directory.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { HeartbeatWriter } from "./heartbeats.ts";

function beat(supernodeId: string, load = 0): SupernodeHeartbeat {
  return { supernodeId, load, streams: 0, exits: 0, draining: false };
}

/** A store whose writes end when told. */
class SlowStore {
  readonly writes: { readonly beats: readonly SupernodeHeartbeat[]; readonly end: PromiseWithResolvers<string[]> }[] =
    [];

  heartbeat(beats: readonly SupernodeHeartbeat[]): Promise<string[]> {
    const end = Promise.withResolvers<string[]>();
    this.writes.push({ beats, end });
    return end.promise;
  }
}

Deno.test("a lone heartbeat is written at once; those that come meanwhile go together", async () => {
  const store = new SlowStore();
  const writer = new HeartbeatWriter(store);
  const first = writer.note([beat("a")]);
  assertEquals(store.writes.length, 1);
  const rest = [writer.note([beat("b")]), writer.note([beat("c", 0.1)]), writer.note([beat("c", 0.2), beat("d")])];
  assertEquals(store.writes.length, 1);
  store.writes[0]!.end.resolve(["a"]);
  assertEquals(await first, ["a"]);
  assertEquals(store.writes[1]!.beats, [beat("b"), beat("c", 0.2), beat("d")]);
  store.writes[1]!.end.resolve(["d", "b"]);
  assertEquals(await Promise.all(rest), [["b"], [], ["d"]]);
  assertEquals(store.writes.length, 2);
});

Deno.test("one that is named twice is told once", async () => {
  const writer = new HeartbeatWriter({ heartbeat: (beats) => Promise.resolve(beats.map((one) => one.supernodeId)) });
  assertEquals(await writer.note([beat("a"), beat("b"), beat("a")]), ["a", "b"]);
});

Deno.test("a write that fails fails those in it, and the next one is tried", async () => {
  const store = new SlowStore();
  const writer = new HeartbeatWriter(store);
  const first = writer.note([beat("a")]);
  const second = writer.note([beat("b")]);
  store.writes[0]!.end.reject(new CulvertError("store_locked", "locked"));
  await assertRejects(() => first, CulvertError, "locked");
  store.writes[1]!.end.resolve([]);
  assertEquals(await second, []);
});

Deno.test("no more wait than may", async () => {
  const store = new SlowStore();
  const writer = new HeartbeatWriter(store, { maxWaiting: 1 });
  const first = writer.note([beat("a")]);
  const second = writer.note([beat("b")]);
  const error = await assertRejects(() => writer.note([beat("c")]), CulvertError);
  assertEquals(error.code, "store_busy");
  store.writes[0]!.end.resolve([]);
  await first;
  store.writes[1]!.end.resolve([]);
  await second;
});
