import { assert, assertEquals, assertRejects } from "@std/assert";
import { gzipSync } from "node:zlib";
import { clockOf } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { encodeRequestModeHead, type RequestModeHead, type ResponseModeHead } from "../protocol/request_mode.ts";
import { type Path, readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { memoryStreamPair } from "./memory.ts";
import { readResponseHead } from "./read_frame.ts";
import { RequestServer, type RequestServerOptions } from "./request_server.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate } from "../testing/tls_certificate.ts";

type Handler = (request: Request) => Response | Promise<Response>;

/** A Path on which every host is this one. */
function loopback(dialled: string[] = []): Path {
  return {
    dial: ({ host, port }) => {
      dialled.push(host);
      if (host === "closed.test") return Promise.reject(new DialError("denied", "not there"));
      return Deno.connect({ hostname: "127.0.0.1", port });
    },
    close() {},
    [Symbol.dispose]() {},
  };
}

interface Origin extends AsyncDisposable {
  readonly port: number;
  /** As they came. */
  readonly requests: { readonly url: string; readonly headers: Headers }[];
}

function origin(handler: Handler, tls: { cert: string; key: string } | undefined = undefined): Origin {
  const requests: { url: string; headers: Headers }[] = [];
  const options = { hostname: "127.0.0.1", port: 0, onListen() {}, ...tls };
  const server = Deno.serve(options, (request) => {
    requests.push({ url: request.url, headers: new Headers(request.headers) });
    return handler(request);
  });
  return { port: server.addr.port, requests, [Symbol.asyncDispose]: () => server.shutdown() };
}

function rig({ dialled, ...options }: { dialled?: string[] } & Partial<RequestServerOptions> = {}) {
  const server = new RequestServer({
    path: loopback(dialled),
    clock: clockOf(globalThis),
    metrics: noMetrics,
    ...options,
  });
  const gone = new AbortController();
  return {
    gone,
    serve: (stream: Stream) => server.serve(stream, gone.signal),
    /** Asks, and gives the near end of the stream; `done` is the far end's. */
    open(head: Partial<RequestModeHead> & { url: string }): { near: Stream; done: Promise<void> } {
      const [near, far] = memoryStreamPair();
      const done = server.serve(far, gone.signal).then(() => far.close(), (error) => {
        far.abort();
        throw error;
      });
      done.catch(() => {});
      const whole: RequestModeHead = { method: "GET", headers: [], redirect: "follow", hasBody: false, ...head };
      void writeAll(near, encodeRequestModeHead(whole)!);
      return { near, done };
    },
    [Symbol.dispose]: () => server[Symbol.dispose](),
  };
}

async function readAll(stream: Stream): Promise<string> {
  const chunks: Uint8Array[] = [];
  while (true) {
    const into = new Uint8Array(8192);
    const count = await stream.read(into);
    if (count === null) return new TextDecoder().decode(new Uint8Array(await new Blob(chunks as never).arrayBuffer()));
    chunks.push(into.slice(0, count));
  }
}

type Answered = Exclude<ResponseModeHead, { failure: unknown }>;

async function ask(world: ReturnType<typeof rig>, head: Partial<RequestModeHead> & { url: string }) {
  const { near, done } = world.open(head);
  const answer = await readResponseHead(near);
  const body = await readAll(near);
  await done;
  near.close();
  return { answer: answer as Answered, body, failure: "failure" in answer ? answer.failure : undefined };
}

Deno.test("a request reaches the origin as the client said it, and its answer comes back", async () => {
  await using server = origin(() =>
    new Response("hello", { status: 201, headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["keep-alive", "x"]] })
  );
  using world = rig();
  const { answer, body } = await ask(world, {
    url: `http://one.test:${server.port}/a%20b?c`,
    headers: [
      ["accept", "text/plain"],
      ["Connection", "x-gone"],
      ["x-gone", "1"],
      ["proxy-authorization", "Basic eA=="],
      ["te", "trailers"],
      ["host", "elsewhere.test"],
    ],
  });
  const [request] = server.requests;
  assertEquals(request!.url, `http://one.test:${server.port}/a%20b?c`);
  const told = Object.fromEntries(request!.headers);
  assertEquals(told, { accept: "text/plain", connection: "keep-alive", host: `one.test:${server.port}` });
  assertEquals([answer.status, answer.statusText, body], [201, "Created", "hello"]);
  assertEquals(answer.headers.filter(([name]) => name === "set-cookie").map(([, value]) => value), ["a=1", "b=2"]);
  assert(!answer.headers.some(([name]) => name === "keep-alive" || name === "connection"));
});

