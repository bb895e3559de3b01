import { assert, assertEquals, assertLess, assertLessOrEqual, assertRejects, assertStringIncludes } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError, DialError, type DialFailure } from "../protocol/errors.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { randomOf } from "../protocol/random.ts";
import { type Datagrams, type Hop, type Path, readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { testPathContract } from "../testing/path_contract.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate } from "../testing/tls_certificate.ts";
import { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import { memoryStreamPair } from "./memory.ts";
import { StreamLink } from "./stream_link.ts";
import { openTunnel, parseTunnelUrl, type TunnelClientOptions } from "./tunnel_client.ts";
import { serveTunnelLink } from "./tunnel_link.ts";
import { TunnelPath } from "./tunnel_path.ts";
import { TunnelServer, type TunnelServerOptions } from "./tunnel_server.ts";

const clock = clockOf(globalThis);
const common = { clock, log: silentLog, metrics: noMetrics };
const loopback = { hostname: "127.0.0.1", port: 0 };
const MIB = 1024 * 1024;

/** Leaves through this machine's own sockets; some names fail as they say. */
function direct(trails: (readonly Hop[] | undefined)[] = []): Path {
  return {
    async dial({ host, port }, options): Promise<Stream> {
      trails.push(options?.trail);
      const failure = /^(.*)\.fails$/.exec(host)?.[1] as DialFailure | undefined;
      if (failure) throw new DialError(failure, `as asked: ${failure}`);
      if (host === "hangs") {
        return await new Promise((_, reject) => {
          options!.signal!.addEventListener("abort", () => reject(options!.signal!.reason), { once: true });
        });
      }
      return await Deno.connect({ hostname: host, port });
    },
    datagrams: () => Promise.resolve(udpSocket()),
    close() {},
    [Symbol.dispose]() {},
  };
}

function udpSocket(): Datagrams {
  const socket = Deno.listenDatagram({ ...loopback, transport: "udp" });
  return {
    send: async (bytes, { host, port }) => void await socket.send(bytes, { transport: "udp", hostname: host, port }),
    async receive(into) {
      try {
        const [bytes, from] = await socket.receive(into);
        const { hostname, port } = from as Deno.NetAddr;
        return { length: bytes.length, from: { host: hostname, port } };
      } catch {
        return null;
      }
    },
    close: () => closeQuietly(socket),
    [Symbol.dispose]: () => closeQuietly(socket),
  };
}

function serve(options: Partial<TunnelServerOptions> = {}): TunnelServer {
  return new TunnelServer({ listen: loopback, onward: direct(), ...common, ...options });
}

function connect(server: TunnelServer | number, options: Partial<TunnelClientOptions> = {}, rest = "/"): TunnelPath {
  const port = typeof server === "number" ? server : server.address.port;
  return openTunnel(`tunnel+ws://127.0.0.1:${port}${rest}`, {
    ...common,
    random: randomOf(crypto),
    links: 1,
    ...options,
  });
}

async function end(...parts: (TunnelPath | TunnelServer)[]): Promise<void> {
  for (const part of parts) part.close();
  for (const part of parts) await part.closed();
}

/** A target: what it does with each connection. */
class Target implements Disposable {
  readonly #listener = Deno.listen(loopback);
  readonly #conns = new Set<Deno.TcpConn>();
  readonly #serving: Promise<void>;

  constructor(handle: (conn: Deno.TcpConn) => Promise<void>) {
    this.#serving = this.#serve(handle);
  }

  get at(): { host: string; port: number } {
    return { host: "127.0.0.1", port: this.#listener.addr.port };
  }

  async #serve(handle: (conn: Deno.TcpConn) => Promise<void>): Promise<void> {
    const tasks: Promise<void>[] = [];
    try {
      for await (const conn of this.#listener) {
        this.#conns.add(conn);
        tasks.push(
          handle(conn).catch(() => {}).finally(() => {
            this.#conns.delete(conn);
            try {
              conn.close();
            } catch { /* closed by the test */ }
          }),
        );
      }
    } catch { /* the listener was closed */ }
    await Promise.all(tasks);
  }

  async stop(): Promise<void> {
    this[Symbol.dispose]();
    await this.#serving;
  }

  [Symbol.dispose](): void {
    try {
      this.#listener.close();
    } catch { /* closed already */ }
    for (const conn of this.#conns) conn.close();
    this.#conns.clear();
  }
}

async function echo(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    await writeAll(conn, buffer.subarray(0, count));
  }
  await conn.closeWrite();
}

async function flood(conn: Deno.TcpConn): Promise<void> {
  const chunk = new Uint8Array(64 * 1024);
  for (;;) await writeAll(conn, chunk);
}

async function readAll(stream: Stream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(64 * 1024);
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
    parts.push(buffer.slice(0, count));
  }
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

async function hash(bytes: Uint8Array): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)).join();
}

