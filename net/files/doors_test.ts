import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { readFull, writeAll } from "../../protocol/stream.ts";
import { type Door, openDoor } from "./doors.ts";
import { GUEST, numbered, SharedFolder } from "./fixtures/shared_folder.ts";

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** As it stands, without a client that would tidy it. */
async function send(door: Door, text: string): Promise<Answer> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: door.port });
  await writeAll(conn, new TextEncoder().encode(text));
  const answer = new TextDecoder("latin1").decode(
    await new Response(conn.readable).bytes().catch(() => new Uint8Array()),
  );
  const end = answer.indexOf("\r\n\r\n");
  return { status: Number(answer.slice(9, 12)), head: answer.slice(0, end), body: answer.slice(end + 4) };
}

function get(door: Door, target: string, host = "127.0.0.1"): Promise<Answer> {
  return send(door, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
}

const ROUTES = [
  "/content",
  "/download",
  "/api/files",
  "/api/markdown",
  "/upload",
  "/api/by-root",
  "/api/pieces",
  "/web",
];
const SECRET = "the secret beside the shared folder";

const traversals = [
  "/../secret.txt",
  "/a/../../secret.txt",
  "/%2e%2e/secret.txt",
  "/%2e%2e%2fsecret.txt",
  "/..%2fsecret.txt",
  "/..%5csecret.txt",
  "/..\\secret.txt",
  "/%252e%252e/secret.txt",
  "/..%252fsecret.txt",
  "/%c0%ae%c0%ae/secret.txt",
  "/..%c0%afsecret.txt",
  "/%e0%80%ae%e0%80%ae/secret.txt",
  "/.%00./secret.txt",
  "/../secret.txt%00.md",
  "//secret.txt",
  "/%2fetc/passwd",
  "//etc/passwd",
  "/C:/secret.txt",
  "/file:///etc/passwd",
  "/out/secret.txt",
  "/out",
  "/secret-link",
  "/%ef%bc%8e%ef%bc%8e/secret.txt",
  "/..;/secret.txt",
  "/....//secret.txt",
  "/a/b/../../../secret.txt",
];

Deno.test("doors: no way out of the shared folder, by any route", async () => {
  await using shared = new SharedFolder({ "a/b/c.txt": "c" }, { upload: { maxBytes: 1000 } });
  Deno.writeTextFileSync(shared.outside("secret.txt"), SECRET);
  shared.link("out", "..");
  shared.link("secret-link", "../secret.txt");
  await using door = openDoor(shared.server);
  for (const route of ROUTES) {
    for (const path of traversals) {
      const { status, body } = await get(door, route + path);
      assert(status >= 400 && status < 500, `${route}${path}: ${status}`);
      assert(!body.includes(SECRET) && !body.includes("root:"), `${route}${path}`);
    }
  }
});

Deno.test("doors: whatever the path is made of, nothing outside is told", async () => {
  await using shared = new SharedFolder({ "a/b.txt": "inside" });
  Deno.writeTextFileSync(shared.outside("secret.txt"), SECRET);
  shared.link("out", "..");
  const piece = fc.constantFrom(
    "..",
    ".",
    "/",
    "%2e",
    "%2f",
    "%5c",
    "%25",
    "%00",
    "out",
    "secret.txt",
    "a",
    "b.txt",
    "?",
    "%c0%ae",
  );
  const path = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ROUTES), path, async (route, rest) => {
      const url = `http://127.0.0.1:1${route}/${rest}`;
      // A Request would resolve the dots: what the server reads of it is all there.
      const request = { method: "GET", url, headers: new Headers({ host: "localhost" }), body: null } as Request;
      const response = await shared.server.handle(request);
      assert(response.status !== 500, url);
      assert(!(await response.text()).includes(SECRET), url);
    }),
    { numRuns: 500 },
  );
});

const hosts: readonly { readonly host: string; readonly status: number }[] = [
  { host: "127.0.0.1", status: 200 },
  { host: "127.0.0.1:4321", status: 200 },
  { host: "127.0.0.2:4321", status: 200 },
  { host: "localhost:1", status: 200 },
  { host: "LOCALHOST", status: 200 },
  { host: "[::1]:1", status: 200 },
  { host: "evil.example", status: 421 },
  { host: "localhost.evil.example", status: 421 },
  { host: "127.0.0.1.evil.example", status: 421 },
  { host: "127.0.0.1evil", status: 421 },
  { host: "192.168.0.1", status: 421 },
  { host: "127.0.0.999", status: 421 },
  { host: "0.0.0.0", status: 421 },
  { host: "", status: 421 },
];

Deno.test("doors: only by names of this machine", async () => {
  await using shared = new SharedFolder({ "a.txt": "a" });
  await using door = openDoor(shared.server, { guest: GUEST });
  for (const { host, status } of hosts) assertEquals((await get(door, "/content/a.txt", host)).status, status, host);
});

