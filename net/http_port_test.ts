import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { type Clock, clockOf } from "../protocol/clock.ts";
import { silentLog } from "../protocol/log.ts";
import { readFull, writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { eventually, within } from "../testing/waiting.ts";
import { HttpPort, type HttpPortOptions } from "./http_port.ts";
import { HttpRequestReader } from "./http_request_reader.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Nobody waits for it to move, and it says the same date all the time. */
const real = clockOf(globalThis);
const dated: Clock = {
  now: () => real.now(),
  wallNow: () => Date.UTC(2026, 0, 1),
  after: (delayMs, callback) => real.after(delayMs, callback),
};
const DATE = "Thu, 01 Jan 2026 00:00:00 GMT";

function startPort(options: Partial<HttpPortOptions> = {}): HttpPort {
  return new HttpPort({
    listen: { hostname: "127.0.0.1", port: 0 },
    quick: ({ head, body }) => head.target === "/quick" ? `{"bytes":${body.length}}` : undefined,
    fetch: async (request) =>
      new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`),
    clock: clockOf(globalThis),
    log: silentLog,
    ...options,
  });
}

/** Sends and reads as it is told to. */
class Client implements Disposable {
  readonly conn: Deno.TcpConn;

  private constructor(conn: Deno.TcpConn) {
    this.conn = conn;
  }

  static async open({ address }: HttpPort): Promise<Client> {
    return new Client(await Deno.connect({ hostname: "127.0.0.1", port: address.port }));
  }

  async send(text: string): Promise<void> {
    await writeAll(this.conn, encode(text));
  }

  /** So many characters. */
  async read(length: number): Promise<string> {
    const bytes = new Uint8Array(length);
    assert(await within("an answer", readFull(this.conn, bytes)), "the answer must not be cut short");
    return new TextDecoder().decode(bytes);
  }

  /** All that comes until the other end closes. */
  async rest(): Promise<string> {
    let text = "";
    const buffer = new Uint8Array(4096);
    for (;;) {
      const count = await within("the end", this.conn.read(buffer).catch(() => null));
      if (count === null) return text;
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

const QUICK = "POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
const QUICK_ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n" +
  `x-content-type-options: nosniff\r\ndate: ${DATE}\r\ncontent-length: 11\r\n\r\n{"bytes":2}`;

Deno.test("requests on one connection are answered one after the other, sent singly, together or in pieces", async () => {
  await using port = startPort({ clock: dated });
  using client = await Client.open(port);
  await client.send(QUICK);
  const answer = await client.read(QUICK_ANSWER.length);
  assert(
    answer.startsWith("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n") &&
      answer.endsWith('\r\n\r\n{"bytes":2}'),
  );
  const other = "PUT /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  await client.send(QUICK + other + QUICK);
  const slow = `HTTP/1.1 200 Answer\r\nDate: ${DATE}\r\n` +
    "Content-Length: 13\r\ncontent-type: text/plain;charset=UTF-8\r\n\r\nPUT /slow abc";
  const expected = QUICK_ANSWER + slow + QUICK_ANSWER;
  assertEquals(await client.read(expected.length), expected);
  for (const byte of QUICK) await client.send(byte);
  assertEquals(await client.read(QUICK_ANSWER.length), QUICK_ANSWER);
  await client.send(QUICK.replace("Host", "Connection: close\r\nHost"));
  assertStringIncludes(await client.rest(), "connection: close");
});

Deno.test("a request of HTTP/1.0, and one for the head alone, get what they ask for", async () => {
  await using port = startPort();
  using old = await Client.open(port);
  await old.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n");
  assertStringIncludes(await old.rest(), "GET /old");
  using head = await Client.open(port);
  await head.send("HEAD /head HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const answer = await head.rest();
  assert(answer.includes("Content-Length: 11\r\n") && answer.endsWith("\r\n\r\n"));
});

Deno.test("of an answer to HEAD that has no content, only the length is told that it says itself", async () => {
  const answers = [new Response(null), new Response(null, { headers: { "content-length": "123" } })];
  await using port = startPort({ fetch: () => answers.shift()! });
  using client = await Client.open(port);
  await client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const [unknown, known] = (await client.rest()).toLowerCase().split("\r\n\r\n");
  assertEquals(unknown!.includes("content-length"), false);
  assertStringIncludes(known!, "content-length: 123");
});

for (const target of ["//other/path", "/\\other/path", "/%5cother", "/@other"]) {
  Deno.test(`a request is for the host it names, whatever its target is: ${target}`, async () => {
    await using port = startPort({ fetch: (request) => new Response(new URL(request.url).host) });
    using client = await Client.open(port);
    await client.send(`GET ${target} HTTP/1.1\r\nHost: named:81\r\nConnection: close\r\n\r\n`);
    const answer = await client.rest();
    assert(answer.endsWith("\r\n\r\nnamed:81"), answer);
  });
}

const refusals: readonly (readonly [what: string, request: string, status: number])[] = [
  ["no HTTP", "hello\r\n\r\n", 400],
  ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
  ["a host with a user", "GET / HTTP/1.1\r\nHost: b@a\r\n\r\n", 400],
  ["an empty host", "GET /b/ HTTP/1.1\r\nHost:\r\n\r\n", 400],
  ["no host, of what is answered quickly", "POST /quick HTTP/1.1\r\n\r\n", 400],
  ["two hosts, of what is answered quickly", "POST /quick HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["a path that is none", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a bare line feed", "GET / HTTP/1.1\nHost: a\n\n", 400],
  ["two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
  [
    "a length and chunks",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    400,
  ],
  ["chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411],
  ["a long body", `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n${"x".repeat(101)}`, 413],
  ["a long head", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(40_000)}`, 400],
];
for (const [what, request, status] of refusals) {
  Deno.test(`a request is refused with ${status}, and the connection closed: ${what}`, async () => {
    await using port = startPort({ limits: { maxBodyBytes: 100 } });
    using client = await Client.open(port);
    await client.send(request);
    const answer = await client.read(12);
    assertEquals(answer, `HTTP/1.1 ${status}`);
    await client.conn.closeWrite().catch(() => {});
    await client.rest();
  });
}

Deno.test("who does not end its request, or does not read its answer, is dropped", async () => {
  const clock = new FakeClock();
  const long = "x".repeat(8 * 1024 * 1024);
  await using port = startPort({ clock, fetch: () => new Response(long), limits: { timeoutMs: 1000 } });
  using silent = await Client.open(port);
  using slow = await Client.open(port);
  await slow.send("GET / HTTP/1.1\r\n");
  using deaf = await Client.open(port);
  await deaf.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await deaf.read(100);
  await eventually("all are waited for", () => clock.pendingTimers > 0);
  clock.advance(1500);
  assertEquals([await silent.rest(), await slow.rest()], ["", ""]);
  assert((await deaf.rest()).length < long.length);
});

Deno.test("there are so many connections at most, and so many of one address", async () => {
  await using full = startPort({ limits: { maxConnections: 1 } });
  using first = await Client.open(full);
  await first.send(QUICK);
  await first.read(QUICK_ANSWER.length);
  using second = await Client.open(full);
  assertEquals(await second.rest(), "");
  await first.send(QUICK);
  await first.read(QUICK_ANSWER.length);

  await using crowded = startPort({ limits: { maxPerAddress: 1 } });
  using older = await Client.open(crowded);
  await older.send(QUICK);
  await older.read(QUICK_ANSWER.length);
  using newer = await Client.open(crowded);
  assertEquals(await older.rest(), "", "the oldest makes room");
  await newer.send(QUICK);
  await newer.read(QUICK_ANSWER.length);
});

function eventStream(onCancel: () => void): { response: Response; send: (text: string) => void; end: () => void } {
  let controller: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (own) => void (controller = own), cancel: onCancel });
  return {
    response: new Response(body, { headers: { "content-type": "text/event-stream" } }),
    send: (text) => controller.enqueue(encode(text)),
    end: () => controller.close(),
  };
}

