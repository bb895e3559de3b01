import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { clockOf } from "../protocol/clock.ts";
import { silentLog } from "../protocol/log.ts";
import { randomOf } from "../protocol/random.ts";
import { type Stream, writeAll } from "../protocol/stream.ts";
import { createMetrics } from "../edge/metrics.ts";
import { FakeClock, settle } from "../testing/fake_clock.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate } from "../testing/tls_certificate.ts";
import { closeQuietly } from "./close.ts";
import { TextSocket } from "./text_socket.ts";
import { WebPort, type WebPortOptions } from "./web_port.ts";
import { dialWebsocket } from "./websocket_dial.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

/** Echoes bodies, and the texts on WebSockets at /echo; /full is full. */
function echoPort(options: Partial<WebPortOptions> = {}): WebPort & AsyncDisposable {
  const port = new WebPort({
    listen: { hostname: "127.0.0.1", port: 0 },
    clock,
    log: silentLog,
    onWebsocket({ path, authorization }) {
      if (path === "/full") return { status: 503 };
      if (path !== "/echo") return { status: 404 };
      if (authorization !== "Bearer t") return { status: 401 };
      return {
        take(stream, first, settled) {
          const socket = new TextSocket(stream, { clock, first });
          settled();
          socket.start({ onText: (text) => socket.send(text), onBinary() {}, onClose() {} });
        },
      };
    },
    fetch: async (request, remote) =>
      Response.json({ at: new URL(request.url).pathname, said: await request.text(), remote }),
    limits: { maxBodyBytes: 1000 },
    ...options,
  });
  return Object.assign(port, {
    async [Symbol.asyncDispose]() {
      port.close();
      await port.closed();
    },
  });
}

async function say(port: WebPort, text: string | Uint8Array): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: port.address.port });
  await writeAll(conn, typeof text === "string" ? new TextEncoder().encode(text) : text);
  await conn.closeWrite();
  return await new Response(conn.readable).text().catch(() => "");
}

Deno.test("a request is answered with what it said, and from where", async () => {
  await using port = echoPort();
  const response = await fetch(`http://127.0.0.1:${port.address.port}/a?b`, { method: "POST", body: "hello" });
  assertEquals(await response.json(), { at: "/a", said: "hello", remote: "127.0.0.1" });
});

/** A connection on which one request after the other can be made. */
async function keptConnection(port: WebPort) {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: port.address.port });
  return {
    /** Gives the answer's first bytes; "" when the port has hung up. */
    async ask(request: string): Promise<string> {
      await writeAll(conn, new TextEncoder().encode(request)).catch(() => {});
      const buffer = new Uint8Array(4096);
      const count = await conn.read(buffer).catch(() => null);
      return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
    },
    [Symbol.dispose]: () => conn.close(),
  };
}

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

Deno.test("who was answered may ask again on the same connection, until it is idle for too long", async () => {
  const fake = new FakeClock();
  await using port = echoPort({ clock: fake });
  using connection = await keptConnection(port);
  for (const body of ["one", "two"]) {
    const answer = await connection.ask(`POST /${body} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n${body}`);
    assertMatch(answer, /^HTTP\/1\.1 200 /);
    assertStringIncludes(answer, `"said":"${body}"`);
    fake.advance(9_000);
  }
  const end = connection.ask("");
  fake.advance(10_000);
  assertEquals(await end, "");
});

const hungUp = [
  { name: "who was refused", request: "GET / HTTP/1.1\r\n\r\n" },
  { name: "who asks for it", request: "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" },
  { name: "HTTP/1.0", request: "GET / HTTP/1.0\r\nHost: x\r\n\r\n" },
  { name: "who asks for more before it is answered", request: GET + GET },
];
for (const { name, request } of hungUp) {
  Deno.test(`hung up on once it is answered: ${name}`, async () => {
    await using port = echoPort();
    using connection = await keptConnection(port);
    assertMatch(await connection.ask(request), /^HTTP\/1\.1 \d+ .*\r\nConnection: close\r\n/);
    assertEquals(await connection.ask(GET), "");
  });
}

Deno.test("connections that wait for their next request count for their address, and go when the port closes", async () => {
  await using port = echoPort({ limits: { maxStrangersPerAddress: 1 } });
  using first = await keptConnection(port);
  assertMatch(await first.ask(GET), /^HTTP\/1\.1 200 /);
  using second = await keptConnection(port);
  assertMatch(await second.ask(GET), /^HTTP\/1\.1 200 /);
  assertEquals(await first.ask(GET), "");
  assertMatch(await second.ask(GET), /^HTTP\/1\.1 200 /);
  port.close();
  await port.closed();
  assertEquals(await second.ask(GET), "");
});

Deno.test("one port takes WebSockets as well", async () => {
  await using port = echoPort();
  const { stream, first } = await dialWebsocket(
    { target: { host: "127.0.0.1", port: port.address.port }, tls: false, urlPath: "/echo" },
    { headers: { Authorization: "Bearer t" }, random, signal: new AbortController().signal },
  );
  const socket = new TextSocket(stream, { clock, random, first });
  const heard = Promise.withResolvers<string>();
  const closed = Promise.withResolvers<void>();
  socket.start({ onText: heard.resolve, onBinary() {}, onClose: () => closed.resolve() });
  socket.send("hello");
  assertEquals(await heard.promise, "hello");
  socket.close();
  await closed.promise;
});

