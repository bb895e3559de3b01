import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Found, placesSchema, searchPageSchema, selfSchema } from "../../protocol/files/listing.ts";
import type { ContentIndex } from "./content_index.ts";
import { GUEST, numbered, SELF, SharedFolder } from "./fixtures/shared_folder.ts";
import { noIndex } from "./no_index.ts";

const ROOT = "ab".repeat(32);
const found = (path: string): Found => ({ path, kind: "file", size: 3, modifiedMs: 1, root: ROOT });

/** Knows one content, in two places. */
function knowing(): { index: ContentIndex; change(): void } {
  let onChange: (() => void) | undefined;
  const index: ContentIndex = {
    ...noIndex,
    pieces: (root) => root === ROOT ? new Uint8Array(32).fill(7) : undefined,
    locate: (root) => root === ROOT ? [found("a/one"), found("b/two")] : [],
    search: ({ q }, scope) => ({ found: [found(`${scope}:${q}`)], next: "xyz", pending: 4 }),
    status: { files: 2, bytes: 6, pending: 4 },
    subscribe(callback) {
      onChange = callback;
      return { [Symbol.dispose]: () => onChange = undefined };
    },
  };
  return { index, change: () => onChange?.() };
}

Deno.test("server: says who it is, and what it has", async () => {
  await using shared = new SharedFolder({}, { index: knowing().index });
  const said = selfSchema.parse(await shared.json("/api/self"));
  assertEquals(said, { ...SELF, upload: false, scope: "", index: { files: 2, bytes: 6, pending: 4 } });
  assertEquals((await shared.json("/api/self", { ...GUEST, scope: "a" })).scope, "a");
});

Deno.test("server: where a content is, and its pieces, to those who may see it", async () => {
  await using shared = new SharedFolder({}, { index: knowing().index });
  const places = placesSchema.parse(await shared.json(`/api/by-root/${ROOT}`));
  assertEquals(places, { root: ROOT, size: 3, paths: ["a/one", "b/two"] });
  const inA = { ...GUEST, scope: "a" };
  assertEquals((await shared.json(`/api/by-root/${ROOT}`, inA)).paths, ["a/one"]);
  const pieces = await shared.ask(`/api/pieces/${ROOT}`, {}, inA);
  assertEquals(await pieces.bytes(), new Uint8Array(32).fill(7));
  assertEquals(pieces.headers.get("content-type"), "application/octet-stream");
  for (const path of [`by-root/${ROOT}`, `pieces/${ROOT}`]) {
    assertEquals((await shared.ask(`/api/${path}`, {}, { ...GUEST, scope: "c" })).status, 404);
  }
  for (const root of ["", "x", ROOT.toUpperCase(), `${ROOT}0`, "cd".repeat(32), `${ROOT}/`]) {
    for (const route of ["by-root", "pieces"]) {
      assertEquals((await shared.ask(`/api/${route}/${root}`)).status, 404, root);
    }
  }
});

Deno.test("server: searching, in what whoever asks may see", async () => {
  await using shared = new SharedFolder({}, { index: knowing().index });
  const page = searchPageSchema.parse(await shared.json("/api/search?q=x%20y", { ...GUEST, scope: "a" }));
  assertEquals([page.found[0]!.path, page.next, page.pending], ["a:x y", "xyz", 4]);
  for (const query of ["", "?q=", `?q=${"x".repeat(257)}`, "?q=a&limit=0"]) {
    assertEquals((await shared.ask(`/api/search${query}`)).status, 400, query);
  }
});

Deno.test("server: a change is told to everybody, and the owner alone hears who got what", async () => {
  const { index, change } = knowing();
  await using shared = new SharedFolder({ "large.bin": numbered(100_000) }, { index });
  const [owner, guest] = [shared.server.events.listen(), shared.server.events.listen(GUEST.peerId)];
  assertEquals(owner.headers.get("content-type"), "text/event-stream");
  await (await shared.ask("/content/large.bin", {}, GUEST)).bytes();
  change();
  await shared.server[Symbol.asyncDispose]();
  const [all, some] = [await owner.text(), await guest.text()];
  const { peerId, path, bytes, size, isWhole } = JSON.parse(/event: transfer\ndata: (.*)\n/.exec(all)![1]!);
  assertEquals([peerId, path, bytes, size, isWhole], [GUEST.peerId, "large.bin", 100_000, 100_000, true]);
  for (const text of [all, some]) {
    assertStringIncludes(text, 'event: changed\ndata: {"files":2,"bytes":6,"pending":4}\n\n');
  }
  assert(!some.includes("transfer"));
});

