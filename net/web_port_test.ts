import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { clockOf } from "../protocol/clock.ts";
import { silentLog } from "../protocol/log.ts";
import { randomOf } from "../protocol/random.ts";
import { writeAll } from "../protocol/stream.ts";
import { TextSocket } from "./text_socket.ts";
import { WebPort } from "./web_port.ts";
import { dialWebsocket } from "./websocket_dial.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

/** Echoes bodies, and the texts on WebSockets at /echo; /full is full. */
function echoPort(): WebPort & AsyncDisposable {
  const port = new WebPort({
    listen: { hostname: "127.0.0.1", port: 0 },
    clock,
    log: silentLog,
    onWebsocket({ path, authorization }) {
      if (path === "/full") return { status: 503 };
      if (path !== "/echo") return { status: 404 };
      if (authorization !== "Bearer t") return { status: 401 };
      return {
        take(stream, first) {
          const socket = new TextSocket(stream, { clock, first });
          socket.start({ onText: (text) => socket.send(text), onBinary() {}, onClose() {} });
        },
      };
    },
    fetch: async (request, remote) =>
      Response.json({ at: new URL(request.url).pathname, said: await request.text(), remote }),
    limits: { maxBodyBytes: 1000 },
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
