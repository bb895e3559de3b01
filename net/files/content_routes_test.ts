import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { formatHttpDate } from "../../protocol/files/http_date.ts";
import { noIndex } from "./no_index.ts";
import { GUEST, numbered, SharedFolder } from "./fixtures/shared_folder.ts";

const SIZE = 300_000;
const ROOT = "0123456789abcdef".repeat(4);
const index = { ...noIndex, rootOf: (path: string) => path === "known.bin" ? ROOT : undefined };

function folder(): SharedFolder {
  return new SharedFolder({
    "known.bin": numbered(SIZE),
    "small.txt": "0123456789",
    "empty.txt": "",
    "page.md": "# Hello\n",
  }, { index });
}

interface Row {
  readonly name: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly range?: string | null;
  readonly body?: string;
}

const TAG = `"${ROOT}"`;
const LATER = formatHttpDate(Date.now() + 3_600_000);
const EARLIER = formatHttpDate(Date.now() - 3_600_000);

/** RFC 9110 §13.2.2, §14.2, §15.3.7 and §15.5.17, asked of the server as a whole. */
const table: readonly Row[] = [
  { name: "all of it", path: "small.txt", status: 200, range: null, body: "0123456789" },
  {
    name: "a range",
    path: "small.txt",
    headers: { range: "bytes=2-4" },
    status: 206,
    range: "bytes 2-4/10",
    body: "234",
  },
  {
    name: "an end beyond",
    path: "small.txt",
    headers: { range: "bytes=8-99" },
    status: 206,
    range: "bytes 8-9/10",
    body: "89",
  },
  {
    name: "a suffix",
    path: "small.txt",
    headers: { range: "bytes=-3" },
    status: 206,
    range: "bytes 7-9/10",
    body: "789",
  },
  {
    name: "a suffix beyond",
    path: "small.txt",
    headers: { range: "bytes=-99" },
    status: 206,
    range: "bytes 0-9/10",
    body: "0123456789",
  },
  { name: "a start beyond", path: "small.txt", headers: { range: "bytes=10-" }, status: 416, range: "bytes */10" },
  { name: "a suffix of nothing", path: "small.txt", headers: { range: "bytes=-0" }, status: 416, range: "bytes */10" },
  {
    name: "another unit",
    path: "small.txt",
    headers: { range: "lines=1-2" },
    status: 200,
    range: null,
    body: "0123456789",
  },
  {
    name: "a reversed range",
    path: "small.txt",
    headers: { range: "bytes=4-2" },
    status: 200,
    range: null,
    body: "0123456789",
  },
  { name: "a range of nothing", path: "empty.txt", headers: { range: "bytes=0-" }, status: 200, range: null, body: "" },
  { name: "HEAD", path: "small.txt", method: "HEAD", status: 200, range: null, body: "" },
  {
    name: "HEAD takes no range",
    path: "small.txt",
    method: "HEAD",
    headers: { range: "bytes=2-4" },
    status: 200,
    range: null,
    body: "",
  },
  { name: "If-Match fits", headers: { "if-match": TAG }, status: 200 },
  { name: "If-Match does not fit", headers: { "if-match": '"other"' }, status: 412 },
  {
    name: "If-Match before a range that cannot be had",
    headers: { "if-match": '"other"', range: "bytes=999999-" },
    status: 412,
  },
  { name: "If-None-Match fits", headers: { "if-none-match": TAG }, status: 304, body: "" },
  { name: "If-None-Match fits weakly", headers: { "if-none-match": `W/${TAG}` }, status: 304, body: "" },
  {
    name: "If-None-Match before a range",
    headers: { "if-none-match": TAG, range: "bytes=0-1" },
    status: 304,
    body: "",
  },
  { name: "If-None-Match does not fit", headers: { "if-none-match": '"other"' }, status: 200 },
  { name: "If-Modified-Since", headers: { "if-modified-since": LATER }, status: 304, body: "" },
  { name: "If-Modified-Since, modified", headers: { "if-modified-since": EARLIER }, status: 200 },
  { name: "If-Unmodified-Since", headers: { "if-unmodified-since": EARLIER }, status: 412 },
  { name: "If-Range fits", headers: { "if-range": TAG, range: "bytes=0-1" }, status: 206, range: `bytes 0-1/${SIZE}` },
  { name: "If-Range does not fit", headers: { "if-range": '"other"', range: "bytes=0-1" }, status: 200, range: null },
  { name: "If-Range is weak", headers: { "if-range": `W/${TAG}`, range: "bytes=0-1" }, status: 200, range: null },
  {
    name: "If-Range does not fit, and the range could not be had",
    headers: { "if-range": '"other"', range: "bytes=999999-" },
    status: 200,
    range: null,
  },
  { name: "If-Range is another date", headers: { "if-range": EARLIER, range: "bytes=0-1" }, status: 200, range: null },
  { name: "too many ranges", headers: { range: `bytes=${Array(20).fill("0-0").join()}` }, status: 200, range: null },
  { name: "nothing there", path: "none.txt", status: 404 },
  { name: "a file with a slash after it", path: "small.txt/", status: 404 },
  { name: "another method", path: "small.txt", method: "POST", status: 405 },
];

