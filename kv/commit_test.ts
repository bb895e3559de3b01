import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../protocol/errors.ts";
import { commitAll, commitIf, MAX_MUTATIONS, type Mutation, partsOf, untilCommitted } from "./commit.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { openKv } from "./open.ts";

const clock = new FakeClock();

function mutations(count: number, value: unknown, keyLength = 1): Mutation[] {
  return Array.from({ length: count }, (_, number) => ({ key: ["k".repeat(keyLength), number], value }));
}

const rows: { name: string; writes: Mutation[]; parts: number }[] = [
  { name: "nothing", writes: [], parts: 0 },
  { name: "as many as fit", writes: mutations(MAX_MUTATIONS, true), parts: 1 },
  { name: "one more", writes: mutations(MAX_MUTATIONS + 1, true), parts: 2 },
  { name: "large values", writes: mutations(30, new Uint8Array(60_000)), parts: 3 },
  { name: "text that takes two bytes a character", writes: mutations(30, "ж".repeat(30_000)), parts: 3 },
  { name: "long keys", writes: mutations(200, true, 1000), parts: 3 },
  { name: "keys beside values that nearly fill a commit", writes: mutations(1000, new Uint8Array(790), 20), parts: 2 },
  { name: "deletions", writes: mutations(2500, undefined), parts: 3 },
];
for (const { name, writes, parts } of rows) {
  Deno.test(`what is too much for one commit is split, and Deno KV takes the parts: ${name}`, async () => {
    assertEquals([...partsOf(writes)].length, parts);
    assertEquals([...partsOf(writes)].flat(), writes);
    using kv = await openKv(":memory:");
    await commitAll({ kv, clock }, "write", writes);
    const entries = await Array.fromAsync(kv.list({ prefix: [] }));
    assertEquals(entries.length, writes.filter(({ value }) => value !== undefined).length);
  });
}

Deno.test("whatever the records are, Deno KV takes every part", async () => {
  using kv = await openKv(":memory:");
  const value = fc.oneof(
    fc.string({ unit: "binary", maxLength: 8000, size: "max" }),
    fc.array(fc.double(), { maxLength: 1000, size: "max" }),
    fc.dictionary(fc.string({ unit: "binary" }), fc.double()),
    fc.uint8Array({ maxLength: 20_000, size: "max" }),
  );
  const records = fc.array(fc.tuple(fc.string({ unit: "binary", maxLength: 200 }), value), {
    minLength: 1,
    maxLength: 10,
  });
  await fc.assert(
    // Each record several times over, so that there are parts.
    fc.asyncProperty(records, (all) => {
      const writes = Array.from({ length: 300 }, (_, number) => {
        const [key, value] = all[number % all.length]!;
        return { key: [number, key], value };
      });
      return commitAll({ kv, clock }, "write", writes);
    }),
    { numRuns: 15, endOnFailure: true },
  );
});

Deno.test("a commit with a check that fails writes nothing", async () => {
  using kv = await openKv(":memory:");
  await kv.set(["a"], 1);
  const write = { checks: [{ key: ["a"], versionstamp: null }], mutations: [{ key: ["b"], value: 2 }] };
  assertEquals(await commitIf({ kv, clock }, "write", write), false);
  assertEquals((await kv.get(["b"])).value, null);
});

Deno.test("what has expired on its way is written all the same", async () => {
  using kv = await openKv(":memory:");
  await commitAll({ kv, clock }, "write", [{ key: ["a"], value: 1, expireInMs: -5 }]);
  assert((await kv.get(["a"])).versionstamp);
});

Deno.test("who never gets through gives up and says so", async () => {
  let attempts = 0;
  const attempt = () => Promise.resolve(++attempts < 0);
  const error = await assertRejects(() => untilCommitted("move a peer", attempt), CulvertError, "Cannot move a peer");
  assertEquals([error.code, attempts], ["store_contended", 20]);
});