const upgrade = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const refusals = [
  { name: "a body that is too long", text: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", status: 413 },
  {
    name: "a body of a length nobody tells",
    text: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    status: 413,
  },
  { name: "no host", text: "GET / HTTP/1.1\r\n\r\n", status: 400 },
  { name: "a WebSocket at the wrong place", text: `GET / HTTP/1.1\r\n${upgrade}`, status: 404 },
  { name: "a WebSocket without the token", text: `GET /echo HTTP/1.1\r\n${upgrade}`, status: 401 },
  { name: "a WebSocket when it is full", text: `GET /full HTTP/1.1\r\n${upgrade}`, status: 503 },
];
for (const { name, text, status } of refusals) {
  Deno.test(`refused: ${name}`, async () => {
    await using port = echoPort();
    assertMatch(await say(port, text), new RegExp(`^HTTP/1\\.1 ${status} `));
  });
}

Deno.test("any bytes are answered or hung up on, and the port stays open", async () => {
  await using port = echoPort();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await say(port, bytes);
    }),
    { numRuns: 50 },
  );
  assertMatch(await say(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), /^HTTP\/1\.1 200 /);
});

Deno.test("what arrives while too many of its address have not shown who they are takes the oldest one's place", async () => {
  const metrics = createMetrics();
  await using port = echoPort({ metrics, limits: { maxStrangersPerAddress: 2 } });
  const silent = await Promise.all([1, 2].map(() => Deno.connect({ hostname: "127.0.0.1", port: port.address.port })));
  assertMatch(await say(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), /^HTTP\/1\.1 200 /);
  const ends = silent.map((conn) => conn.read(new Uint8Array(1)));
  assertEquals(await Promise.race(ends), null);
  assertStringIncludes(await metrics.text(), 'web_port_refused_total{reason="too_many_of_address"} 1');
  for (const conn of silent) conn.close();
  await Promise.allSettled(ends);
});

Deno.test("a WebSocket counts for its address until it is known whose it is", async () => {
  const held: (() => void)[] = [];
  const streams: Stream[] = [];
  await using port = echoPort({
    limits: { maxStrangersPerAddress: 1 },
    onWebsocket: () => ({
      take(stream, _first, settled) {
        streams.push(stream);
        held.push(settled);
      },
    }),
  });
  const dial = async () =>
    (await dialWebsocket(
      { target: { host: "127.0.0.1", port: port.address.port }, tls: false, urlPath: "/" },
      { random, signal: new AbortController().signal },
    )).stream;
  const first = await dial();
  const second = await dial();
  assertEquals(await first.read(new Uint8Array(1)), null);
  held[1]!();
  const third = await dial();
  await writeAll(streams[1]!, new Uint8Array(1));
  assertEquals(await second.read(new Uint8Array(1)), 1);
  for (const stream of [first, second, third, ...streams]) closeQuietly(stream);
});

Deno.test("a request that dawdles is hung up on, whether with its head or with its body", async () => {
  for (const text of ["GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"]) {
    const fake = new FakeClock();
    const metrics = createMetrics();
    await using port = echoPort({ clock: fake, metrics });
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: port.address.port });
    await writeAll(conn, new TextEncoder().encode(text));
    while (fake.pendingTimers === 0) await settle();
    fake.advance(10_000);
    assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
    assertStringIncludes(await metrics.text(), 'web_port_refused_total{reason="timeout"} 1');
  }
});

testWith({ tools: ["openssl"] }, "a renewed certificate is for new connections; those there are stay", async () => {
  using folder = new TempDirectory();
  const [old, renewed] = await Promise.all(["old", "renewed"].map((name) => makeTlsCertificate(folder, name)));
  await using port = echoPort({ tls: old! });
  const at = { hostname: "127.0.0.1", port: port.address.port };
  /** Whether somebody who trusts only that certificate gets through. */
  const isServed = async (trusted: string): Promise<boolean> => {
    try {
      using conn = await Deno.connectTls({ ...at, caCerts: [trusted] });
      await conn.handshake();
      return true;
    } catch (error) {
      // One that comes while the older listener closes is reset, and tries again.
      return error instanceof Deno.errors.ConnectionReset ? await isServed(trusted) : false;
    }
  };
  using live = await Deno.connectTls({ ...at, caCerts: [old!.cert] });
  await live.handshake();
  assertEquals([await isServed(old!.cert), await isServed(renewed!.cert)], [true, false]);
  port.renewTls(renewed!);
  assertEquals([await isServed(old!.cert), await isServed(renewed!.cert)], [false, true]);
  await writeAll(live, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  assertMatch(await new Response(live.readable).text(), /^HTTP\/1\.1 200 /);
});

testWith({ tools: ["openssl"] }, "a TLS port that another has is not shared", async () => {
  using folder = new TempDirectory();
  const tls = await makeTlsCertificate(folder, "here");
  await using port = echoPort({ tls });
  assertThrows(
    () => echoPort({ tls, listen: { hostname: "127.0.0.1", port: port.address.port } }),
    Deno.errors.AddrInUse,
  );
});