function randomBytes(length: number): Uint8Array {
  return randomOf(crypto).fill(new Uint8Array(length));
}

async function roundTrip(path: Path, target: Target): Promise<void> {
  using stream = await path.dial(target.at);
  await writeAll(stream, new TextEncoder().encode("hello"));
  const back = new Uint8Array(5);
  assert(await readFull(stream, back));
  assertEquals(new TextDecoder().decode(back), "hello");
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const startMs = clock.now(); !condition();) {
    if (clock.now() - startMs > 8000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => void setTimeout(resolve, 5));
  }
}

async function dialError(path: Path, host: string, port = 1): Promise<DialError> {
  return await assertRejects(() => path.dial({ host, port }), DialError);
}

testPathContract("a tunnel", {
  has: ["refusing", "unresolved", "silent", "datagramEcho"],
  setUp() {
    const server = serve();
    const tunnel = connect(server);
    const target = new Target(echo);
    const udp = Deno.listenDatagram({ ...loopback, transport: "udp" });
    const echoing = (async () => {
      for await (const [bytes, from] of udp) await udp.send(bytes, from);
    })();
    return Promise.resolve({
      path: tunnel,
      echo: target.at,
      refusing: { host: "refused.fails", port: 1 },
      unresolved: { host: "unresolved.fails", port: 1 },
      silent: { host: "hangs", port: 1 },
      datagramEcho: { host: "127.0.0.1", port: (udp.addr as Deno.NetAddr).port },
      async [Symbol.asyncDispose]() {
        await end(tunnel, server);
        udp.close();
        await echoing;
        await target.stop();
      },
    });
  },
});

Deno.test("a stream through a tunnel carries both ways and keeps its half-close", async () => {
  const server = serve();
  const tunnel = connect(server);
  using target = new Target(echo);
  const stream = await tunnel.dial(target.at);
  await writeAll(stream, new TextEncoder().encode("half"));
  await stream.closeWrite();
  assertEquals(new TextDecoder().decode(await readAll(stream)), "half");
  stream.close();
  await target.stop();
  await end(tunnel, server);
});

Deno.test("a dial that fails at the far end fails here for the same reason", async () => {
  const server = serve();
  const tunnel = connect(server);
  const reasons: readonly DialFailure[] = ["denied", "unresolved", "host_unreachable", "refused", "timeout", "busy"];
  for (const reason of reasons) {
    const error = await dialError(tunnel, `${reason}.fails`);
    assertEquals([error.code, error.message], [reason, `as asked: ${reason}`]);
  }
  assertEquals((await dialError(tunnel, "")).code, "unresolved");
  assertEquals((await dialError(tunnel, "x".repeat(256))).code, "unresolved");
  await until(() => server.streamCount === 0, "refused streams leave the table");
  await end(tunnel, server);
});

Deno.test("large transfers both ways at once arrive whole", async () => {
  const server = serve();
  const tunnel = connect(server);
  const down = randomBytes(24 * MIB);
  let gotUp: Uint8Array | undefined;
  using target = new Target(async (conn) => {
    const reading = readAll(conn);
    await writeAll(conn, down);
    await conn.closeWrite();
    gotUp = await reading;
  });
  const up = randomBytes(24 * MIB);
  const stream = await tunnel.dial(target.at);
  const reading = readAll(stream);
  await writeAll(stream, up);
  await stream.closeWrite();
  assertEquals(await hash(await reading), await hash(down));
  await target.stop();
  assertEquals(await hash(gotUp!), await hash(up));
  stream.close();
  await end(tunnel, server);
});

