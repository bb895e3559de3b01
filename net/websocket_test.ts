import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertError, DialError, type DialFailure } from "../protocol/errors.ts";
import { randomOf } from "../protocol/random.ts";
import { writeAll } from "../protocol/stream.ts";
import { BufferPool } from "./buffer_pool.ts";
import { memoryStreamPair } from "./memory.ts";
import { acceptWebsocket, openWebsocket, readWebsocketRequest, WebsocketLink } from "./websocket.ts";

const random = randomOf(crypto);
const loopback = { hostname: "127.0.0.1", port: 0 };

/** What came over a link, and its end. */
class Ear {
  readonly #link: WebsocketLink;
  readonly #queue: Uint8Array[] = [];
  #got: number[] = [];
  #waiting: { length: number; resolve: (bytes: number[]) => void } | undefined;
  readonly ended = Promise.withResolvers<unknown>();

  constructor(link: WebsocketLink) {
    this.#link = link;
    link.start({
      onBytes: (bytes) => {
        for (const byte of bytes) this.#got.push(byte);
        this.#tell();
      },
      fill: (into) => {
        const next = this.#queue.shift();
        if (!next) return 0;
        const count = Math.min(into.length, next.length);
        into.set(next.subarray(0, count));
        if (count < next.length) this.#queue.unshift(next.subarray(count));
        return count;
      },
      wantsBytes: () => true,
      onClose: (error) => this.ended.resolve(error),
    });
  }

  send(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    this.#link.wake();
  }

  hear(length: number): Promise<number[]> {
    return new Promise((resolve) => {
      this.#waiting = { length, resolve };
      this.#tell();
    });
  }

  #tell(): void {
    if (!this.#waiting || this.#got.length < this.#waiting.length) return;
    this.#waiting.resolve(this.#got.splice(0, this.#waiting.length));
    this.#waiting = undefined;
  }
}

Deno.test("our client speaks to the runtime's server", async () => {
  const closes: { code: number; wasClean: boolean }[] = [];
  const closed = Promise.withResolvers<void>();
  let theirs: WebSocket | undefined;
  const server = Deno.serve({ ...loopback, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    theirs = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => socket.send(data);
    socket.onclose = ({ code, wasClean }) => {
      closes.push({ code, wasClean });
      closed.resolve();
    };
    return response;
  });
  const conn = await Deno.connect(server.addr as Deno.ConnectOptions);
  const first = await openWebsocket(conn, { host: "x", path: "/" }, random);
  const link = new WebsocketLink(conn, new BufferPool(), { first, random });
  const ear = new Ear(link);
  for (const length of [1, 125, 126, 5000, 65_536, 300_000]) {
    const bytes = Uint8Array.from({ length }, (_, at) => at * 7);
    ear.send(bytes);
    assertEquals((await ear.hear(length)).join(), bytes.join());
  }
  theirs!.close(1001, "done");
  assertEquals(await ear.ended.promise, undefined);
  await closed.promise;
  assert(closes[0]!.wasClean);
  await server.shutdown();
});

Deno.test("our server speaks to the runtime's client", async () => {
  const listener = Deno.listen(loopback);
  const client = new WebSocket(`ws://127.0.0.1:${listener.addr.port}/some/path?x=1`);
  client.binaryType = "arraybuffer";
  const conn = await listener.accept();
  const request = await readWebsocketRequest(conn);
  assertEquals(request?.head.target, "/some/path?x=1");
  await acceptWebsocket(conn, request!.key!);
  const link = new WebsocketLink(conn, new BufferPool(), { first: request!.rest });
  const ear = new Ear(link);
  await new Promise((resolve) => client.onopen = resolve);
  for (const length of [1, 126, 65_536, 200_000]) {
    const bytes = Uint8Array.from({ length }, (_, at) => at * 3);
    const back = Promise.withResolvers<number[]>();
    const got: number[] = [];
    client.onmessage = ({ data }) => {
      for (const byte of new Uint8Array(data)) got.push(byte);
      if (got.length === length) back.resolve(got);
    };
    client.send(bytes);
    const heard = await ear.hear(length);
    assertEquals(heard.join(), bytes.join());
    ear.send(Uint8Array.from(heard));
    assertEquals((await back.promise).join(), bytes.join());
  }
  const closed = new Promise<CloseEvent>((resolve) => client.onclose = resolve);
  client.close();
  assertEquals(await ear.ended.promise, undefined);
  assert((await closed).wasClean);
  listener.close();
});