Deno.test("a stream of events goes out as it comes, until either side ends it", async () => {
  let cancelled = 0;
  const streams = [eventStream(() => cancelled++), eventStream(() => cancelled++)];
  let at = 0;
  await using port = startPort({ fetch: () => streams[at++]!.response });
  const request = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
  {
    using client = await Client.open(port);
    await client.send(request);
    streams[0]!.send("data: 1\n\n");
    let text = "";
    while (!text.includes("data: 1")) text += await client.read(1);
    assertStringIncludes(text, "Transfer-Encoding: chunked\r\n");
    streams[0]!.send("data: 2\n\n");
    streams[0]!.end();
    assertEquals((await client.rest()).trimStart(), "9\r\ndata: 2\n\n\r\n0\r\n\r\n");
  }
  {
    using client = await Client.open(port);
    await client.send(request);
    await client.read(20);
  }
  await eventually("who is gone is noticed", () => cancelled === 1);
});

Deno.test("a shutdown lets a request under way end, and nobody waits for the others", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const port = startPort({
    async fetch() {
      begun.resolve();
      await promise;
      return new Response("done");
    },
  });
  using idle = await Client.open(port);
  await idle.send(QUICK);
  await idle.read(QUICK_ANSWER.length);
  using busy = await Client.open(port);
  await busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await begun.promise;
  const ended = port.shutdown(new AbortController().signal);
  assertEquals(await idle.rest(), "");
  resolve();
  assertStringIncludes(await busy.rest(), "Connection: close\r\n");
  await ended;
});

