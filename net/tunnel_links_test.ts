import { assert, assertEquals, assertLess, assertLessOrEqual, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertError, DialError } from "../protocol/errors.ts";
import { randomOf } from "../protocol/random.ts";
import { type Hop, readFull, writeAll } from "../protocol/stream.ts";
import { BufferPool } from "./buffer_pool.ts";
import { memoryStreamPair } from "./memory.ts";
import { StreamLink } from "./stream_link.ts";
import { openTunnel } from "./tunnel_client.ts";
import { serveTunnelLink } from "./tunnel_link.ts";
import { TunnelPath } from "./tunnel_path.ts";

import {
  clock,
  common,
  connect,
  dialError,
  direct,
  echo,
  end,
  flood,
  hash,
  MIB,
  randomBytes,
  readAll,
  roundTrip,
  serve,
  Target,
} from "./fixtures/tunnel_ends.ts";
import { eventually } from "../testing/waiting.ts";

Deno.test("a token must be right, and a wrong one is told clearly", async (t) => {
  const server = serve({ token: "right", urlPath: "/t?x=1" });
  using target = new Target(echo);
  await t.step("right, in the URL", async () => {
    const tunnel = openTunnel(`tunnel+ws://right@127.0.0.1:${server.address.port}/t?x=1&links=3`, {
      ...common,
      random: randomOf(crypto),
    });
    await roundTrip(tunnel, target);
    await eventually("three links", () => tunnel.linkCount === 3);
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
  await eventually("the target hears of it", () => targetEnded);
  assertLess(clock.now() - startMs, 5000);
  await assertRejects(() => stream.write(buffer));
  await eventually("the server forgets the link", () => server.linkCount === 0);
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
    await eventually("the server is found", () => roundTrip(tunnel, target).then(() => true, () => false));
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
  await eventually("both links", () => tunnel.linkCount === 2);
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
