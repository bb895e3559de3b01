import { assert, assertEquals, assertLess } from "@std/assert";
import { type Entry, type FolderPage, folderPageSchema } from "../../protocol/files/listing.ts";
import type { PeerGuest } from "../peers/peer_connection.ts";
import { GUEST, SharedFolder } from "./fixtures/shared_folder.ts";
import { noIndex } from "./no_index.ts";

async function page(shared: SharedFolder, query: string, guest?: PeerGuest): Promise<FolderPage> {
  const response = await shared.ask(`/api/files${query}`, {}, guest);
  assertEquals(response.status, 200, query);
  return folderPageSchema.parse(await response.json());
}

/** All of a folder, page by page. */
async function pages(shared: SharedFolder, query: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let after = "";;) {
    const { entries: some, next } = await page(shared, `${query}${after}`);
    entries.push(...some);
    if (next === undefined) return entries;
    after = `&after=${next}`;
  }
}

function names(entries: readonly Entry[]): string[] {
  return entries.map(({ name }) => name);
}

const FILES = {
  "b.txt": "four",
  "A.md": "a",
  "a.png": "seven..",
  "zoo/x": "",
  "Den/y": "",
  "é.txt": "12",
  "10": "",
  "9": "",
};

Deno.test("folders: their entries in order, folders first, small and large letters alike", async () => {
  await using shared = new SharedFolder(FILES);
  const all = await page(shared, "");
  assertEquals(names(all.entries), ["Den", "zoo", "10", "9", "A.md", "a.png", "b.txt", "é.txt"]);
  assertEquals([all.path, all.total, all.next], ["", 8, undefined]);
  const { modifiedMs, ...file } = all.entries.find(({ name }) => name === "a.png")!;
  assertEquals(file, { name: "a.png", kind: "file", size: 7, type: "image/png" });
  assertLess(Math.abs(modifiedMs - Date.now()), 60_000);
  assertEquals(names((await page(shared, "?order=down")).entries), [
    "zoo",
    "Den",
    "é.txt",
    "b.txt",
    "a.png",
    "A.md",
    "9",
    "10",
  ]);
  assertEquals(names((await page(shared, "?sort=size")).entries), [
    "Den",
    "zoo",
    "10",
    "9",
    "A.md",
    "é.txt",
    "b.txt",
    "a.png",
  ]);
  assertEquals(names((await page(shared, "?sort=size&order=down")).entries).slice(0, 4), [
    "zoo",
    "Den",
    "a.png",
    "b.txt",
  ]);
});

Deno.test("folders: by time, the newest first", async () => {
  await using shared = new SharedFolder({ a: "", b: "", c: "" });
  for (const [name, ms] of [["a", 2000], ["b", 3000], ["c", 1000]] as const) {
    Deno.utimeSync(shared.path(name), ms / 1000, ms / 1000);
  }
  assertEquals(names((await page(shared, "?sort=modified&order=down")).entries), ["b", "a", "c"]);
});

Deno.test("folders: pages of any length put together are the folder, in every order", async () => {
  const files = Object.fromEntries(Array.from({ length: 47 }, (_, at) => [`f${at % 7}-${at}`, "x".repeat(at % 5)]));
  await using shared = new SharedFolder({ ...files, "d1/x": "", "d2/x": "" });
  for (const sort of ["name", "size", "modified"]) {
    for (const order of ["up", "down"]) {
      const whole = names((await page(shared, `?sort=${sort}&order=${order}`)).entries);
      assertEquals(whole.length, 49);
      for (const limit of [1, 7, 48, 49]) {
        assertEquals(
          names(await pages(shared, `?sort=${sort}&order=${order}&limit=${limit}`)),
          whole,
          `${sort} ${order} ${limit}`,
        );
      }
    }
  }
});

Deno.test("folders: what comes and goes between two pages neither repeats nor hides anything else", async () => {
  // Not settled: two changes of a folder within a tick of the kernel's clock leave the same time.
  await using shared = new SharedFolder({ a: "", c: "", e: "", g: "" }, { settledMs: 0 });
  const first = await page(shared, "?limit=2");
  assertEquals(names(first.entries), ["a", "c"]);
  Deno.removeSync(shared.path("c"));
  shared.write("b", "");
  shared.write("f", "");
  assertEquals(names((await page(shared, `?limit=9&after=${first.next}`)).entries), ["e", "f", "g"]);
});

Deno.test("folders: a change shows at once", async () => {
  await using shared = new SharedFolder({ a: "" }, { settledMs: 0 });
  assertEquals((await page(shared, "")).total, 1);
  for (let count = 2; count < 20; count++) {
    shared.write(`f${count}`, "");
    assertEquals((await page(shared, "")).total, count);
  }
});

Deno.test("folders: hidden files, links that leave and what is no file are not there", async () => {
  await using shared = new SharedFolder({ "a.txt": "a", ".env": "x", "d/b": "" });
  shared.link("up", "..");
  shared.link("etc", "/etc");
  shared.link("nowhere", "none");
  shared.link("to-file", "a.txt");
  shared.link("to-folder", "d");
  shared.link("to-hidden", ".env");
  shared.write("back\\slash", "");
  assertEquals(names((await page(shared, "")).entries), ["d", "to-folder", "a.txt", "to-file"]);
});

