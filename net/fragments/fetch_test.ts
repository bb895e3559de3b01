import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import { encodeRequestModeHead, type RequestModeHead, type ResponseModeHead } from "../../protocol/request_mode.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { type MemoryStream, memoryStreamPair } from "../memory.ts";
import { readRequestHead } from "../read_frame.ts";
import { createFragmentFetch } from "./fetch.ts";

interface Asked {
  readonly head: RequestModeHead;
  readonly stream: MemoryStream;
}

/** A fetch whose far end does as the test says. */
function fetchFrom(serve: (asked: Asked) => Promise<void>) {
  const served: Promise<void>[] = [];
  const path = {
    request(): Promise<Stream> {
      const [near, far] = memoryStreamPair();
      served.push(readRequestHead(far).then((head) => serve({ head, stream: far })));
      return Promise.resolve(near);
    },
  };
  return { fetch: createFragmentFetch(path), served: () => Promise.all(served) };
}

async function answer(stream: Stream, head: Partial<ResponseModeHead>, body = ""): Promise<void> {
  const whole = { status: 200, statusText: "OK", headers: [], url: "http://a/b", isRedirected: false, ...head };
  await writeAll(stream, encodeRequestModeHead("failure" in head ? head as ResponseModeHead : whole)!);
  await writeAll(stream, new TextEncoder().encode(body));
  await stream.closeWrite();
}

async function textOf(stream: Stream): Promise<string> {
  const into = new Uint8Array(256);
  let text = "";
  for (let count = await stream.read(into); count !== null; count = await stream.read(into)) {
    text += new TextDecoder().decode(into.subarray(0, count));
  }
  return text;
}

Deno.test("a request goes as it is, without what belongs to the carrier, and its answer comes", async () => {
  let asked: RequestModeHead | undefined;
  const { fetch, served } = fetchFrom(async ({ head, stream }) => {
    asked = head;
    assertEquals(await textOf(stream), "hello");
    await answer(stream, { status: 201, statusText: "Made", headers: [["x-a", "1"], ["set-cookie", "a=1"]] }, "done");
  });
  const response = await fetch("http://example.org/a?b#c", {
    method: "POST",
    body: "hello",
    headers: { "X-Own": "1", Connection: "x-hop", "X-Hop": "1", Host: "evil", "Proxy-Authorization": "secret" },
    redirect: "manual",
  });
  assertEquals([response.status, response.statusText, response.url], [201, "Made", "http://a/b"]);
  assertEquals([response.headers.get("x-a"), response.headers.getSetCookie()], ["1", ["a=1"]]);
  assertEquals(await response.text(), "done");
  await served();
  assertEquals([asked!.method, asked!.url, asked!.redirect, asked!.hasBody], [
    "POST",
    "http://example.org/a?b",
    "manual",
    true,
  ]);
  assertEquals(Object.fromEntries(asked!.headers), {
    accept: "*/*",
    "accept-encoding": "gzip, deflate",
    "content-length": "5",
    "content-type": "text/plain;charset=UTF-8",
    "x-own": "1",
  });
});

Deno.test("a body that streams has no length, and the answer may come before its end", async () => {
  const more = Promise.withResolvers<void>();
  const { fetch, served } = fetchFrom(async ({ head, stream }) => {
    assertEquals(head.headers.some(([name]) => name === "content-length"), false);
    const into = new Uint8Array(8);
    assertEquals(await stream.read(into), 1);
    await writeAll(
      stream,
      encodeRequestModeHead({ status: 200, statusText: "", headers: [], url: "", isRedirected: false })!,
    );
    assertEquals(await textOf(stream), "b");
    await stream.closeWrite();
  });
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode("a"));
      await more.promise;
      controller.enqueue(new TextEncoder().encode("b"));
      controller.close();
    },
  });
  const response = await fetch("http://a/", { method: "PUT", body });
  more.resolve();
  assertEquals(await response.text(), "");
  await served();
});

Deno.test("what is compressed is unpacked, and the headers no longer speak of it", async () => {
  const { fetch, served } = fetchFrom(async ({ stream }) => {
    const packed = new Blob(["hello ".repeat(1000)]).stream().pipeThrough(new CompressionStream("gzip"));
    const bytes = await new Response(packed).bytes();
    const headers: [string, string][] = [["content-encoding", "gzip"], ["content-length", `${bytes.length}`]];
    await writeAll(
      stream,
      encodeRequestModeHead({ status: 200, statusText: "", headers, url: "", isRedirected: false })!,
    );
    await writeAll(stream, bytes);
    await stream.closeWrite();
  });
  const response = await fetch("http://a/");
  assertEquals([response.headers.has("content-encoding"), response.headers.has("content-length")], [false, false]);
  assertEquals((await response.text()).length, 6000);
  await served();
});

Deno.test("answers without a body have none", async (t) => {
  for (const { method, status } of [{ method: "HEAD", status: 200 }, { method: "GET", status: 204 }]) {
    await t.step(`${method} ${status}`, async () => {
      const { fetch, served } = fetchFrom(({ stream }) => answer(stream, { status }));
      assertEquals((await fetch("http://a/", { method })).body, null);
      await served();
    });
  }
});