for (const route of ["content", "download"]) {
  Deno.test(`${route}: ranges and conditions`, async (test) => {
    await using shared = folder();
    for (const { name, path = "known.bin", method = "GET", headers = {}, status, range, body } of table) {
      await test.step(name, async () => {
        const response = await shared.ask(`/${route}/${path}`, { method, headers });
        const text = await response.text();
        assertEquals(response.status, status);
        if (range !== undefined) assertEquals(response.headers.get("content-range"), range);
        if (body !== undefined) assertEquals(text, body);
        assertEquals(response.headers.get("x-content-type-options"), "nosniff");
        if (status < 400) assertMatch(response.headers.get("accept-ranges")!, /^bytes$/);
      });
    }
  });
}

Deno.test("content: the same headers for HEAD as for GET", async () => {
  await using shared = folder();
  const [get, head] = [
    await shared.ask("/content/known.bin"),
    await shared.ask("/content/known.bin", { method: "HEAD" }),
  ];
  await get.body?.cancel();
  assertEquals([...head.headers], [...get.headers]);
  assertEquals(head.headers.get("content-length"), String(SIZE));
  assertEquals(head.body, null);
});

Deno.test("content: several ranges are one body of several parts", async () => {
  await using shared = folder();
  const headers = { range: "bytes=0-1,100000-200000,-3" };
  const response = await shared.ask("/content/known.bin", { headers });
  const bytes = await response.bytes();
  assertEquals(response.status, 206);
  assertEquals(Number(response.headers.get("content-length")), bytes.length);
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(response.headers.get("content-type")!)![1]!;
  const text = new TextDecoder("latin1").decode(bytes);
  const parts = text.split(`--${boundary}`);
  assertEquals([parts[0], parts.at(-1)], ["", "--\r\n"]);
  const content = numbered(SIZE);
  const wanted = [[0, 2], [100_000, 200_001], [SIZE - 3, SIZE]] as const;
  const latin1 = new TextDecoder("latin1");
  assertEquals(
    parts.slice(1, -1),
    wanted.map(([start, end]) =>
      `\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${start}-${end - 1}/${SIZE}\r\n\r\n` +
      `${latin1.decode(content.subarray(start, end))}\r\n`
    ),
  );
});

Deno.test("content: any range of a large file is that range", async () => {
  await using shared = folder();
  const content = numbered(SIZE);
  for (const [start, last] of [[0, 0], [0, SIZE - 1], [262_143, 262_144], [262_144, 299_999], [1, 262_145]] as const) {
    const response = await shared.ask("/content/known.bin", { headers: { range: `bytes=${start}-${last}` } });
    assertEquals(await response.bytes(), content.slice(start, last + 1));
  }
});

Deno.test("content: the tag is the content's root, or made of what the system says; its date can be used for a range", async () => {
  await using shared = folder();
  assertEquals((await shared.ask("/content/known.bin", { method: "HEAD" })).headers.get("etag"), TAG);
  const { headers } = await shared.ask("/content/small.txt", { method: "HEAD" });
  assertMatch(headers.get("etag")!, /^"[0-9a-f-]+"$/);
  const date = headers.get("last-modified")!;
  const part = await shared.ask("/content/small.txt", { headers: { "if-range": date, range: "bytes=0-0" } });
  assertEquals([part.status, await part.text()], [206, "0"]);
});

Deno.test("content: what has just changed has a weak tag, never the same one, and no date", async () => {
  await using shared = folder();
  const soon = Date.now() + 120_000;
  Deno.utimeSync(shared.path("small.txt"), new Date(soon), new Date(soon));
  const [first, second] = [await shared.ask("/content/small.txt"), await shared.ask("/content/small.txt")];
  const [tag, other] = [first.headers.get("etag")!, second.headers.get("etag")!];
  assert(tag.startsWith("W/") && other.startsWith("W/"));
  assertNotEquals(tag, other);
  assertEquals(first.headers.get("last-modified"), null);
  const again = await shared.ask("/content/small.txt", { headers: { "if-none-match": tag } });
  assertEquals(again.status, 200);
  await Promise.all([first, second, again].map((response) => response.text()));
});