const senders: readonly {
  readonly name: string;
  readonly method?: string;
  readonly headers: Record<string, string>;
  readonly isIn: boolean;
}[] = [
  { name: "a program", headers: {}, isIn: true },
  { name: "our page", headers: { "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" }, isIn: true },
  {
    name: "the address bar",
    headers: { "sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    isIn: true,
  },
  {
    name: "a link elsewhere",
    headers: { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    isIn: true,
  },
  {
    name: "a frame elsewhere",
    headers: { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
    isIn: false,
  },
  {
    name: "a picture elsewhere",
    headers: { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
    isIn: false,
  },
  { name: "a page at another port", headers: { "sec-fetch-site": "same-site", "sec-fetch-mode": "cors" }, isIn: false },
  {
    name: "an upload by our page",
    method: "PUT",
    headers: { origin: "http://127.0.0.1:1", "sec-fetch-site": "same-origin" },
    isIn: true,
  },
  { name: "an upload by a program", method: "PUT", headers: {}, isIn: true },
  { name: "an upload by a page elsewhere", method: "PUT", headers: { origin: "https://evil.example" }, isIn: false },
  {
    name: "an upload by a page at another port",
    method: "PUT",
    headers: { origin: "http://127.0.0.1:2" },
    isIn: false,
  },
  { name: "an upload by nobody in particular", method: "PUT", headers: { origin: "null" }, isIn: false },
  {
    name: "a form elsewhere",
    method: "POST",
    headers: { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    isIn: false,
  },
];

Deno.test("doors: pages of other sites are turned away", async () => {
  await using shared = new SharedFolder({ "a.txt": "a" }, { upload: { maxBytes: 10 } });
  for (const { name, method = "GET", headers, isIn } of senders) {
    const path = method === "PUT" ? `/upload/${name.replaceAll(" ", "-")}` : "/content/a.txt";
    const { status } = await shared.ask(path, { method, headers, ...method !== "GET" && { body: "x" } });
    assertEquals(status !== 403, isIn, `${name}: ${status}`);
  }
});

Deno.test("doors: no header lets other sites read", async () => {
  await using shared = new SharedFolder({ "a.txt": "a" });
  for (const path of ["/content/a.txt", "/api/files", "/api/self", "/none"]) {
    const response = await shared.ask(path, { headers: { origin: "https://evil.example" } });
    assert(![...response.headers.keys()].some((name) => name.startsWith("access-control")));
    await response.body?.cancel();
  }
});

Deno.test("doors: heads that are too large, and what is no HTTP, are refused, and the next is served", async () => {
  await using shared = new SharedFolder({ "a.txt": "a" });
  await using door = openDoor(shared.server);
  const long = "x".repeat(2 * 1024 * 1024);
  const tooLarge = await send(door, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${long}\r\n\r\n`);
  assert(tooLarge.status === 431 || Number.isNaN(tooLarge.status) || tooLarge.status === 0, `${tooLarge.status}`);
  const many = await send(door, `GET / HTTP/1.1\r\nHost: localhost\r\n${"X: y\r\n".repeat(5000)}\r\n`);
  assert(many.status === 431 || many.status === 400, `${many.status}`);
  assertEquals((await send(door, "\0\0\0\r\n\r\n")).status, 400);
  const longTarget = await get(door, `/content/a.txt?${"x".repeat(20_000)}`);
  assert(longTarget.status === 400 || longTarget.status === 414, `${longTarget.status}`);
  assertEquals((await get(door, "/content/a.txt")).body, "a");
});

Deno.test("doors: each has its guest, and what is the owner's is not behind a guest's", async () => {
  const ownerRoutes = () => new Response("for the owner");
  await using shared = new SharedFolder({ "ours/a.txt": "a", "b.txt": "b" }, { ownerRoutes });
  await using own = openDoor(shared.server);
  await using theirs = openDoor(shared.server, { guest: { ...GUEST, scope: "ours" } });
  for (const path of ["/api/peers", "/peers/x/content/a", "/api/transfers"]) {
    assertEquals((await get(own, path)).body, "for the owner");
    assertEquals((await get(theirs, path)).status, 403);
  }
  assertEquals([(await get(own, "/content/b.txt")).status, (await get(theirs, "/content/b.txt")).status], [200, 404]);
  assertMatch((await get(theirs, "/api/self")).body, /"scope":"ours"/);
  assertEquals((await get(own, "/api/peersonal")).status, 404);
});

Deno.test("doors: a file that breaks off midway is not taken for whole", async () => {
  const bytes = numbered(8 * 1024 * 1024);
  await using shared = new SharedFolder({ "large.bin": bytes });
  await using door = openDoor(shared.server);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: door.port });
  await writeAll(conn, new TextEncoder().encode("GET /content/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  await readFull(conn, new Uint8Array(100_000));
  Deno.truncateSync(shared.path("large.bin"), 4_000_000);
  let length = 100_000;
  for (const buffer = new Uint8Array(256 * 1024);;) {
    const count = await conn.read(buffer).catch(() => null);
    if (count === null) break;
    length += count;
  }
  assert(length < bytes.length, `${length} bytes came`);
});

Deno.test("doors: closing one ends what goes through it", async () => {
  await using shared = new SharedFolder({ "large.bin": numbered(32 * 1024 * 1024) });
  const door = openDoor(shared.server);
  const response = await fetch(`${door.origin}/content/large.bin`);
  await door[Symbol.asyncDispose]();
  await response.bytes().then(() => assert(false, "it came whole"), () => {});
});
