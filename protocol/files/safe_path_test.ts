import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  encodePath,
  folderOf,
  isHidden,
  isName,
  isPath,
  isWithin,
  joinPath,
  leadsTo,
  nameOf,
  parseUrlPath,
} from "./safe_path.ts";

/** What attackers send, and what it must lead to: nothing, or a name like any other. */
const traversals: readonly { readonly name: string; readonly url: string; readonly path?: string }[] = [
  { name: "dots", url: "/../etc/passwd" },
  { name: "dots within", url: "/a/../../etc/passwd" },
  { name: "dots at the end", url: "/a/.." },
  { name: "a dot", url: "/./a" },
  { name: "encoded dots", url: "/%2e%2e/etc/passwd" },
  { name: "half encoded dots", url: "/.%2e/etc/passwd" },
  { name: "dots encoded twice are a name", url: "/%252e%252e/a", path: "%2e%2e/a" },
  { name: "an encoded slash", url: "/..%2fetc%2fpasswd" },
  { name: "an encoded slash in large letters", url: "/a%2Fb" },
  { name: "a slash encoded twice is a name", url: "/..%252fetc", path: "..%2fetc" },
  { name: "a backslash", url: "/..\\etc\\passwd" },
  { name: "an encoded backslash", url: "/..%5cetc%5cpasswd" },
  { name: "NUL", url: "/a.txt%00.png" },
  { name: "NUL at the end", url: "/a%00" },
  { name: "an absolute path", url: "//etc/passwd" },
  { name: "an encoded absolute path", url: "/%2fetc/passwd" },
  { name: "two slashes within", url: "/a//b" },
  { name: "a drive", url: "/C:/Windows" },
  { name: "a drive and no slash", url: "/c:boot.ini" },
  { name: "an encoded drive", url: "/c%3a/Windows" },
  { name: "overlong UTF-8 dots", url: "/%c0%ae%c0%ae/etc/passwd" },
  { name: "overlong UTF-8 slash", url: "/..%c0%afetc" },
  { name: "overlong UTF-8 slash of three bytes", url: "/..%e0%80%afetc" },
  { name: "half a UTF-8 letter", url: "/%c3" },
  { name: "half of a surrogate pair", url: "/%ed%a0%80" },
  { name: "what stands where a name is not UTF-8", url: "/%ef%bf%bd" },
  { name: "half an escape", url: "/%4" },
  { name: "no escape", url: "/%zz" },
  { name: "wide dots are letters", url: "/%ef%bc%8e%ef%bc%8e/a", path: "．．/a" },
  { name: "a wide slash is a letter", url: "/..%ef%bc%8fetc", path: "..／etc" },
  { name: "a division slash is a letter", url: "/..%e2%88%95etc", path: "..∕etc" },
  { name: "three dots are a name", url: "/.../a", path: ".../a" },
  { name: "dots and a semicolon are a name", url: "/..;/a", path: "..;/a" },
  { name: "dots and a blank are a name", url: "/..%20/a", path: ".. /a" },
  { name: "a plus is a plus", url: "/a+b", path: "a+b" },
  { name: "a name that is too long", url: `/${"a".repeat(256)}` },
  { name: "a name that is too long in UTF-8", url: `/${"%c3%a4".repeat(128)}` },
  { name: "a path that is too long", url: "/a".repeat(3000) },
];

for (const { name, url, path } of traversals) {
  Deno.test(`paths: ${name}`, () => assertEquals(parseUrlPath(url)?.path, path));
}

Deno.test("paths: what is asked for every day", () => {
  assertEquals(parseUrlPath(""), { path: "", isFolder: true });
  assertEquals(parseUrlPath("/"), { path: "", isFolder: true });
  assertEquals(parseUrlPath("/a%20b/%C3%A4.txt"), { path: "a b/ä.txt", isFolder: false });
  assertEquals(parseUrlPath("/a/b/"), { path: "a/b", isFolder: true });
  assertEquals(parseUrlPath("/100%25"), { path: "100%", isFolder: false });
  assertEquals(parseUrlPath("/<script>"), { path: "<script>", isFolder: false });
  assertEquals(parseUrlPath("/ä"), { path: "ä", isFolder: false });
});

Deno.test("paths: no URL leads to a part that is empty, goes up, or has a slash, a backslash or NUL in it", () => {
  const piece = fc.constantFrom(
    "..",
    ".",
    "/",
    "\\",
    "%2e",
    "%2f",
    "%5c",
    "%00",
    "%25",
    "%c0%ae",
    "a",
    "é",
    "%c3%a9",
    ":",
    "c",
    "~",
    " ",
  );
  const url = fc.oneof(
    fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join("")),
    fc.string(),
  );
  fc.assert(
    fc.property(url, (text) => {
      const asked = parseUrlPath(text);
      if (!asked || asked.path === "") return;
      for (const part of asked.path.split("/")) {
        assert(part !== "" && part !== "." && part !== ".." && !/[\0\\/]/.test(part), JSON.stringify(asked.path));
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("paths: what is encoded is read back", () => {
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter(isName);
  fc.assert(fc.property(fc.array(name, { minLength: 1, maxLength: 5 }), (names) => {
    const path = names.join("/");
    if (isPath(path)) assertEquals(parseUrlPath(`/${encodePath(path)}`), { path, isFolder: false });
  }));
});

Deno.test("paths: the length of a name counts as UTF-8", () => {
  for (const letter of ["a", "é", "€", "😀"]) {
    const bytes = new TextEncoder().encode(letter).length;
    const longest = letter.repeat(Math.floor(255 / bytes));
    assert(isName(longest));
    assert(!isName(longest + letter));
  }
});

Deno.test("paths: names with a dot are hidden unless they are shown, ours always", () => {
  for (const path of [".env", "a/.git/config", ".culvert-uploads/x"]) assert(isHidden(path, false), path);
  for (const path of ["", "a.b", "a/b.c", "..."].filter((path) => !path.startsWith("."))) {
    assert(!isHidden(path, false), path);
  }
  assert(!isHidden(".env", true));
  assert(isHidden("a/.culvert-uploads/x", true));
});

Deno.test("paths: what lies within what", () => {
  for (const [scope, path] of [["", "a"], ["", ""], ["a", "a"], ["a", "a/b"], ["a/b", "a/b/c"]] as const) {
    assert(isWithin(scope, path));
  }
  for (const [scope, path] of [["a", ""], ["a", "ab"], ["a/b", "a"], ["a/b", "a/bc"]] as const) {
    assert(!isWithin(scope, path));
  }
  assert(
    leadsTo("a/b", "a") && leadsTo("a/b", "") && !leadsTo("a/b", "a/b") && !leadsTo("a/b", "a/b/c") && !leadsTo("", ""),
  );
});

Deno.test("paths: taken apart and put together", () => {
  for (const path of ["a", "a/b", "a/b/c.d"]) assertEquals(joinPath(folderOf(path), nameOf(path)), path);
  assertEquals([folderOf("a"), nameOf("a")], ["", "a"]);
});