Deno.test("a shutdown that has taken too long cuts what is left", async () => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  const begun = Promise.withResolvers<void>();
  const port = startPort({
    fetch() {
      begun.resolve();
      return promise;
    },
  });
  using busy = await Client.open(port);
  await busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await begun.promise;
  const hard = new AbortController();
  const ended = port.shutdown(hard.signal);
  hard.abort();
  assertEquals(await busy.rest(), "");
  resolve(new Response("late"));
  await ended;
});

/** A stream that gives its bytes in pieces. */
function pieces(bytes: Uint8Array, lengths: readonly number[]): { read(into: Uint8Array): Promise<number | null> } {
  let [at, turn] = [0, 0];
  return {
    read(into) {
      if (at === bytes.length) return Promise.resolve(null);
      const piece = bytes.subarray(at, at + Math.min(into.length, lengths[turn++ % lengths.length]!));
      into.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
  };
}

Deno.test("requests are read as they were written, in whatever pieces they come", async () => {
  const request = fc.record({ target: fc.stringMatching(/^\/[a-z]{0,30}$/), body: fc.uint8Array({ maxLength: 9000 }) });
  const lengths = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 5 }), lengths, async (requests, lengths) => {
      const bytes = requests.flatMap(({ target, body }) => [
        ...encode(`POST ${target} HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n`),
        ...body,
      ]);
      const reader = new HttpRequestReader(pieces(new Uint8Array(bytes), lengths));
      for (const { target, body } of requests) {
        const head = await reader.head();
        assert(typeof head === "object");
        assertEquals([head.target, await reader.body(body.length)], [target, body]);
      }
      assertEquals(await reader.head(), undefined);
    }),
    { numRuns: 60 },
  );
});

Deno.test("whatever bytes come, the reader ends with what is wrong or with their end, and holds little", async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 });
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), lengths, async (bytes, lengths) => {
    const reader = new HttpRequestReader(pieces(bytes, lengths));
    for (let turn = 0; turn < 100; turn++) {
      const head = await reader.head();
      if (typeof head !== "object") return;
    }
    assert(false, "there is an end");
  }));
  const endless = { read: (into: Uint8Array) => Promise.resolve(into.fill(0x61).length) };
  assertEquals(await new HttpRequestReader(endless).head(), "the head is too large");
});
