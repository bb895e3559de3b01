import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { eventually, within } from "../../testing/waiting.ts";
import type { StreamReady } from "./ephemeral_streams.ts";
import { GUEST, numbered, SharedFolder } from "./fixtures/shared_folder.ts";

const JSON_TYPE = { "content-type": "application/json" };

function offer(shared: SharedFolder, body: unknown, headers: Record<string, string> = JSON_TYPE): Promise<Response> {
  return shared.ask("/api/streams", { method: "POST", headers, body: JSON.stringify(body) });
}

async function ready(shared: SharedFolder, path: string): Promise<StreamReady> {
  const response = await offer(shared, { path });
  assertEquals(response.status, 201);
  return await response.json();
}

function gone(shared: SharedFolder): Promise<void> {
  return eventually("the port is closed", () => shared.server.streams.size === 0);
}

Deno.test("streams: a port serves its file, is told of, and closes once that is read whole", async () => {
  const bytes = numbered(3_000_000);
  await using shared = new SharedFolder({ "d/large é.bin": bytes });
  const events = shared.server.events.listen().body!.pipeThrough(new TextDecoderStream()).getReader();
  const stream = await ready(shared, "d/large é.bin");
  assertEquals(stream.path, "d/large é.bin");
  assertEquals(stream.expiresAtMs, shared.clock.wallNow() + 60_000);
  assertMatch(stream.url, new RegExp(`^http://127\\.0\\.0\\.1:${stream.port}/[\\w-]{22}/large%20%C3%A9\\.bin$`));
  let told = "";
  while (!told.includes("file-stream-ready")) told += (await within("an event", events.read())).value;
  assertEquals(JSON.parse(/data: (\{.*\})/.exec(told)![1]!), stream);
  await events.cancel();
  assertEquals(await (await fetch(stream.url)).bytes(), bytes);
  await gone(shared);
  await assertRejects(() => fetch(stream.url));
});

Deno.test("streams: reading in parts, and breaking off, leave it open; silence closes it", async () => {
  await using shared = new SharedFolder({ "large.bin": numbered(8_000_000) });
  const stream = await ready(shared, "large.bin");
  const part = await fetch(stream.url, { headers: { range: "bytes=1000-1003" } });
  assertEquals([part.status, (await part.bytes()).length], [206, 4]);
  assertEquals((await fetch(stream.url, { method: "HEAD" })).headers.get("content-length"), "8000000");
  const broken = await fetch(stream.url);
  const reader = broken.body!.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals((await (await fetch(stream.url, { headers: { range: "bytes=-1" } })).bytes()).length, 1);
  assertEquals(shared.server.streams.size, 1);
  await eventually("it is silent, and closed", async () => {
    await shared.clock.advanceAsync(30_000);
    return shared.server.streams.size === 0;
  });
});

Deno.test("streams: nobody gets there without the secret, by another name, or with another method", async () => {
  await using shared = new SharedFolder({ "a.txt": "a" });
  const stream = await ready(shared, "a.txt");
  const origin = new URL(stream.url).origin;
  for (const path of ["/", "/a.txt", "/0123456789012345678901/a.txt", "/content/a.txt"]) {
    const response = await fetch(origin + path);
    assertEquals(response.status, 404, path);
    await response.body?.cancel();
  }
  const posted = await fetch(stream.url, { method: "POST", body: "x" });
  assertEquals(posted.status, 405);
  await posted.body?.cancel();
  assertEquals(await (await fetch(stream.url)).text(), "a");
  await gone(shared);
});

Deno.test("streams: only for the owner, for files that are there, asked for as our page asks", async () => {
  await using shared = new SharedFolder({ "a.txt": "a", "d/x": "", ".env": "x" });
  const body = JSON.stringify({ path: "a.txt" });
  assertEquals((await shared.ask("/api/streams", { method: "POST", headers: JSON_TYPE, body }, GUEST)).status, 403);
  assertEquals((await offer(shared, { path: "a.txt" }, { "content-type": "text/plain" })).status, 415);
  for (const path of ["none", "d", ".env"]) assertEquals((await offer(shared, { path })).status, 404, path);
  for (const body of [{}, { path: "" }, { path: "../x" }, { path: "a\\b" }, { path: 1 }, "x"]) {
    assertEquals((await offer(shared, body)).status, 400, JSON.stringify(body));
  }
  assertEquals((await offer(shared, { path: "x".repeat(50_000) })).status, 413);
  assertEquals(shared.server.streams.size, 0);
});

Deno.test("streams: only so many at once, and all end with the server", async () => {
  const shared = new SharedFolder({ "a.txt": "a" });
  const streams: StreamReady[] = [];
  for (let count = 0; count < 64; count++) streams.push(await ready(shared, "a.txt"));
  const refused = await offer(shared, { path: "a.txt" });
  assertEquals([refused.status, refused.headers.get("retry-after")], [503, "5"]);
  assert(new Set(streams.map(({ url }) => url)).size === 64);
  await shared[Symbol.asyncDispose]();
  await assertRejects(() => fetch(streams[0]!.url));
  assertEquals(shared.clock.pendingTimers, 0);
});
