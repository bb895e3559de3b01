import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { DialError } from "../protocol/errors.ts";
import type { DialOptions, Hop, Path, Stream, Target } from "../protocol/stream.ts";
import { writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { withHello } from "./hello.ts";
import { memoryStreamPair } from "./memory.ts";

const HELLO = { host: "hello.culvert", port: 80 };
const TRAIL: Hop[] = [
  { name: "ingress", at: "127.0.0.1:1080 (socks5)" },
  { name: "tunnel client", at: "ws://127.0.0.1:40123", rttMs: 0.42 },
  { name: "tunnel server", at: "127.0.0.1:40123" },
];

/** A Path that records what it is asked for. */
class Recorder implements Path {
  readonly stream = memoryStreamPair()[0];
  readonly asked: [Target, DialOptions | undefined][] = [];
  isClosed = false;

  dial(target: Target, options?: DialOptions): Promise<Stream> {
    this.asked.push([target, options]);
    return Promise.resolve(this.stream);
  }

  close(): void {
    this.isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function helloPath(clock = new FakeClock()) {
  const inner = new Recorder();
  return { inner, clock, path: withHello(inner, { clock }) };
}

async function readAll(stream: Stream): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (let count; (count = await stream.read(buffer)) !== null;) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

/** Sends raw requests on one connection, ends our half and gives all that came back. */
async function exchange(requests: string, trail: readonly Hop[] = TRAIL): Promise<string> {
  using path = helloPath().path;
  using stream = await path.dial(HELLO, { trail });
  await writeAll(stream, new TextEncoder().encode(requests));
  await stream.closeWrite();
  return await readAll(stream);
}

function bodyOf(response: string): string {
  return response.slice(response.indexOf("\r\n\r\n") + 4);
}

function get(headers = ""): string {
  return `GET / HTTP/1.1\r\nHost: hello.culvert\r\n${headers}\r\n`;
}

Deno.test("the page tells the way, aligned for a terminal", async () => {
  const response = await exchange(get("Connection: close\r\n"));
  assert(response.startsWith("HTTP/1.1 200 OK\r\n"));
  assert(response.includes("\r\nContent-Type: text/plain; charset=utf-8\r\n"));
  assert(response.includes("\r\nConnection: close\r\n"));
  assertEquals(
    bodyOf(response),
    `Hello from the far end of the culvert.

   1  ingress        127.0.0.1:1080 (socks5)
   2  tunnel client  ws://127.0.0.1:40123
      |  0.4 ms
   3  tunnel server  127.0.0.1:40123
   4  egress         this is where traffic leaves

The measured way takes 0.4 ms there and back.
It arrived at 2026-01-01T00:00:00.000Z.
`,
  );
});

Deno.test("regions stand behind the hops, and between two hops what is known of the way", async () => {
  const trail = [
    { name: "client", at: "c-1", region: "north", rttMs: 12.3, seal: "sealed to the exit" },
    { name: "supernode", at: "s-1", seal: "not read here" },
    { name: "exit", at: "e-1", region: "south" },
  ];
  const lines = bodyOf(await exchange(get(), trail)).split("\n").slice(2, 8);
  assertEquals(lines, [
    "   1  client     c-1  north",
    "      |  12 ms, sealed to the exit",
    "   2  supernode  s-1",
    "      |  not read here",
    "   3  exit       e-1  south",
    "   4  egress     this is where traffic leaves",
  ]);
});

Deno.test("a program gets JSON, in ASCII and without what is no round trip", async () => {
  const trail = [{ name: "client\u009b2J", at: "c", region: "north", rttMs: NaN }, { name: "exit", at: "e", rttMs: 2 }];
  const response = await exchange(get("Accept: application/json\r\n"), trail);
  assert(response.includes("\r\nContent-Type: application/json\r\n"));
  assert(/^[\x20-\x7e]+\n$/.test(bodyOf(response)));
  assertEquals(JSON.parse(bodyOf(response)).hops.slice(0, 2), [
    { name: "client\u009b2J", at: "c", region: "north" },
    { name: "exit", at: "e", rttMs: 2 },
  ]);
});

Deno.test("a browser gets HTML that loads nothing, with every text escaped", async () => {
  const evil: Hop = { name: "<script>x", at: `"'&<img src=x>`, region: "<b>", seal: "<i>" };
  const response = await exchange(get("Accept: text/html,*/*;q=0.8\r\n"), [evil]);
  assert(response.includes("\r\nContent-Type: text/html; charset=utf-8\r\n"));
  assert(response.includes("\r\nContent-Security-Policy: default-src 'none';"));
  assert(!/<(?:script|img|b|i)\b/.test(response));
  assert(response.includes("&#60;script&#62;x") && response.includes("&#34;&#39;&#38;"));
});

Deno.test("whatever a trail holds, the page is short lines that a terminal only prints", async () => {
  const hop = fc.record(
    {
      name: fc.string({ unit: "binary" }),
      at: fc.string({ unit: "binary", maxLength: 200 }),
      rttMs: fc.double(),
      region: fc.string({ unit: "binary", maxLength: 40 }),
      seal: fc.string({ unit: "binary", maxLength: 100 }),
    },
    { requiredKeys: ["name", "at"] },
  ) as fc.Arbitrary<Hop>;
  await fc.assert(
    fc.asyncProperty(fc.array(hop, { maxLength: 60 }), async (trail) => {
      const body = bodyOf(await exchange(get(), trail));
      for (const line of body.split("\n")) assert(/^[\x20-\x7e]{0,80}$/.test(line), line);
    }),
    { numRuns: 50 },
  );
});

Deno.test("one connection answers several requests, sent at once or one by one, until told to close", async () => {
  const response = await exchange(get() + get() + get("Connection: close\r\n") + get());
  assertEquals(response.split("HTTP/1.1 200 OK").length - 1, 3);
  assertEquals(response.split("Connection: keep-alive").length - 1, 2);
});

Deno.test("HEAD has the headers of GET and no body", async () => {
  const head = await exchange("HEAD / HTTP/1.1\r\nHost: hello.culvert\r\nConnection: close\r\n\r\n");
  const length = Number(/Content-Length: (\d+)/.exec(head)![1]);
  assertEquals(length, bodyOf(await exchange(get())).length);
  assertEquals(bodyOf(head), "");
});

const answers: [name: string, request: string, status: string][] = [
  ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "200"],
  ["an absolute target", "GET http://hello.culvert/ HTTP/1.1\r\nHost: hello.culvert\r\n\r\n", "200"],
  ["a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n", "200"],
  ["another method", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"],
  ["HTTP/1.1 without Host", "GET / HTTP/1.1\r\n\r\n", "400"],
  ["another protocol", "SSH-2.0-OpenSSH\r\n\r\n", "400"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\n", "400"],
  ["a folded header", "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400"],
  ["an endless head", `GET / HTTP/1.1\r\nHost: ${"x".repeat(9000)}`, "431"],
];
for (const [name, request, status] of answers) {
  Deno.test(`${name} is answered ${status}, and only once`, async () => {
    const response = await exchange(request);
    assert(response.startsWith(`HTTP/1.1 ${status} `), response);
    assertEquals(response.split("HTTP/1.1 ").length - 1, 1);
  });
}

Deno.test("any bytes get answers or an end, never an error", async () => {
  const piece = fc.constantFrom("GET", " ", "/", "HTTP/1.1", "\r\n", "Host: x", "Connection: close", ":", "\0", "é");
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.array(piece).map((pieces) => pieces.join(""))), async (request) => {
      const response = await exchange(request);
      assert(response === "" || response.startsWith("HTTP/1.1 "));
    }),
    { numRuns: 100 },
  );
});

Deno.test("a connection that says nothing, or too slowly, is closed after ten seconds", async () => {
  const { path, clock } = helloPath();
  using _path = path;
  using stream = await path.dial(HELLO);
  await clock.advanceAsync(9_000);
  await writeAll(stream, new TextEncoder().encode("GET / HT"));
  await clock.advanceAsync(1_000);
  assertEquals(await readAll(stream), "");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("closing the Path ends its answers and the inner Path", async () => {
  const { path, inner, clock } = helloPath();
  const stream = await path.dial(HELLO);
  path.close();
  assertEquals(await readAll(stream), "");
  await clock.advanceAsync(0);
  assertEquals([inner.isClosed, clock.pendingTimers], [true, 0]);
});

Deno.test("connections answered at once are bounded, and none is answered after close", async () => {
  const { path, clock } = helloPath();
  const streams: Stream[] = [];
  for (let at = 0; at < 1024; at++) streams.push(await path.dial(HELLO));
  assertEquals((await assertRejects(() => path.dial(HELLO), DialError)).code, "busy");
  streams[0]!.close();
  await clock.advanceAsync(0);
  await path.dial(HELLO);
  path.close();
  assertEquals((await assertRejects(() => path.dial(HELLO), DialError)).code, "path_down");
  await clock.advanceAsync(0);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("hello.culvert is known in any case and with a final dot; the rest of .culvert has no address", async () => {
  const { path, inner } = helloPath();
  using _path = path;
  for (const host of ["hello.culvert", "HELLO.Culvert", "hello.culvert."]) {
    (await path.dial({ host, port: 80 })).close();
  }
  for (const host of ["other.culvert", "x.hello.culvert", "a.CULVERT."]) {
    assertEquals((await assertRejects(() => path.dial({ host, port: 80 }), DialError)).code, "unresolved");
  }
  assertEquals((await assertRejects(() => path.dial({ ...HELLO, port: 443 }), DialError)).code, "refused");
  assertEquals(inner.asked, []);
});

Deno.test("any other host passes through as it is, without the trail", async () => {
  const { path, inner } = helloPath();
  using _path = path;
  const { signal } = new AbortController();
  const targets = ["example.com", "culvert", "hello.culvert.example", "myculvert"].map((host) => ({ host, port: 80 }));
  for (const target of targets) {
    assertStrictEquals(await path.dial(target, { signal, trail: TRAIL }), inner.stream);
  }
  assertEquals(inner.asked.map(([target]) => target), targets);
  for (const [, options] of inner.asked) assertEquals(options, { signal });
});

Deno.test("datagrams are offered exactly when the inner Path offers them", async () => {
  assertEquals(helloPath().path.datagrams, undefined);
  const inner = Object.assign(new Recorder(), {
    datagrams: (options?: DialOptions) => Promise.reject(new Error(JSON.stringify(options ?? "none"))),
  });
  using path = withHello(inner);
  await assertRejects(() => path.datagrams!({ trail: TRAIL }), Error, "none");
});