Deno.test("a refusal is a TypeError whose cause says why", async (t) => {
  const rows: { head: ResponseModeHead; cause: string }[] = [
    { head: { failure: "denied", message: "not there" }, cause: "DialError denied" },
    { head: { failure: "redirect", message: "it leads elsewhere" }, cause: "CulvertError redirect" },
  ];
  for (const { head, cause } of rows) {
    await t.step(cause, async () => {
      const { fetch, served } = fetchFrom(({ stream }) => answer(stream, head).catch(() => {}));
      const error = await assertRejects(() => fetch("http://a/"), TypeError);
      const { name, code } = error.cause as DialError;
      assertEquals(`${name} ${code}`, cause);
      await served();
    });
  }
});

Deno.test("a path that is down is a TypeError, and so is what cannot be asked for", async () => {
  const down = createFragmentFetch({ request: () => Promise.reject(new DialError("path_down", "no central")) });
  const error = await assertRejects(() => down("http://a/"), TypeError, "Cannot fetch: no central");
  assertInstanceOf(error.cause, DialError);
  await assertRejects(() => down("ftp://a/"), TypeError);
  await assertRejects(() => down("http://u:p@a/"), TypeError);
  await assertRejects(() => down("nonsense"), TypeError);
  await assertRejects(() => down("http://a/", { headers: { long: "x".repeat(70_000) } }), TypeError, "shorter");
});

Deno.test("aborting ends a request at every stage, with the reason", async (t) => {
  const reason = new Error("enough");
  await t.step("before it", async () => {
    const { fetch } = fetchFrom(() => Promise.resolve());
    assertEquals(await fetch("http://a/", { signal: AbortSignal.abort(reason) }).catch((error) => error), reason);
  });
  await t.step("before the answer", async () => {
    const abort = new AbortController();
    const { fetch, served } = fetchFrom(async ({ stream }) => {
      abort.abort(reason);
      await assertRejects(() => textOf(stream));
    });
    assertEquals(await fetch("http://a/", { signal: abort.signal }).catch((error) => error), reason);
    await served();
  });
  await t.step("in the body", async () => {
    const abort = new AbortController();
    const { fetch, served } = fetchFrom(async ({ stream }) => {
      await writeAll(
        stream,
        encodeRequestModeHead({ status: 200, statusText: "", headers: [], url: "", isRedirected: false })!,
      );
      await writeAll(stream, Uint8Array.of(1));
      await textOf(stream).catch(() => {});
    });
    const response = await fetch("http://a/", { signal: abort.signal });
    const reader = response.body!.getReader();
    assertEquals((await reader.read()).value, Uint8Array.of(1));
    abort.abort(reason);
    assertEquals(await reader.read().catch((error) => error), reason);
    await served();
  });
});

Deno.test("a body that breaks off fails the reader, and one that nobody reads on is cut", async () => {
  const { fetch, served } = fetchFrom(async ({ stream, head }) => {
    await writeAll(
      stream,
      encodeRequestModeHead({ status: 200, statusText: "", headers: [], url: "", isRedirected: false })!,
    );
    await writeAll(stream, Uint8Array.of(1));
    if (head.url.endsWith("cut")) stream.abort();
    else {await assertRejects(() =>
        stream.read(new Uint8Array(1)).then(() => writeAll(stream, new Uint8Array(1 << 20)))
      );}
  });
  const broken = await fetch("http://a/cut");
  await assertRejects(() => broken.bytes(), TypeError, "Cannot read the body");
  const left = await fetch("http://a/left");
  await left.body!.cancel();
  await served();
});

Deno.test("a request body that breaks off does not pass for a whole one", async () => {
  const { fetch, served } = fetchFrom(async ({ stream }) => {
    await assertRejects(() => textOf(stream));
  });
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(3)),
    pull: (controller) => controller.error(new Error("lost")),
  });
  const error = await assertRejects(() => fetch("http://a/", { method: "POST", body }), TypeError);
  assert(String(error.cause).includes("lost"));
  await served();
});

Deno.test("a request body that yields nothing holds nothing up, and is told that nobody reads it", async (t) => {
  const stages = [
    { name: "when the request is aborted", failure: undefined },
    { name: "when it is refused", failure: "busy" },
    { name: "when its answer has ended", failure: "" },
  ] as const;
  for (const { name, failure } of stages) {
    await t.step(name, async () => {
      const cancelled = Promise.withResolvers<unknown>();
      const abort = new AbortController();
      const { fetch, served } = fetchFrom(async ({ stream }) => {
        if (failure === undefined) return abort.abort(new Error("enough"));
        await answer(stream, failure === "" ? {} : { failure, message: "" });
      });
      const body = new ReadableStream({ cancel: cancelled.resolve });
      const response = fetch("http://example.org/", { method: "POST", body, signal: abort.signal });
      if (failure === "") await (await response).text();
      else await assertRejects(() => response, Error, failure ?? "enough");
      await cancelled.promise;
      await served();
    });
  }
});