Deno.test("content: who puts a file's time back after writing to it does not get the old tag", async () => {
  await using shared = new SharedFolder({ "a.txt": "old" }, { settledMs: 0 });
  const longAgo = new Date(Date.now() - 86_400_000);
  shared.write("a.txt", "new");
  Deno.utimeSync(shared.path("a.txt"), longAgo, longAgo);
  const { headers } = await shared.ask("/content/a.txt", { method: "HEAD" });
  assert(headers.get("etag")!.startsWith("W/"));
  assertEquals(headers.get("last-modified"), null);
});

Deno.test("download: is to be kept under its name, unless it is to be shown", async () => {
  await using shared = new SharedFolder({ 'a "b" é.txt': "x" });
  const path = `/download/${encodeURIComponent('a "b" é.txt')}`;
  const kept = await shared.ask(path);
  assertEquals(await kept.text(), "x");
  assertEquals(
    kept.headers.get("content-disposition"),
    "attachment; filename=\"a _b_ _.txt\"; filename*=UTF-8''a%20%22b%22%20%C3%A9.txt",
  );
  const shown = await shared.ask(`${path}?inline`);
  assertEquals([await shown.text(), shown.headers.get("content-disposition")], ["x", null]);
});

Deno.test("content: markdown is a page to browsers, itself to programs, and each has a tag of its own", async () => {
  await using shared = folder();
  const page = await shared.ask("/content/page.md", { headers: { accept: "text/html,*/*;q=0.8" } });
  assertStringIncludes(await page.text(), '<h1 id="hello">Hello</h1>');
  assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
  const text = await shared.ask("/content/page.md");
  assertEquals([await text.text(), text.headers.get("content-type")], ["# Hello\n", "text/markdown; charset=utf-8"]);
  const raw = await shared.ask("/content/page.md?raw", { headers: { accept: "text/html" } });
  assertEquals(await raw.text(), "# Hello\n");
  assertNotEquals(page.headers.get("etag"), text.headers.get("etag"));
  assertEquals([page.headers.get("vary"), text.headers.get("vary")], ["accept", "accept"]);
  const download = await shared.ask("/download/page.md", { headers: { accept: "text/html" } });
  assertEquals(await download.text(), "# Hello\n");
  const headers = { accept: "text/html", "if-none-match": page.headers.get("etag")! };
  assertEquals((await shared.ask("/content/page.md", { headers })).status, 304);
});

Deno.test("content: a folder shows its page, after a slash", async () => {
  await using shared = new SharedFolder({ "a b/index.md": "hi", "bare/x": "" });
  const bare = await shared.ask("/content/a%20b?x=1");
  assertEquals([bare.status, bare.headers.get("location")], [308, "./a%20b/?x=1"]);
  assertEquals(await (await shared.ask("/content/a%20b/")).text(), "hi");
  for (const path of ["/content/bare/", "/content/"]) assertEquals((await shared.ask(path)).status, 404);
  assertEquals((await shared.ask("/content")).headers.get("location"), "./content/");
});

Deno.test("content: nothing that is shown may run, or be loaded by other sites", async () => {
  await using shared = new SharedFolder({ "a.html": "<script>1</script>", "a.svg": "<svg/>" });
  for (const name of ["a.html", "a.svg"]) {
    const response = await shared.ask(`/content/${name}`);
    const policy = response.headers.get("content-security-policy")!;
    assert(policy.includes("default-src 'none'") && policy.endsWith("; sandbox"));
    assertEquals(response.headers.get("cross-origin-resource-policy"), "same-origin");
    await response.body?.cancel();
  }
});

Deno.test("content: a guest gets what lies in its folder, and hears of nothing else", async () => {
  await using shared = new SharedFolder({ "ours/a.txt": "a", "ours-too/b.txt": "b", "c.txt": "c" });
  const guest = { ...GUEST, scope: "ours" };
  assertEquals(await (await shared.ask("/content/ours/a.txt", {}, guest)).text(), "a");
  for (const path of ["c.txt", "ours-too/b.txt", "none"]) {
    const response = await shared.ask(`/content/${path}`, {}, guest);
    assertEquals([response.status, (await response.json()).code], [404, "not_found"]);
  }
});