Deno.test("server: who listens and takes nothing is dropped, and there are only so many", async () => {
  await using shared = new SharedFolder();
  const { events } = shared.server;
  const slow = events.listen();
  for (let count = 0; count < 300; count++) events.emit("changed", { count });
  assertEquals(events.listeners, 0);
  assert((await slow.text()).split("\n\n").length <= 258);
  const responses = Array.from({ length: 9 }, () => events.listen(GUEST.peerId));
  assertEquals(responses.map(({ status }) => status), [...Array(8).fill(200), 503]);
  for (const response of responses) await response.body!.cancel();
  assertEquals([events.listeners, shared.clock.pendingTimers], [0, 0]);
});

Deno.test("server: something is said now and then, so that nothing between gives up", async () => {
  await using shared = new SharedFolder();
  const reader = shared.server.events.listen().body!.pipeThrough(new TextDecoderStream()).getReader();
  assertEquals((await reader.read()).value, "retry: 2000\n\n");
  shared.clock.advance(15_000);
  assertEquals((await reader.read()).value, ":\n\n");
  await reader.cancel();
});

Deno.test("server: a guest may ask only so often, each by itself; the owner as it likes", async () => {
  await using shared = new SharedFolder({}, { limits: { guestRequestsPerS: 5 } });
  const ask = async (guest?: typeof GUEST) => (await shared.ask("/api/self", {}, guest)).status;
  const statuses: number[] = [];
  for (let count = 0; count < 12; count++) statuses.push(await ask(GUEST));
  assertEquals(statuses, [...Array(10).fill(200), 429, 429]);
  assertEquals(await ask({ ...GUEST, peerId: "c".repeat(26) }), 200);
  assertEquals(await ask(), 200);
  shared.clock.advance(1000);
  assertEquals(await ask(GUEST), 200);
});

Deno.test("server: its pages, and what they do not know", async () => {
  const pages = (request: Request) => request.url.endsWith("/none") ? undefined : new Response("a page");
  await using shared = new SharedFolder({ "index.md": "x" }, { pages });
  assertEquals(await (await shared.ask("/")).text(), "a page");
  assertEquals(await (await shared.ask("/web/app.js", {}, GUEST)).text(), "a page");
  for (const path of ["/web/none", "/apis", "/api/", "/x", "/contents/index.md", "/api/peers"]) {
    assertEquals((await shared.ask(path)).status, 404, path);
  }
  await using bare = new SharedFolder({ "index.md": "x" });
  assertEquals((await bare.ask("/")).headers.get("location"), "./content/");
});

Deno.test("server: what goes wrong in what was handed in is an answer", async () => {
  const pages = () => Promise.reject(new Error("broken"));
  await using shared = new SharedFolder({}, { pages });
  const response = await shared.ask("/");
  assertEquals([response.status, (await response.json()).code], [500, "internal"]);
});

Deno.test("server: the folder gets a page of its own, once, and not where it may not", async () => {
  await using shared = new SharedFolder({}, { makesFolderPage: true, self: { ...SELF, label: "<b>*Ann*</b>" } });
  const page = await shared.ask("/content/", { headers: { accept: "text/html" } });
  assertStringIncludes(await page.text(), "&#60;b&#62;*Ann*&#60;/b&#62;");
  await using own = new SharedFolder({ "index.md": "mine" }, { makesFolderPage: true });
  assertEquals(await (await own.ask("/content/")).text(), "mine");
});

Deno.test("server: limits and folders that cannot be are refused", () => {
  const make = (options: object) => new SharedFolder({}, options);
  for (const limits of [{ bytesPerS: 0 }, { maxTransfers: -1 }, { stallMs: NaN }]) {
    let message = "";
    try {
      make({ limits });
    } catch (error) {
      message = String(error);
    }
    assertStringIncludes(message, "Cannot limit files");
  }
});
