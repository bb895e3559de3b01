import { assert, assertEquals } from "@std/assert";
import { entrySchema } from "../../protocol/files/listing.ts";
import { eventually } from "../../testing/waiting.ts";
import type { PeerGuest } from "../peers/peer_connection.ts";
import { openDoor } from "./doors.ts";
import { GUEST, numbered, SharedFolder } from "./fixtures/shared_folder.ts";
import { noIndex } from "./no_index.ts";

const UPLOADER: PeerGuest = { ...GUEST, mayUpload: true };
const UPLOAD = { maxBytes: 1024 * 1024 };

function put(
  shared: SharedFolder,
  path: string,
  body?: BodyInit,
  headers?: Record<string, string>,
  guest?: PeerGuest,
): Promise<Response> {
  return shared.ask(`/upload/${path}`, { method: "PUT", body: body ?? "new", headers: headers ?? {} }, guest);
}

async function codeOf(response: Response): Promise<unknown> {
  return [response.status, (await response.json()).code];
}

/** What lies in our folder for files on their way. */
function drafts(shared: SharedFolder): string[] {
  try {
    return [...Deno.readDirSync(shared.path(".culvert-uploads"))].map(({ name }) => name);
  } catch {
    return [];
  }
}

Deno.test("uploads: a new file, in folders that are made for it", async () => {
  await using shared = new SharedFolder({}, { upload: UPLOAD });
  const bytes = numbered(300_000);
  const response = await put(shared, "a/b%20c/d.png", bytes);
  assertEquals(response.status, 201);
  const { name, size, type } = entrySchema.parse(await response.json());
  assertEquals([name, size, type], ["d.png", 300_000, "image/png"]);
  assertEquals(Deno.readFileSync(shared.path("a/b c/d.png")), bytes);
  assertEquals(await (await put(shared, "empty", "")).json().then(({ size }) => size), 0);
  assertEquals(drafts(shared), []);
});

Deno.test("uploads: what is there is not replaced unless it is named", async () => {
  await using shared = new SharedFolder({ "a.txt": "old", "d/x": "" }, { upload: UPLOAD });
  assertEquals(await codeOf(await put(shared, "a.txt")), [409, "exists"]);
  assertEquals(await codeOf(await put(shared, "a.txt", "new", { "if-match": '"other"' })), [412, "changed"]);
  assertEquals(await codeOf(await put(shared, "a.txt", "new", { "if-none-match": "*" })), [412, "changed"]);
  assertEquals(await codeOf(await put(shared, "d")), [409, "in_the_way"]);
  assertEquals(await codeOf(await put(shared, "a.txt/b")), [409, "in_the_way"]);
  assertEquals(Deno.readTextFileSync(shared.path("a.txt")), "old");
  const etag = (await shared.ask("/content/a.txt", { method: "HEAD" })).headers.get("etag")!;
  const replaced = await put(shared, "a.txt", "new", { "if-match": etag });
  assertEquals([replaced.status, (await replaced.json()).size], [200, 3]);
  assertEquals(Deno.readTextFileSync(shared.path("a.txt")), "new");
  assertEquals(await codeOf(await put(shared, "none.txt", "new", { "if-match": "*" })), [412, "changed"]);
});

Deno.test("uploads: of two who bring the same name at once, one is told that there is one", async () => {
  await using shared = new SharedFolder({}, { upload: UPLOAD });
  const answers = await Promise.all(["one", "two", "three"].map((body) => put(shared, "same.txt", body)));
  assertEquals(answers.map(({ status }) => status).sort(), [201, 409, 409]);
  const winner = ["one", "two", "three"][answers.findIndex(({ status }) => status === 201)];
  assertEquals(Deno.readTextFileSync(shared.path("same.txt")), winner);
  assertEquals(drafts(shared), []);
});

Deno.test("uploads: a file that is replaced by another while the new one comes is not replaced again", async () => {
  await using shared = new SharedFolder({ "a.txt": "old" }, { upload: UPLOAD });
  const etag = (await shared.ask("/content/a.txt", { method: "HEAD" })).headers.get("etag")!;
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const answer = put(shared, "a.txt", body.readable, { "if-match": etag });
  const writer = body.writable.getWriter();
  await writer.write(new Uint8Array(10));
  shared.write("a.txt", "somebody else's");
  await writer.close();
  assertEquals(await codeOf(await answer), [412, "changed"]);
  assertEquals(Deno.readTextFileSync(shared.path("a.txt")), "somebody else's");
});

const places = [
  "..%2fx",
  "a%5cb",
  "a%00",
  ".hidden",
  "a/.git/config",
  ".culvert-uploads/x",
  "",
  "a/",
  "C:x",
];