Deno.test("datagrams go through and come back with their address", async () => {
  const server = serve();
  const tunnel = connect(server);
  const target = Deno.listenDatagram({ ...loopback, transport: "udp" });
  const at = { host: "127.0.0.1", port: (target.addr as Deno.NetAddr).port };
  const echoing = (async () => {
    for await (const [bytes, from] of target) await target.send(bytes, from);
  })();
  const datagrams = await tunnel.datagrams();
  const buffer = new Uint8Array(65_507);
  for (const size of [0, 1, 1400, 9000]) {
    const sent = randomBytes(size);
    await datagrams.send(sent, at);
    const got = await datagrams.receive(buffer);
    assertEquals(got, { length: size, from: at });
    assertEquals(buffer.subarray(0, size).join(), sent.join());
  }
  const waiting = datagrams.receive(buffer);
  datagrams.close();
  assertEquals(await waiting, null);
  target.close();
  await echoing;
  await end(tunnel, server);
});

Deno.test("a token must be right, and a wrong one is told clearly", async (t) => {
  const server = serve({ token: "right", urlPath: "/t?x=1" });
  using target = new Target(echo);
  await t.step("right, in the URL", async () => {
    const tunnel = openTunnel(`tunnel+ws://right@127.0.0.1:${server.address.port}/t?x=1&links=3`, {
      ...common,
      random: randomOf(crypto),
    });
    await roundTrip(tunnel, target);
    await until(() => tunnel.linkCount === 3, "three links");
    await end(tunnel);
  });
  const wrong = [
    { name: "wrong", token: "wrong", rest: "/t?x=1" },
    { name: "missing", rest: "/t?x=1" },
    { name: "right, at another path", token: "right", rest: "/u" },
  ];
  for (const { name, rest, ...options } of wrong) {
    await t.step(name, async () => {
      const tunnel = connect(server, options, rest);
      const error = await assertRejects(() => tunnel.dial(target.at), DialError);
      assertEquals(error.code, "path_down");
      assertStringIncludes(error.message, "404");
      assertStringIncludes(error.message, "token");
      await end(tunnel);
    });
  }
  await target.stop();
  await end(server);
});

Deno.test("hops are passed on only when they are given", async () => {
  const trails: (readonly Hop[] | undefined)[] = [];
  const server = serve({ onward: direct(trails) });
  const tunnel = connect(server);
  using target = new Target(echo);
  (await tunnel.dial(target.at)).close();
  (await tunnel.dial(target.at, { trail: [{ name: "ingress", at: "here" }] })).close();
  assertEquals(trails[0], undefined);
  assertEquals(trails[1]!.map(({ name }) => name), ["ingress", "tunnel client", "tunnel server"]);
  await target.stop();
  await end(tunnel, server);
});

Deno.test("when a link dies in mid-transfer both ends fail, as an error, and the next dial works", async () => {
  const server = serve();
  const relay = new Target(async (conn) => {
    const onward = await Deno.connect(server.address as Deno.ConnectOptions);
    await Promise.all([conn.readable.pipeTo(onward.writable), onward.readable.pipeTo(conn.writable)])
      .catch(() => {}).finally(() => {
        try {
          onward.close();
        } catch { /* closed by its pipe */ }
      });
  });
  const port = relay.at.port;
  const tunnel = connect(port);
  let targetEnded = false;
  using target = new Target((conn) => flood(conn).finally(() => targetEnded = true));
  const stream = await tunnel.dial(target.at);
  const buffer = new Uint8Array(64 * 1024);
  for (let got = 0; got < MIB;) got += (await stream.read(buffer))!;
  const startMs = clock.now();
  relay[Symbol.dispose]();
  const error = await assertRejects(async () => {
    while (await stream.read(buffer) !== null);
  }, CulvertError);
  assertEquals(error.code, "link_lost");
  await until(() => targetEnded, "the target hears of it");
  assertLess(clock.now() - startMs, 5000);
  await assertRejects(() => stream.write(buffer));
  await until(() => server.linkCount === 0, "the server forgets the link");
  await end(tunnel);
  await relay.stop();
  await target.stop();
  await end(server);
});

Deno.test("a server that comes up late, or again on the same port, is found", async () => {
  let server = serve();
  const { port } = server.address;
  await end(server);
  const tunnel = connect(port);
  using target = new Target(echo);
  const down = await dialError(tunnel, "127.0.0.1");
  assertEquals(down.code, "path_down");
  for (let round = 0; round < 2; round++) {
    server = serve({ listen: { hostname: "127.0.0.1", port } });
    for (let tries = 0;; tries++) {
      try {
        await roundTrip(tunnel, target);
        break;
      } catch (error) {
        if (tries > 100) throw error;
        await new Promise((resolve) => void setTimeout(resolve, 20));
      }
    }
    await end(server);
  }
  await target.stop();
  await end(tunnel);
});