Deno.test("bodies go both ways while they are being made", async () => {
  await using server = origin((request) => new Response(request.body));
  using world = rig();
  const { near, done } = world.open({ url: `http://one.test:${server.port}/`, method: "POST", hasBody: true });
  await writeAll(near, new TextEncoder().encode("first"));
  const head = await readResponseHead(near) as Answered;
  assertEquals(head.status, 200);
  const five = new Uint8Array(5);
  assert(await readFull(near, five));
  assertEquals(new TextDecoder().decode(five), "first");
  await writeAll(near, new TextEncoder().encode(" second"));
  await near.closeWrite();
  assertEquals(await readAll(near), " second");
  await done;
  assertEquals(server.requests[0]!.headers.get("transfer-encoding"), "chunked");
  near.close();
});

Deno.test("what the origin has encoded stays as it is, with its length", async () => {
  const packed = new Uint8Array(gzipSync("text"));
  await using server = origin(() => new Response(packed, { headers: { "content-encoding": "gzip" } }));
  using world = rig();
  const { near } = world.open({ url: `http://one.test:${server.port}/`, headers: [["accept-encoding", "gzip"]] });
  const { headers } = await readResponseHead(near) as Answered;
  assertEquals(headers.find(([name]) => name === "content-encoding")?.[1], "gzip");
  assertEquals(headers.find(([name]) => name === "content-length")?.[1], String(packed.length));
  const bytes = new Uint8Array(packed.length);
  assert(await readFull(near, bytes));
  assertEquals(bytes, packed);
  near.close();
});

Deno.test("redirects are followed as in fetch, told, or a failure, as the client wishes", async () => {
  await using server = origin((request) => {
    const { pathname } = new URL(request.url);
    const status = Number(pathname.slice(1));
    if (!status) return new Response(`${request.method} ${request.headers.get("authorization")}`);
    return new Response("moved", { status, headers: { location: request.headers.get("x-to") ?? "/" } });
  });
  using world = rig();
  const url = (path: string) => `http://one.test:${server.port}/${path}`;
  const headers: [string, string][] = [["authorization", "me"]];
  const followed = await ask(world, { url: url("302"), headers });
  assertEquals([followed.answer.status, followed.body], [200, "GET me"]);
  assertEquals([followed.answer.url, followed.answer.isRedirected], [url(""), true]);
  const elsewhere: [string, string] = ["x-to", `http://two.test:${server.port}/`];
  assertEquals((await ask(world, { url: url("307"), headers: [...headers, elsewhere] })).body, "GET null");
  const seen = await ask(world, { url: url("301"), redirect: "manual" });
  assertEquals([seen.answer.status, seen.answer.isRedirected, seen.body], [301, false, "moved"]);
  assertEquals((await ask(world, { url: url("301"), redirect: "error" })).failure, "redirect");
  assertEquals((await ask(world, { url: url("301"), headers: [["x-to", "/301"]] })).failure, "redirect");
  const post = { method: "POST", hasBody: true };
  const given = (path: string) => {
    const opened = world.open({ url: url(path), ...post });
    void opened.near.closeWrite();
    return opened;
  };
  const see = given("303");
  assertEquals((await readResponseHead(see.near) as Answered).status, 200);
  assertEquals(await readAll(see.near), "GET null");
  see.near.close();
  const again = given("308");
  assertEquals((await readResponseHead(again.near) as { failure: string }).failure, "redirect");
  again.near.close();
});