Deno.test("uploads: nowhere but into the shared folder", async () => {
  await using shared = new SharedFolder({ "a/b": "" }, { upload: UPLOAD });
  Deno.mkdirSync(shared.outside("secret"));
  Deno.writeTextFileSync(shared.outside("secret/key"), "key");
  shared.link("out", "../secret");
  shared.link("key", "../secret/key");
  shared.link("up", "..");
  for (const place of places) assertEquals((await put(shared, place)).status, 400, place);
  for (const place of ["out/x", "out/deeper/x", "up/x", "up/shared/../x"]) {
    assert((await put(shared, place)).status >= 400, place);
  }
  // A link that leads out is somebody's name, and stays it.
  assertEquals((await put(shared, "key")).status, 409);
  assertEquals([...Deno.readDirSync(shared.outside("secret"))].map(({ name }) => name), ["key"]);
  assertEquals(Deno.readTextFileSync(shared.outside("secret/key")), "key");
});

Deno.test("uploads: only where they are taken, by whom and into what they may see", async () => {
  await using closed = new SharedFolder();
  assertEquals(await codeOf(await put(closed, "x")), [403, "no_upload"]);
  await using shared = new SharedFolder({ "ours/a": "" }, { upload: UPLOAD });
  assertEquals(await codeOf(await put(shared, "x", "x", {}, GUEST)), [403, "no_upload"]);
  const scoped = { ...UPLOADER, scope: "ours" };
  assertEquals((await put(shared, "x", "x", {}, scoped)).status, 404);
  assertEquals((await put(shared, "ours/x", "x", {}, scoped)).status, 201);
  assertEquals((await put(shared, "x", "x", {}, UPLOADER)).status, 201);
  const said = await Promise.all([undefined, GUEST, UPLOADER].map((guest) => shared.json("/api/self", guest)));
  assertEquals(said.map(({ upload }) => upload), [true, false, true]);
});

Deno.test("uploads: no more than may come, whether its length is told or not", async () => {
  await using shared = new SharedFolder({}, { upload: { maxBytes: 1000 } });
  assertEquals((await put(shared, "fits", new Uint8Array(1000))).status, 201);
  const told = await put(shared, "told", new Uint8Array(1001), { "content-length": "1001" });
  assertEquals(await codeOf(told), [413, "too_large"]);
  const stream = new Blob([new Uint8Array(5000)]).stream();
  assertEquals(await codeOf(await put(shared, "untold", stream)), [413, "too_large"]);
  assertEquals([...Deno.readDirSync(shared.path())].map(({ name }) => name).sort(), [".culvert-uploads", "fits"]);
  assertEquals(drafts(shared), []);
});

Deno.test("uploads: what breaks off, or does not go on, leaves nothing", async () => {
  await using shared = new SharedFolder({}, { upload: UPLOAD, limits: { stallMs: 1000 } });
  const broken = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(1000));
      controller.error(new Error("gone"));
    },
  }, { highWaterMark: 0 });
  assertEquals(await codeOf(await put(shared, "broken", broken)), [408, "cut_short"]);
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const stalled = put(shared, "stalled", body.readable);
  const writer = body.writable.getWriter();
  await writer.write(new Uint8Array(1000));
  await eventually("it is on its way", () => drafts(shared).length === 1);
  for (let turn = 0; turn < 8; turn++) await shared.clock.advanceAsync(250);
  assertEquals(await codeOf(await stalled), [408, "cut_short"]);
  await writer.abort().catch(() => {});
  assertEquals(drafts(shared), []);
  assertEquals([...Deno.readDirSync(shared.path())].map(({ name }) => name), [".culvert-uploads"]);
});

Deno.test("uploads: who hangs up midway leaves nothing", async () => {
  await using shared = new SharedFolder({}, { upload: UPLOAD });
  await using door = openDoor(shared.server);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: door.port });
  const head = "PUT /upload/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
  await conn.write(new TextEncoder().encode(head + "x".repeat(1000)));
  await eventually("it is on its way", () => drafts(shared).length === 1);
  conn.close();
  await eventually("it is gone", () => drafts(shared).length === 0);
  assertEquals((await shared.ask("/content/half")).status, 404);
});

Deno.test("uploads: what a crash has left is removed after a day", async () => {
  await using shared = new SharedFolder({ ".culvert-uploads/old": "x", ".culvert-uploads/new": "x" }, {
    upload: UPLOAD,
  });
  const longAgo = new Date(Date.now() - 2 * 86_400_000);
  Deno.utimeSync(shared.path(".culvert-uploads/old"), longAgo, longAgo);
  assertEquals((await put(shared, "x")).status, 201);
  assertEquals(drafts(shared), ["new"]);
});

Deno.test("uploads: a new file is listed and served at once, without the index", async () => {
  await using shared = new SharedFolder({}, { upload: UPLOAD, index: noIndex, settledMs: 0 });
  assertEquals((await put(shared, "a.txt")).status, 201);
  assertEquals(await (await shared.ask("/content/a.txt")).text(), "new");
  const { entries } = await shared.json<{ entries: { name: string }[] }>("/api/files");
  assertEquals(entries.map(({ name }) => name), ["a.txt"]);
});