Deno.test("folders: a guest sees its own, and the way there", async () => {
  await using shared = new SharedFolder({ "a/ours/x": "", "a/theirs/y": "", "b": "" });
  const guest = { ...GUEST, scope: "a/ours" };
  assertEquals(names((await page(shared, "", guest)).entries), ["a"]);
  assertEquals(names((await page(shared, "/a", guest)).entries), ["ours"]);
  assertEquals(names((await page(shared, "/a/ours", guest)).entries), ["x"]);
  for (const path of ["/a/theirs", "/b", "/none"]) {
    const response = await shared.ask(`/api/files${path}`, {}, guest);
    assertEquals(response.status, 404);
    await response.body?.cancel();
  }
  const file = { ...GUEST, scope: "a/ours/x" };
  assertEquals((await page(shared, "/a/ours", file)).entries[0]?.kind, "file");
});

Deno.test("folders: a guest's folder that is a link, and one that leads out of it", async () => {
  await using shared = new SharedFolder({ "real/x": "", "other/y": "" });
  shared.link("ours", "real");
  shared.link("real/out", "../other");
  const guest = { ...GUEST, scope: "ours" };
  assertEquals(names((await page(shared, "/ours", guest)).entries), ["x"]);
  assertEquals(names((await page(shared, "/ours")).entries), ["out", "x"]);
});

Deno.test("folders: one that is being looked at is so for all who ask, and only so many wait for others", async () => {
  await using settled = new SharedFolder({ a: "", b: "1" });
  // Read again for each.
  await using changing = new SharedFolder({ a: "", b: "1" }, { settledMs: 0 });
  await page(settled, "");
  const shared = await Promise.all(Array.from({ length: 40 }, () => settled.ask("/api/files?sort=size")));
  const alone = await Promise.all(Array.from({ length: 40 }, () => changing.ask("/api/files?sort=size")));
  assertEquals(shared.map(({ status }) => status), Array(40).fill(200));
  assertEquals(alone.map(({ status }) => status), [...Array(32).fill(200), ...Array(8).fill(503)]);
  assertEquals(alone.at(-1)!.headers.get("retry-after"), "1");
  await Promise.all([...shared, ...alone].map((response) => response.body?.cancel()));
  assertEquals(names((await page(changing, "?sort=size")).entries), ["a", "b"]);
});

Deno.test("folders: an entry has the root of its content where that is known", async () => {
  const root = "ab".repeat(32);
  await using shared = new SharedFolder({ "d/known": "x", "d/other": "x" }, {
    index: { ...noIndex, rootOf: (path, { size }) => path === "d/known" && size === 1 ? root : undefined },
  });
  assertEquals((await page(shared, "/d")).entries.map((entry) => entry.root), [root, undefined]);
});

Deno.test("folders: a query that does not fit, or a cursor of somebody else's, is refused", async () => {
  await using shared = new SharedFolder({ a: "" });
  for (
    const query of [
      "?limit=0",
      "?limit=1001",
      "?limit=x",
      "?sort=colour",
      "?order=sideways",
      "?after=!",
      "?after=aGVsbG8",
      "?after=ZjA",
    ]
  ) {
    const response = await shared.ask(`/api/files${query}`);
    assertEquals([response.status, (await response.json()).code], [400, "bad_request"], query);
  }
});

Deno.test("folders: names that would be markup are names", async () => {
  const name = `<img src=x onerror=alert(1)>'"&.md`;
  await using shared = new SharedFolder({ [name]: "x" });
  assertEquals(names((await page(shared, "")).entries), [name]);
  assertEquals(await (await shared.ask(`/content/${encodeURIComponent(name)}`)).text(), "x");
});

Deno.test("folders: a hundred thousand entries, page by page, in bounded memory and without stopping everything else", async () => {
  await using shared = new SharedFolder({ "many/keep": "" });
  const folder = shared.path("many");
  const count = 100_000;
  // Empty files, and not links to one: file systems let a file have only so many names.
  const link = (at: number) => Deno.openSync(`${folder}/${at}`, { write: true, create: true }).close();
  for (let at = 1; at < count; at++) link(at);
  // Once, so that what is made for good is made.
  const first = await page(shared, "/many?limit=200");
  assertEquals([first.total, first.entries.length], [count, 200]);
  const before = Deno.memoryUsage().heapUsed;
  let seen = first.entries.length;
  let last = first.entries.at(-1)!.name;
  for (let next = first.next; next !== undefined;) {
    const { entries, next: later } = await page(shared, `/many?limit=1000&after=${next}`);
    assert(entries[0]!.name > last);
    last = entries.at(-1)!.name;
    seen += entries.length;
    next = later;
  }
  assertEquals(seen, count);
  assertLess(Deno.memoryUsage().heapUsed - before, 64 * 1024 * 1024);
  const bySize = await page(shared, "/many?sort=size&order=down&limit=10");
  assertEquals([bySize.total, bySize.entries.length], [count, 10]);
});
