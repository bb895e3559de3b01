import { assertEquals } from "@std/assert";
import type { KnownContent } from "../../protocol/files/known_content.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { testStore } from "../fixtures/contract.ts";
import { createKvKnownContents, createMemoryKnownContents } from "./known_contents.ts";

const SPACE = "peer";

function content(inode: number, digit = "a"): KnownContent {
  return { inode, size: 5_000_000_000, modifiedMs: 1_700_000_000_123, root: digit.repeat(64) };
}

/** As many hashes as four gibibytes have: several parts. */
const manyPieces = Uint8Array.from({ length: 4096 * 32 }, (_, at) => at % 251);

testStore("What is known of contents", {
  memory: () => createMemoryKnownContents(),
  kv: (kv, clock) => createKvKnownContents(kv, clock, { space: SPACE }),
}, {
  "what was saved is there again, with the hashes of its pieces": async ({ store, elsewhere }) => {
    await store.save(content(1));
    await store.save(content(2, "b"), manyPieces);
    await store.save({ ...content(2, "c"), modifiedMs: -5 });
    const { contents, pieces } = await elsewhere.load();
    const roots = contents.map(({ inode, root }) => `${inode} ${root[0]}`).sort();
    assertEquals(roots, ["1 a", "2 b", "2 c"]);
    assertEquals([...pieces.keys()], ["b".repeat(64)]);
    assertEquals(pieces.get("b".repeat(64)), manyPieces);
  },
  "of a file that is saved again the last counts": async ({ store, elsewhere }) => {
    await store.save(content(1));
    await store.save(content(1, "d"));
    assertEquals((await elsewhere.load()).contents, [content(1, "d")]);
  },
  "what is forgotten is gone, and nothing else": async ({ store, elsewhere }) => {
    await store.save(content(1));
    await store.save(content(2, "b"), manyPieces);
    await store.save(content(3, "e"), manyPieces.slice(0, 64));
    await store.forget([content(1), content(2, "b")], ["b".repeat(64)]);
    const { contents, pieces } = await elsewhere.load();
    assertEquals(contents, [content(3, "e")]);
    assertEquals([...pieces], [["e".repeat(64), manyPieces.slice(0, 64)]]);
  },
});

Deno.test("hashes of which a part is missing, and what does not fit, count as unknown", async () => {
  using kv = await Deno.openKv(":memory:");
  const store = createKvKnownContents(kv, new FakeClock(), { space: SPACE });
  await store.save(content(2, "b"), manyPieces);
  await kv.delete([SPACE, "pieces", "b".repeat(64), 1]);
  await kv.set([SPACE, "content", 7, 8, 9], "not a root");
  await kv.set([SPACE, "content", "seven"], "a".repeat(64));
  await kv.set([SPACE, "pieces", "c".repeat(64)], "long");
  const { contents, pieces } = await store.load();
  assertEquals(contents, [content(2, "b")]);
  assertEquals(pieces.size, 0);
});
