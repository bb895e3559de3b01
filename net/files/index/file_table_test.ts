import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { FileTable } from "./file_table.ts";
import type { SeenFile } from "./folder_reader.ts";

const names = fc.constantFrom("a", "b", "a/a", "a/b", "a-b", "a/b/c", "b/x", "é/ü", "ab");
const files: fc.Arbitrary<SeenFile> = fc.record({
  path: names,
  size: fc.integer({ min: 0, max: 3 }),
  modifiedMs: fc.constant(5),
  inode: fc.integer({ min: 1, max: 2 }),
});
const looks = fc.array(fc.record({ path: fc.oneof(fc.constant(""), names), seen: fc.array(files, { maxLength: 8 }) }));

function isUnder(path: string, scope: string): boolean {
  return scope === "" || path === scope || path.startsWith(`${scope}/`);
}

/** The same with a Map and no order. */
function slowLook(known: Map<string, SeenFile>, scope: string, seen: readonly SeenFile[]): void {
  for (const path of [...known.keys()]) if (isUnder(path, scope)) known.delete(path);
  for (const file of seen) known.set(file.path, file);
}

Deno.test("after any looks the table has what was found last, in order", () => {
  fc.assert(fc.property(looks, (all) => {
    const table = new FileTable();
    const slow = new Map<string, SeenFile>();
    all.forEach(({ path, seen }, at) => {
      const found = seen.filter((file) => isUnder(file.path, path));
      const half = Math.floor(found.length / 2);
      table.put(found.slice(0, half), at + 1);
      table.put(found.slice(half), at + 1);
      table.dropUnseen([path], at + 1);
      slowLook(slow, path, found);
    });
    const ordered = [...slow.values()].sort((one, other) => one.path < other.path ? -1 : 1);
    const plain = (each: SeenFile) => [each.path, each.size, each.inode];
    assertEquals(table.all.map(plain), ordered.map(plain));
    assertEquals(table.size, ordered.length);
    assertEquals(table.bytes, ordered.reduce((sum, { size }) => sum + size, 0));
    for (const scope of ["a", "a/b", "b", "none"]) {
      const isFile = slow.has(scope);
      const inScope = ordered.filter(({ path }) => isFile ? path === scope : isUnder(path, scope));
      assertEquals(table.all.slice(...table.spanOf(scope)).map(plain), inScope.map(plain));
    }
  }));
});

Deno.test("a root leads to the files that have it for as long as they do", () => {
  const table = new FileTable();
  const seen = { size: 1, modifiedMs: 5, inode: 1 };
  const [a] = table.put([{ ...seen, path: "a" }, { ...seen, path: "b" }], 1);
  const [root, other] = ["1".repeat(64), "2".repeat(64)];
  table.setRoot(a!, root);
  table.setRoot(table.get("b")!, root);
  assertEquals([...table.withRoot(root)].length, 2);
  table.setRoot(a!, other);
  assertEquals([...table.withRoot(root)].map(({ path }) => path), ["b"]);
  table.put([{ ...seen, path: "b", size: 2 }], 2);
  assertEquals(table.hasRoot(root), false);
  assertEquals(table.setRoot({ ...a! }, root), false, "it is not that file any more");
  table.dropUnseen([""], 2);
  assertEquals(table.hasRoot(other), false);
});
