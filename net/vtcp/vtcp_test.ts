import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { randomOf } from "../../protocol/random.ts";
import { type Path, readFull, type Target, writeAll } from "../../protocol/stream.ts";
import { testPathContract } from "../../testing/path_contract.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { EchoPlace, LoopbackPath } from "./fixtures/far_side.ts";
import { openVtcp, type VtcpOptions, type VtcpPath } from "./vtcp_path.ts";
import { VtcpServer, type VtcpServerOptions } from "./vtcp_server.ts";

const clock = clockOf(globalThis);
const around = { clock, random: randomOf(crypto), log: silentLog, metrics: noMetrics };
const draw = () => randomOf(crypto).fill(new Uint8Array(32));
const privateKey = draw(), secret = draw();
const credential = { serverPublicKey: portablePrimitives.x25519PublicKey(privateKey), secret };

function serve(options: Partial<VtcpServerOptions> = {}): Promise<VtcpServer> {
  return VtcpServer.start({
    privateKey,
    clients: [{ name: "one", secret }],
    carrier: { kind: "udp", listen: { host: "127.0.0.1", ports: 0 } },
    onward: new LoopbackPath(),
    hop: { name: "vtcp server", at: "test" },
    ...around,
    ...options,
  });
}

function connect(port: number, options: Partial<VtcpOptions> = {}): Promise<VtcpPath> {
  const carrier = { kind: "udp", peer: { host: "127.0.0.1", ports: port } } as const;
  return openVtcp({ credential, carrier, ...around, ...options });
}

async function end(path: VtcpPath): Promise<void> {
  path.close();
  await path.closed();
}

async function roundTrip(path: Path, at: Target): Promise<void> {
  using stream = await path.dial(at);
  await writeAll(stream, new TextEncoder().encode("hello"));
  const back = new Uint8Array(5);
  assert(await readFull(stream, back));
  assertEquals(new TextDecoder().decode(back), "hello");
}

testPathContract("vtcp", {
  has: ["refusing", "unresolved", "silent", "datagramEcho"],
  async setUp() {
    const server = await serve();
    const path = await connect(server.ports[0]!);
    const place = new EchoPlace();
    return {
      path,
      echo: place.at,
      refusing: { host: "refused.fails", port: 1 },
      unresolved: { host: "unresolved.fails", port: 1 },
      silent: { host: "hangs", port: 1 },
      datagramEcho: place.datagramsAt,
      async [Symbol.asyncDispose]() {
        await end(path);
        await server.close();
        await place[Symbol.asyncDispose]();
      },
    };
  },
});

Deno.test("a wrong secret is told as such within 5 s, and never reaches QUIC", async () => {
  await using server = await serve();
  const path = await connect(server.ports[0]!, { credential: { ...credential, secret: draw() } });
  const error = await within("a refusal", assertRejects(() => path.dial({ host: "x", port: 1 }), DialError), {
    limitMs: 5000,
  });
  assertEquals(error.code, "unauthorized");
  assertStringIncludes(error.message, "does not know our secret");
  assertEquals(server.connectionCount, 0);
  await end(path);
});

Deno.test("a server with another key, which is silent, is told within 5 s", async () => {
  await using server = await serve();
  const path = await connect(server.ports[0]!, { credential: { ...credential, serverPublicKey: draw() } });
  const error = await within("no answer", assertRejects(() => path.dial({ host: "x", port: 1 }), DialError), {
    limitMs: 5000,
  });
  assertEquals(error.code, "path_down");
  assertStringIncludes(error.message, "does not answer");
  await end(path);
});

Deno.test("a server that was restarted is found again within 5 s, by itself", async () => {
  await using place = new EchoPlace();
  const first = await serve();
  const port = first.ports[0]!;
  const path = await connect(port);
  await roundTrip(path, place.at);
  await first.close();
  await using _second = await serve({ carrier: { kind: "udp", listen: { host: "127.0.0.1", ports: port } } });
  const startMs = clock.now();
  await eventually("it works again", async () => {
    const signal = AbortSignal.timeout(1000);
    return await path.dial(place.at, { signal }).then((stream) => (stream.close(), true), () => false);
  });
  assert(clock.now() - startMs < 5000, `it took ${clock.now() - startMs} ms`);
  await end(path);
});

Deno.test("a client that is revoked loses what it has, and gets nothing more", async () => {
  await using place = new EchoPlace();
  await using server = await serve();
  const path = await connect(server.ports[0]!);
  using stream = await path.dial(place.at);
  assertEquals(await server.revoke("one"), true);
  await assertRejects(() => stream.read(new Uint8Array(1)));
  await within("nothing more", assertRejects(() => path.dial(place.at), DialError), { limitMs: 12_000 });
  await end(path);
});

Deno.test("more streams than a connection takes are carried by several", async () => {
  await using place = new EchoPlace();
  await using server = await serve();
  const path = await connect(server.ports[0]!);
  const streams = await Promise.all(Array.from({ length: 150 }, () => path.dial(place.at)));
  assert(server.connectionCount >= 2, `${server.connectionCount}`);
  await Promise.all(streams.map(async (stream, index) => {
    await writeAll(stream, Uint8Array.of(index));
    const back = new Uint8Array(1);
    assert(await readFull(stream, back));
    assertEquals(back[0], index);
    stream.close();
  }));
  await end(path);
});

Deno.test("whoever has said no hello hears nothing, whatever is sent", async () => {
  await using server = await serve();
  const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
  const to = { transport: "udp", hostname: "127.0.0.1", port: server.ports[0]! } as const;
  const initial = new Uint8Array(1200);
  initial.set([0xc0, 0, 0, 0, 1, 8]);
  for (
    const bytes of [
      new Uint8Array(1),
      initial,
      ...Array.from({ length: 50 }, () => crypto.getRandomValues(new Uint8Array(600))),
    ]
  ) {
    await socket.send(bytes, to);
  }
  await eventually("they have come", async () => (await server.counts()).receivedPackets >= 40);
  const { clients, sentPackets } = await server.counts();
  assertEquals([clients, sentPackets], [0, 0]);
  socket.close();
});