Deno.test("slow and senseless handshakes end at the deadline, and the oldest makes room", async () => {
  const server = serve({ limits: { handshakeTimeoutMs: 150, maxHandshakes: 2 } });
  const open = () => Deno.connect(server.address as Deno.ConnectOptions);
  const ended = async (conn: Deno.Conn) => {
    try {
      return await conn.read(new Uint8Array(100)) === null;
    } catch {
      return true;
    } finally {
      conn.close();
    }
  };
  const slow = await open();
  await writeAll(slow, new TextEncoder().encode("GET / HTT"));
  const startMs = clock.now();
  assert(await ended(slow));
  assertLessOrEqual(clock.now() - startMs, 3000);
  const conns = [await open(), await open(), await open(), await open()];
  assertEquals(await Promise.all(conns.map(ended)), [true, true, true, true]);
  const garbage = await open();
  await writeAll(garbage, randomBytes(3000));
  assert(await ended(garbage));
  const browser = await open();
  await writeAll(browser, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  assertStringIncludes(new TextDecoder().decode(await readAll(browser)), "404 Not Found");
  browser.close();
  await end(server);
});

Deno.test("beyond its limit of links a server says busy", async () => {
  const server = serve({ limits: { maxLinks: 1 } });
  using target = new Target(echo);
  const first = connect(server);
  await roundTrip(first, target);
  const second = connect(server);
  assertEquals((await dialError(second, "127.0.0.1")).code, "busy");
  await target.stop();
  await end(first, second, server);
});

Deno.test("links that come in some other way count like the others", async () => {
  const server = serve({ limits: { maxLinks: 1 } });
  using target = new Target(echo);
  const first = connect(server);
  await roundTrip(first, target);
  const [near, far] = memoryStreamPair();
  server.serveLink(new StreamLink(far, new BufferPool()), "elsewhere");
  assertEquals(server.linkCount, 1);
  assertEquals(await near.read(new Uint8Array(1)), null);
  await target.stop();
  await end(first, server);
});

Deno.test("a half-closed stream whose other side keeps silent is cut in the end", async () => {
  const server = serve({ limits: { halfClosedTimeoutMs: 50 } });
  const tunnel = connect(server);
  const held = Promise.withResolvers<void>();
  using silent = new Target(() => held.promise);
  const stream = await tunnel.dial(silent.at);
  await stream.closeWrite();
  const error = await assertRejects(() => stream.read(new Uint8Array(1)), CulvertError);
  assertEquals(error.code, "reset");
  await until(() => server.streamCount === 0, "the server forgets the stream");
  held.resolve();
  await silent.stop();
  await end(tunnel, server);
});

Deno.test("beyond its limit of streams a server says busy", async () => {
  const server = serve({ mux: { maxStreams: 1 } });
  using target = new Target(echo);
  const tunnel = connect(server);
  const stream = await tunnel.dial(target.at);
  assertEquals((await dialError(tunnel, "127.0.0.1", target.at.port)).code, "busy");
  stream.close();
  await target.stop();
  await end(tunnel, server);
});

Deno.test("a dial given up here is given up at the far end too", async () => {
  let givenUp = 0;
  const onward = direct();
  const server = serve({
    onward: { ...onward, dial: (target, options) => onward.dial(target, options).finally(() => givenUp++) },
  });
  const tunnel = connect(server);
  const reason = new Error("changed my mind");
  const controller = new AbortController();
  const dialling = assertRejects(
    () => tunnel.dial({ host: "hangs", port: 1 }, { signal: controller.signal }),
    Error,
    "changed my mind",
  );
  await until(() => server.streamCount === 1, "the dial has arrived");
  controller.abort(reason);
  await dialling;
  await until(() => givenUp === 1, "the far dial ends");
  assertEquals(await assertRejects(() => tunnel.dial({ host: "x", port: 1 }, { signal: controller.signal })), reason);
  // The same when the link goes.
  const lost = assertRejects(() => tunnel.dial({ host: "hangs", port: 1 }), DialError);
  await until(() => server.streamCount === 1, "the second dial has arrived");
  await end(tunnel);
  assertEquals((await lost).code, "path_down");
  await until(() => givenUp === 2, "the second far dial ends");
  await end(server);
});

Deno.test("a far dial that takes too long is a timeout", async () => {
  const server = serve({ limits: { dialTimeoutMs: 50 } });
  const tunnel = connect(server);
  assertEquals((await dialError(tunnel, "hangs")).code, "timeout");
  await end(tunnel, server);
});

Deno.test("shutdown lets streams finish, takes no links and leaves nothing", async () => {
  const server = serve();
  const tunnel = connect(server);
  const bytes = randomBytes(8 * MIB);
  using target = new Target(async (conn) => {
    await writeAll(conn, bytes);
    await conn.closeWrite();
    await readAll(conn);
  });
  const stream = await tunnel.dial(target.at);
  await stream.closeWrite();
  const first = new Uint8Array(1000);
  assert(await readFull(stream, first));
  const stopped = server.shutdown(AbortSignal.timeout(8000));
  await assertRejects(() => Deno.connect(server.address as Deno.ConnectOptions));
  assertEquals((await dialError(tunnel, "127.0.0.1", target.at.port)).code, "path_down");
  const rest = await readAll(stream);
  assertEquals(rest.length + 1000, bytes.length);
  assertEquals(await hash(rest), await hash(bytes.subarray(1000)));
  stream.close();
  await stopped;
  assertEquals(server.linkCount, 0);
  await target.stop();
  await end(tunnel);
});

Deno.test("shutdown cuts what has not ended when its signal is aborted", async () => {
  const server = serve();
  const tunnel = connect(server);
  using target = new Target(echo);
  const stream = await tunnel.dial(target.at);
  const reading = assertRejects(() => stream.read(new Uint8Array(1)));
  await server.shutdown(AbortSignal.abort());
  await reading;
  await target.stop();
  await end(tunnel);
});

Deno.test("200 streams at once share a tunnel fairly, and links share the streams", async () => {
  const server = serve();
  const tunnel = connect(server, { links: 2 });
  await until(() => tunnel.linkCount === 2, "both links");
  using target = new Target(flood);
  const streams = await Promise.all(Array.from({ length: 200 }, () => tunnel.dial(target.at)));
  const got = new Array<number>(200).fill(0);
  let total = 0;
  const readers = streams.map(async (stream, index) => {
    const buffer = new Uint8Array(64 * 1024);
    // First the windows settle; then enough for each that a window more or less does not decide.
    while (total < 1500 * MIB) {
      const count = await stream.read(buffer);
      total += count!;
      if (total > 300 * MIB) got[index]! += count!;
    }
  });
  await Promise.all(readers);
  for (const stream of streams) stream.close();
  await target.stop();
  await end(tunnel, server);
  const [most, least] = [Math.max(...got), Math.min(...got)];
  assertLessOrEqual(most / least, 1.5, `most ${most}, least ${least}`);
});

Deno.test("a reader that stalls holds back its own stream only, within its window", async () => {
  const server = serve();
  const tunnel = connect(server);
  let sent = 0;
  using target = new Target(async (conn) => {
    const chunk = new Uint8Array(64 * 1024);
    for (;;) {
      await writeAll(conn, chunk);
      sent += chunk.length;
    }
  });
  using other = new Target(echo);
  const stalled = await tunnel.dial(target.at);
  for (let round = 0; round < 200; round++) await roundTrip(tunnel, other);
  // What the sockets and one window of each hold, and no more, however long nobody reads.
  const held = sent;
  assertLess(held, 24 * MIB);
  for (let round = 0; round < 50; round++) await roundTrip(tunnel, other);
  assertEquals(sent, held);
  stalled.close();
  await target.stop();
  await other.stop();
  await end(tunnel, server);
});

Deno.test("a target that is reset is a cut here, not an end", async () => {
  const onward: Path = {
    ...direct(),
    dial: () => {
      let reads = 0;
      return Promise.resolve({
        read: () => reads++ === 0 ? Promise.resolve(1) : Promise.reject(new CulvertError("reset", "cut")),
        write: (from: Uint8Array) => Promise.resolve(from.length),
        closeWrite: () => Promise.resolve(),
        close() {},
        [Symbol.dispose]() {},
      });
    },
  };
  const server = serve({ onward });
  const tunnel = connect(server);
  const stream = await tunnel.dial({ host: "x", port: 1 });
  await assertRejects(() => readAll(stream), CulvertError);
  stream.close();
  await end(tunnel, server);
});

Deno.test("a tunnel over TLS trusts the certificates it is given, and no others", async () => {
  using folder = new TempDirectory();
  const { cert, key } = await makeTlsCertificate(folder, "here");
  const server = serve({ tls: { cert, key } });
  using target = new Target(echo);
  const url = `tunnel+wss://127.0.0.1:${server.address.port}/`;
  const options = { ...common, random: randomOf(crypto), links: 1 };
  const trusting = openTunnel(url, { ...options, caCerts: [cert] });
  await roundTrip(trusting, target);
  const distrusting = openTunnel(url, options);
  assertEquals((await dialError(distrusting, "127.0.0.1")).code, "path_down");
  await target.stop();
  await end(trusting, distrusting, server);
});

Deno.test("a server that never finishes the handshake is given up in time", async (t) => {
  using silent = new Target(async (conn) => void await readAll(conn));
  for (const scheme of ["ws", "wss"]) {
    await t.step(scheme, async () => {
      const url = `tunnel+${scheme}://127.0.0.1:${silent.at.port}/`;
      const tunnel = openTunnel(url, { ...common, random: randomOf(crypto), links: 1, connectTimeoutMs: 100 });
      const error = await dialError(tunnel, "x");
      assertEquals(error.code, "path_down");
      assertStringIncludes(error.message, "100 ms");
      await end(tunnel);
    });
  }
  await silent.stop();
});

Deno.test("a tunnel is opened and served over any link, and counts its streams", async () => {
  const [near, far] = memoryStreamPair();
  const trails: (readonly Hop[] | undefined)[] = [];
  const service = { onward: direct(trails), hops: [{ name: "relay", at: "r" }, { name: "exit", at: "e" }] };
  const links = serveTunnelLink(new StreamLink(far, new BufferPool()), service, common);
  let made = 0;
  const tunnel = new TunnelPath({
    ...common,
    random: randomOf(crypto),
    links: 1,
    farEnd: "the exit",
    hop: () => ({ name: "client", at: "c" }),
    connect: () =>
      made++ === 0 ? Promise.resolve(new StreamLink(near, new BufferPool())) : Promise.reject(new Error("no")),
  });
  using target = new Target(echo);
  await roundTrip(tunnel, target);
  const stream = await tunnel.dial(target.at, { trail: [{ name: "ingress", at: "i" }] });
  assertEquals([tunnel.streamCount, links.streamCount, links.size], [1, 1, 1]);
  assertEquals(trails[1]!.map(({ name }) => name), ["ingress", "client", "relay", "exit"]);
  stream.close();
  links.close();
  await links.closed();
  assertEquals((await dialError(tunnel, "x")).code, "path_down");
  await end(tunnel);
  await target.stop();
});

const urls: readonly { url: string; says: string }[] = [
  { url: "ws://h/", says: "must begin with" },
  { url: "tunnel+ws://", says: "must look like" },
  { url: "tunnel+ws://h:99999/", says: "must look like" },
  { url: "tunnel+ws://h/?links=0", says: "links between 1 and 64" },
  { url: "tunnel+ws://h/?links=65", says: "links between 1 and 64" },
  { url: "tunnel+ws://%zz@h/", says: "percent-decoded" },
];

Deno.test("a tunnel URL says where to go, and a bad one what is wrong with it", () => {
  assertEquals(parseTunnelUrl("tunnel+wss://s%2Fecret@[::1]/p?a=b%20c&links=4"), {
    target: { host: "::1", port: 443 },
    tls: true,
    urlPath: "/p?a=b+c",
    token: "s/ecret",
    links: 4,
  });
  assertEquals(parseTunnelUrl("tunnel+ws://h:81/p?a=b%20c").urlPath, "/p?a=b%20c");
  for (const { url, says } of urls) {
    try {
      parseTunnelUrl(url);
    } catch (error) {
      assert(error instanceof CulvertError);
      assertStringIncludes(error.message, says);
      continue;
    }
    throw new Error(`${url} was taken`);
  }
});
