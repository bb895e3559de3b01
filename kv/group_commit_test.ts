import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { GroupCommit } from "./group_commit.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { openKv } from "./open.ts";

const clock = new FakeClock();

Deno.test("ten thousand writes at once are a few commits, each durable when its writer is told", async () => {
  using kv = await openKv(":memory:");
  const commits = new GroupCommit({ kv, clock }, "write");
  await Promise.all(Array.from({ length: 10_000 }, async (_, number) => {
    await commits.write([{ key: ["a", number], value: number }]);
    if (number % 1000 === 0) assertEquals((await kv.get(["a", number])).value, number);
  }));
  const stamps = new Set<string>();
  for await (const { versionstamp } of kv.list({ prefix: ["a"] })) stamps.add(versionstamp);
  assert(stamps.size < 30, `${stamps.size} commits`);
});

Deno.test("writes to one key stay in their order", async () => {
  using kv = await openKv(":memory:");
  const commits = new GroupCommit({ kv, clock }, "write");
  await Promise.all([1, 2, 3, undefined, 4].map((value) => commits.write([{ key: ["a"], value }])));
  assertEquals((await kv.get(["a"])).value, 4);
});

Deno.test("one write that is too large fails alone", async () => {
  using kv = await openKv(":memory:");
  const commits = new GroupCommit({ kv, clock }, "save commands");
  const first = commits.write([{ key: ["first"], value: 1 }]);
  const small = commits.write([{ key: ["small"], value: 1 }]);
  const large = commits.write([{ key: ["large"], value: new Uint8Array(70_000) }]);
  const last = commits.write([{ key: ["last"], value: 1 }]);
  const error = await assertRejects(() => large, CulvertError, "Cannot save commands");
  await Promise.all([first, small, last]);
  assertEquals(error.code, "too_large");
  assertEquals((await kv.get(["last"])).value, 1);
});

Deno.test("a store that was closed fails every writer, and none waits for ever", async () => {
  const kv = await openKv(":memory:");
  const commits = new GroupCommit({ kv, clock }, "write");
  kv.close();
  const results = await Promise.allSettled([1, 2, 3].map((value) => commits.write([{ key: ["a"], value }])));
  assertEquals(results.map((result) => result.status === "rejected" && result.reason.code), [
    "store_closed",
    "store_closed",
    "store_closed",
  ]);
});