Deno.test("a redirect has a short body sent again, drops it where fetch does, and fails where it would need a long one", async () => {
  await using server = origin(async (request) => {
    const status = Number(new URL(request.url).pathname.slice(1));
    const text = await request.text();
    if (!status) return new Response(`${request.method} ${text.length} ${request.headers.get("content-type")}`);
    return new Response(null, { status, headers: { location: "/" } });
  });
  using world = rig();
  const post = async (status: number, bytes: number, told = bytes) => {
    const headers: [string, string][] = [["content-type", "text/plain"], ["content-length", String(told)]];
    const url = `http://one.test:${server.port}/${status}`;
    const { near } = world.open({ url, method: "POST", headers, hasBody: true });
    await writeAll(near, new Uint8Array(bytes).fill(120)).catch(() => {});
    await near.closeWrite();
    const answer = await readResponseHead(near);
    const result = "failure" in answer ? answer.failure : await readAll(near);
    near.close();
    return result;
  };
  assertEquals(await post(307, 1000), "POST 1000 text/plain");
  assertEquals(await post(308, 64 * 1024), `POST ${64 * 1024} text/plain`);
  assertEquals(await post(302, 1000), "GET 0 null");
  assertEquals(await post(307, 64 * 1024 + 1), "redirect");
  assertEquals(await post(302, 64 * 1024 + 1), "GET 0 null");
  assertEquals(await post(307, 999, 1000), "bad_request");
  assertEquals(await post(307, 1001, 1000), "bad_request");
});

Deno.test("what cannot be asked for is told, with the reason", async () => {
  using world = rig();
  const rows = [
    { url: "ftp://one.test/", failure: "bad_request" },
    { url: "no url", failure: "bad_request" },
    { url: "http://user:secret@one.test/", failure: "bad_request" },
    { url: "http://closed.test/", failure: "denied" },
    { url: "https://closed.test/", failure: "denied" },
  ];
  for (const { url, failure } of rows) assertEquals((await ask(world, { url })).failure, failure, url);
});

Deno.test("an answer that is cut cuts the client's stream", async () => {
  await using server = origin(() => {
    let isBegun = false;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (isBegun) return controller.error(new Error("enough"));
          isBegun = true;
          controller.enqueue(new TextEncoder().encode("half"));
        },
      }),
    );
  });
  using world = rig();
  const { near, done } = world.open({ url: `http://one.test:${server.port}/` });
  await readResponseHead(near);
  await assertRejects(() => readAll(near));
  await assertRejects(() => done);
});

Deno.test("a client that goes away has its request given up", async () => {
  const asked = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  await using server = origin((request) => {
    asked.resolve();
    request.signal.addEventListener("abort", () => aborted.resolve());
    return new Promise((resolve) => request.signal.addEventListener("abort", () => resolve(new Response())));
  });
  using world = rig();
  const { done } = world.open({ url: `http://one.test:${server.port}/` });
  await asked.promise;
  world.gone.abort(new Error("gone"));
  await assertRejects(() => done, Error, "gone");
  await aborted.promise;
});

Deno.test("https: goes through the path as well, and the certificate is checked", async () => {
  using folder = new TempDirectory();
  const tls = await makeTlsCertificate(folder, "one", { host: "DNS:one.test" });
  await using server = origin(() => new Response("sealed"), { cert: tls.cert, key: tls.key });
  const url = `https://one.test:${server.port}/`;
  using trusting = rig({ caCerts: [tls.cert] });
  assertEquals((await ask(trusting, { url })).body, "sealed");
  using other = rig();
  assertEquals((await ask(other, { url })).failure, "failed");
  assertEquals((await ask(trusting, { url: url.replace("one", "two") })).failure, "failed");
});

Deno.test("connections are used again", async () => {
  await using server = origin(() => new Response("x"));
  const dialled: string[] = [];
  using world = rig({ dialled });
  for (let count = 0; count < 20; count++) await ask(world, { url: `http://one.test:${server.port}/` });
  // The second may come before the first's connection is known to be free.
  assert(dialled.length < 4, `${dialled.length}`);
});

Deno.test("an origin that does not answer is given up", async () => {
  const gone = Promise.withResolvers<Response>();
  await using server = origin(() => gone.promise);
  using world = rig({ headTimeoutMs: 50 });
  assertEquals((await ask(world, { url: `http://one.test:${server.port}/` })).failure, "timeout");
  gone.resolve(new Response());
});

/** An origin that says these bytes to whatever it is asked, and hangs up. */
function sayingOrigin(answer: string): { readonly port: number } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      await conn.read(new Uint8Array(65_536)).catch(() => null);
      await conn.write(Uint8Array.from(answer, (character) => character.charCodeAt(0))).catch(() => {});
      conn.close();
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

