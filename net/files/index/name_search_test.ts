import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { cursorSchema } from "../../../protocol/files/listing.ts";
import { foldText, type Named, type NamePage, type NameQuery, NameSearch } from "./name_search.ts";

function filesOf(...paths: readonly string[]) {
  return paths.toSorted().map((path) => ({ path, folded: foldText(path) }));
}

function searchNames<F extends Named>(files: readonly F[], query: NameQuery): NamePage<F> {
  return new NameSearch(files).search(query, [0, files.length]);
}

function pathsOf(files: ReturnType<typeof filesOf>, query: Partial<NameQuery> & { readonly q: string }): string[] {
  return searchNames(files, { limit: 100, ...query }).found.map(({ path }) => path);
}

Deno.test("the best matches come first", () => {
  const files = filesOf(
    "a/unreported.txt",
    "report/summer.txt",
    "b/the report.md",
    "b/reports 2026.ods",
    "c/report.pdf",
    "c/other.pdf",
  );
  assertEquals(pathsOf(files, { q: "report" }), [
    "c/report.pdf",
    "b/reports 2026.ods",
    "b/the report.md",
    "a/unreported.txt",
    "report/summer.txt",
  ]);
});

const foldings: readonly { readonly name: string; readonly path: string; readonly q: string }[] = [
  { name: "case", path: "Holiday/IMG_0042.JPG", q: "img_0042 holiday" },
  { name: "accents in the name", path: "Café/Crème brûlée.md", q: "creme BRULEE" },
  { name: "accents in the query", path: "Cafe/menu.txt", q: "café" },
  { name: "composed and decomposed letters", path: "Zu\u0308rich.txt", q: "z\u00fcrich" },
  { name: "wide letters", path: "ＡＢＣ.txt", q: "abc" },
  { name: "another script", path: "Музыка/песня.mp3", q: "ПЕСНЯ" },
  { name: "Hangul", path: "사진/여름.png", q: "여름" },
  { name: "a part of a word", path: "backup-archive.tar", q: "chiv" },
  { name: "spaces around", path: "notes.md", q: "  notes " },
];
for (const { name, path, q } of foldings) {
  Deno.test(`a file is found whatever its ${name}`, () => {
    assertEquals(pathsOf(filesOf(path, "other/thing.bin"), { q }), [path]);
  });
}

Deno.test("every word has to be there, and no word at all finds nothing", () => {
  const files = filesOf("a/summer rain.txt", "a/summer sun.txt");
  assertEquals(pathsOf(files, { q: "summer rain" }), ["a/summer rain.txt"]);
  assertEquals(pathsOf(files, { q: "rain summer" }), ["a/summer rain.txt"]);
  assertEquals(pathsOf(files, { q: "   " }), []);
});

Deno.test("what is found is what has every word, as by looking into each path", () => {
  const paths = fc.uniqueArray(fc.stringMatching(/^[ab/ \n]{1,8}$/), { maxLength: 30 });
  const words = fc.array(fc.stringMatching(/^[ab/]{1,3}$/), { minLength: 1, maxLength: 3 });
  const part = fc.tuple(fc.nat(30), fc.nat(30));
  fc.assert(fc.property(paths, words, part, (all, wanted, [from, length]) => {
    const files = filesOf(...all);
    const span = [Math.min(from, files.length), Math.min(from + length, files.length)] as const;
    const { found } = new NameSearch(files).search({ q: wanted.join(" "), limit: 100 }, span);
    const slow = files.slice(...span).filter(({ folded }) => wanted.every((word) => folded.includes(word)));
    assertEquals(found.map(({ path }) => path).sort(), slow.map(({ path }) => path).sort());
  }));
});

Deno.test("page after page has everything once, also when files come and go between them", () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[ab/é .]{1,8}$/), { maxLength: 40 });
  fc.assert(fc.property(names, fc.integer({ min: 1, max: 7 }), (paths, limit) => {
    const files = filesOf(...paths);
    const all = pathsOf(files, { q: "a" });
    const paged: string[] = [];
    let after: string | undefined;
    do {
      const page = searchNames(files, { q: "a", limit, after });
      paged.push(...page.found.map(({ path }) => path));
      after = page.next;
      if (after !== undefined) assert(cursorSchema.safeParse(after).success);
    } while (after !== undefined);
    assertEquals(paged, all);
  }));
  const first = searchNames(filesOf("a1", "a3", "a5"), { q: "a", limit: 2 });
  assertEquals(pathsOf(filesOf("a0", "a1", "a4", "a5"), { q: "a", after: first.next }), ["a4", "a5"]);
});

Deno.test("a cursor after the longest path is one, and goes on", () => {
  const long = "ü/".repeat(2000);
  const files = filesOf(`${long}1`, `${long}2`, "z/ü");
  const { next } = searchNames(files, { q: "ü", limit: 1 });
  const second = searchNames(files, { q: "ü", limit: 1, after: next });
  for (const cursor of [next, second.next]) assert(cursor === undefined || cursorSchema.safeParse(cursor).success);
  assert(second.found[0]?.path !== searchNames(files, { q: "ü", limit: 1 }).found[0]?.path);
});

Deno.test("a cursor of somebody else's making does no harm", () => {
  const files = filesOf("a1", "a2");
  fc.assert(fc.property(fc.string(), (after) => {
    assert(searchNames(files, { q: "a", limit: 1, after }).found.length <= 1);
  }));
});