Deno.test("a ping is answered with its payload, a fault ends the link with its name", async () => {
  const [near, far] = memoryStreamPair();
  const ear = new Ear(new WebsocketLink(near, new BufferPool()));
  const key = [1, 2, 3, 4];
  await writeAll(far, Uint8Array.of(0x89, 0x82, ...key, 0x41 ^ 1, 0x42 ^ 2));
  const pong = new Uint8Array(10);
  assertEquals(await far.read(pong), 4);
  assertEquals([...pong.subarray(0, 4)], [0x8a, 2, 0x41, 0x42]);
  await writeAll(far, Uint8Array.of(0x81, 0x80, ...key));
  const error = await ear.ended.promise;
  assert(error instanceof CulvertError);
  assertEquals(error.code, "protocol");
  assertStringIncludes(error.message, "unsupported_data");
});

const ACCEPT_OTHER = "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const refusals: readonly { name: string; answer: string; code: DialFailure; says: string }[] = [
  { name: "404", answer: "HTTP/1.1 404 Not Found\r\n\r\n", code: "failed", says: "404" },
  { name: "401", answer: "HTTP/1.1 401 Unauthorized\r\n\r\n", code: "unauthorized", says: "401" },
  { name: "403", answer: "HTTP/1.1 403 Forbidden\r\n\r\n", code: "unauthorized", says: "403" },
  { name: "503", answer: "HTTP/1.1 503 Busy\r\n\r\n", code: "busy", says: "busy" },
  { name: "429", answer: "HTTP/1.1 429 Slow down\r\n\r\n", code: "busy", says: "busy" },
  { name: "200", answer: "HTTP/1.1 200 OK\r\n\r\n", code: "failed", says: "200" },
  { name: "not HTTP", answer: "SSH-2.0-OpenSSH\r\n\r\n", code: "failed", says: "does not speak HTTP" },
  { name: "nothing at all", answer: "", code: "failed", says: "does not speak HTTP" },
  { name: "an endless head", answer: "HTTP/1.1 101 x\r\nA: " + "x".repeat(20_000), code: "failed", says: "HTTP" },
  {
    name: "the wrong accept",
    answer: `HTTP/1.1 101 Switching Protocols\r\n${ACCEPT_OTHER}\r\n\r\n`,
    code: "failed",
    says: "does not fit",
  },
];

Deno.test("a refused handshake says why", async (t) => {
  for (const { name, answer, code, says } of refusals) {
    await t.step(name, async () => {
      const [near, far] = memoryStreamPair();
      await writeAll(far, new TextEncoder().encode(answer));
      await far.closeWrite();
      const error = await assertRejects(() => openWebsocket(near, { host: "h:1", path: "/" }, random), DialError);
      assertEquals(error.code, code);
      assertStringIncludes(error.message, says);
    });
  }
  await t.step("a reset", async () => {
    const [near, far] = memoryStreamPair();
    far.abort();
    const error = await assertRejects(() => openWebsocket(near, { host: "h", path: "/" }, random), DialError);
    assertEquals(error.code, "failed");
  });
});

const requests: readonly { name: string; head: string; asked: boolean }[] = [
  {
    name: "as it should be",
    head:
      "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
    asked: true,
  },
  {
    name: "another version",
    head: "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\n",
    asked: false,
  },
  { name: "no key", head: "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", asked: false },
  {
    name: "another protocol",
    head: "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
    asked: false,
  },
  { name: "no upgrade at all", head: "Host: x\r\n", asked: false },
];

Deno.test("a request for a WebSocket is told from others, with the bytes after it", async () => {
  for (const { name, head, asked } of requests) {
    const [near, far] = memoryStreamPair();
    await writeAll(far, new TextEncoder().encode(`GET / HTTP/1.1\r\n${head}\r\nrest`));
    const request = await readWebsocketRequest(near);
    assertEquals(request!.key, asked ? "x" : undefined, name);
    assertEquals(new TextDecoder().decode(request!.rest), "rest");
  }
});