Deno.test("answers without a body, or with more than a head and a body, come through", async () => {
  const rows = [
    { name: "to HEAD", method: "HEAD", said: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", status: 200, body: "" },
    { name: "204", said: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, body: "" },
    { name: "304", said: "HTTP/1.1 304 Not Modified\r\nETag: a\r\nContent-Length: 5\r\n\r\n", status: 304, body: "" },
    {
      name: "a hint before",
      said: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      status: 200,
      body: "hi",
    },
    {
      name: "a trailer behind",
      said: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nhi\r\n0\r\nX: 1\r\n\r\n",
      status: 200,
      body: "hi",
    },
    { name: "of HTTP/1.0", said: "HTTP/1.0 200 OK\r\n\r\nto the end", status: 200, body: "to the end" },
    {
      name: "fields beyond ASCII",
      said: "HTTP/1.1 200 \xc3\xa9\r\nContent-Length: 0\r\nX-Name: \xe6\x97\xa5\r\n\r\n",
      status: 200,
      body: "",
      field: ["x-name", "\xe6\x97\xa5"],
    },
  ];
  using world = rig();
  for (const { name, said, status, body, method = "GET", field } of rows) {
    await using server = sayingOrigin(said);
    const asked = await ask(world, { url: `http://one.test:${server.port}/`, method });
    assertEquals([asked.answer.status, asked.body], [status, body], name);
    assert(!asked.answer.headers.some(([name]) => /^(trailer|transfer-encoding|link)$/.test(name)), name);
    if (field) assertEquals(asked.answer.headers.find(([name]) => name === field[0])?.[1], field[1], name);
  }
});

Deno.test("an answer that cannot be told is a failure with a reason", async () => {
  const many = Array.from({ length: 300 }, (_, number) => `X-${number}: 1\r\n`).join("");
  const rows = [
    { name: "a status that is none", said: "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n" },
    { name: "too many fields", said: `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${many}\r\n` },
    { name: "too long a field", said: `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}\r\n\r\n` },
    { name: "no HTTP", said: "SSH-2.0-x\r\n" },
    { name: "another protocol", said: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" },
    { name: "two lengths", said: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" },
  ];
  using world = rig();
  for (const { name, said } of rows) {
    await using server = sayingOrigin(said);
    const { near, done } = world.open({ url: `http://one.test:${server.port}/` });
    const answer = await readResponseHead(near);
    assertEquals("failure" in answer && answer.failure, "failed", name);
    assert("failure" in answer && answer.message.length > 5, name);
    await done;
    near.close();
  }
});

Deno.test("a redirect goes no further than the path lets it", async () => {
  await using server = origin(() => new Response(null, { status: 302, headers: { location: "http://closed.test/" } }));
  using world = rig();
  assertEquals((await ask(world, { url: `http://one.test:${server.port}/` })).failure, "denied");
});

Deno.test("a client that says nothing, or takes nothing, does not keep its place", async () => {
  await using server = origin(() => new Response(new Uint8Array(4_000_000)));
  using world = rig({ headTimeoutMs: 50, idleTimeoutMs: 50 });
  const [silent, far] = memoryStreamPair();
  await assertRejects(() => world.serve(far), Error, "in time");
  silent.close();
  const { near, done } = world.open({ url: `http://one.test:${server.port}/` });
  await assertRejects(() => done, Error, "moved");
  near.close();
});

Deno.test("connections to origins end when nobody has asked for a while, and with the server", async () => {
  using folder = new TempDirectory();
  const tls = await makeTlsCertificate(folder, "one", { host: "DNS:one.test" });
  await using plain = origin(() => new Response("x"));
  await using secure = origin(() => new Response("x"), { cert: tls.cert, key: tls.key });
  const open = new Set<Deno.TcpConn>();
  let allClosed = Promise.withResolvers<void>();
  const path: Pick<Path, "dial"> = {
    async dial({ port }) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      open.add(conn);
      const close = conn.close.bind(conn);
      conn.close = () => {
        open.delete(conn);
        close();
        if (open.size === 0) allClosed.resolve();
      };
      return conn;
    },
  };
  const world = rig({ caCerts: [tls.cert], path });
  const urls = [`http://one.test:${plain.port}/`, `https://one.test:${secure.port}/`];
  for (const url of urls) assertEquals((await ask(world, { url })).body, "x");
  assertEquals(open.size, 2);
  await allClosed.promise;
  allClosed = Promise.withResolvers<void>();
  for (const url of urls) assertEquals((await ask(world, { url })).body, "x");
  assertEquals(open.size, 2);
  world[Symbol.dispose]();
  await allClosed.promise;
});
