import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { CulvertError, DialError, type DialFailure } from "../protocol/errors.ts";
import { randomOf } from "../protocol/random.ts";
import { type Hop, type Path, writeAll } from "../protocol/stream.ts";
import { testPathContract } from "../testing/path_contract.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate } from "../testing/tls_certificate.ts";
import { openTunnel, parseTunnelUrl } from "./tunnel_client.ts";

import {
  common,
  connect,
  dialError,
  direct,
  echo,
  end,
  hash,
  loopback,
  MIB,
  randomBytes,
  readAll,
  roundTrip,
  serve,
  Target,
} from "./fixtures/tunnel_ends.ts";
import { eventually } from "../testing/waiting.ts";

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
  await eventually("refused streams leave the table", () => server.streamCount === 0);
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

Deno.test("a half-closed stream whose other side keeps silent is cut in the end", async () => {
  const server = serve({ limits: { halfClosedTimeoutMs: 50 } });
  const tunnel = connect(server);
  const held = Promise.withResolvers<void>();
  using silent = new Target(() => held.promise);
  const stream = await tunnel.dial(silent.at);
  await stream.closeWrite();
  const error = await assertRejects(() => stream.read(new Uint8Array(1)), CulvertError);
  assertEquals(error.code, "reset");
  await eventually("the server forgets the stream", () => server.streamCount === 0);
  held.resolve();
  await silent.stop();
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
  await eventually("the dial has arrived", () => server.streamCount === 1);
  controller.abort(reason);
  await dialling;
  await eventually("the far dial ends", () => givenUp === 1);
  assertEquals(await assertRejects(() => tunnel.dial({ host: "x", port: 1 }, { signal: controller.signal })), reason);
  // The same when the link goes.
  const lost = assertRejects(() => tunnel.dial({ host: "hangs", port: 1 }), DialError);
  await eventually("the second dial has arrived", () => server.streamCount === 1);
  await end(tunnel);
  assertEquals((await lost).code, "path_down");
  await eventually("the second far dial ends", () => givenUp === 2);
  await end(server);
});

Deno.test("a far dial that takes too long is a timeout", async () => {
  const server = serve({ limits: { dialTimeoutMs: 50 } });
  const tunnel = connect(server);
  assertEquals((await dialError(tunnel, "hangs")).code, "timeout");
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

Deno.test("a tunnel is not served in the clear by a listener to which TLS was given", () => {
  using listener = Deno.listen(loopback);
  const error = assertThrows(() => serve({ listen: listener, tls: { cert: "", key: "" } }), CulvertError);
  assertEquals(error.code, "bad_option");
});
