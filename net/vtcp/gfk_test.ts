import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { randomOf } from "../../protocol/random.ts";
import { type Path, readFull, type Stream, type Target, writeAll } from "../../protocol/stream.ts";
import { anchorPem, selfSigned } from "../../protocol/vtcp/self_signed.ts";
import { testPathContract } from "../../testing/path_contract.ts";
import { within } from "../../testing/waiting.ts";
import { EchoPlace, LoopbackPath } from "./fixtures/far_side.ts";
import { BACKEND_HOST } from "./gfk_dialect.ts";
import { type GfkOptions, openGfk } from "./gfk_path.ts";
import { type GfkServer, type GfkServerOptions, serveGfk } from "./gfk_server.ts";

const around = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };
const NAME = "gfk.test.invalid";
const certificate = selfSigned(portablePrimitives, crypto.getRandomValues(new Uint8Array(32)), NAME);
const pinned = { pem: anchorPem(certificate.publicKey, NAME), serverName: NAME };

type Kind = Pick<GfkOptions, "dialect" | "transport" | "secret">;
const kinds: Readonly<Record<string, Kind>> = {
  "gfk-py": { dialect: "gfk-py" },
  "gfk-go by QUIC": { dialect: "gfk-go", secret: "a secret" },
  "gfk-go by KCP": { dialect: "gfk-go", secret: "a secret", transport: "kcp" },
};

function serve(kind: Kind, options: Partial<GfkServerOptions> = {}): Promise<GfkServer> {
  return serveGfk({
    ...kind,
    carrier: { kind: "udp", listen: { host: "127.0.0.1" } },
    onward: new LoopbackPath(),
    backendHost: "127.0.0.1",
    certificate,
    ...around,
    ...options,
  });
}

function open(kind: Kind, server: GfkServer, options: Partial<GfkOptions> = {}) {
  return openGfk({
    ...kind,
    carrier: { kind: "udp", peer: { host: "127.0.0.1", ports: server.ports[0]! } },
    certificate: pinned,
    ...around,
    ...options,
  });
}

async function failure(path: Path, target: Target): Promise<string> {
  return (await assertRejects(() => path.dial(target), DialError)).code;
}

async function echoes(stream: Stream): Promise<void> {
  await writeAll(stream, Uint8Array.of(1, 2, 3));
  const back = new Uint8Array(3);
  assert(await readFull(stream, back));
  assertEquals([...back], [1, 2, 3]);
}

for (const [name, kind] of Object.entries(kinds)) {
  if (kind.dialect === "gfk-go") {
    testPathContract(name, {
      has: ["silent", "datagramEcho"],
      async setUp() {
        const server = await serve(kind, { allowHosts: true });
        const path = await open(kind, server, { halfClose: true });
        const place = new EchoPlace();
        return {
          path,
          echo: place.at,
          silent: { host: "hangs", port: 1 },
          datagramEcho: place.datagramsAt,
          async [Symbol.asyncDispose]() {
            path.close();
            await path.closed();
            await server.close();
            await place[Symbol.asyncDispose]();
          },
        };
      },
    });
  }

  Deno.test(`${name}: streams and datagrams reach ports of the backend`, async () => {
    await using place = new EchoPlace();
    await using server = await serve(kind);
    const path = await open(kind, server);
    using stream = await path.dial({ host: BACKEND_HOST, port: place.at.port });
    await echoes(stream);
    using socket = await path.datagrams();
    const to = { host: BACKEND_HOST, port: place.datagramsAt.port };
    await socket.send(Uint8Array.of(4, 5), to);
    const into = new Uint8Array(64);
    const received = await socket.receive(into);
    assertEquals([received?.from, ...into.subarray(0, received?.length)], [to, 4, 5]);
    path.close();
    await path.closed();
  });

  Deno.test(`${name}: what is not allowed, or nobody listens on, is not opened`, async () => {
    await using place = new EchoPlace();
    await using server = await serve(kind, { allowedPorts: [place.at.port, 1] });
    const path = await open(kind, server);
    using stream = await path.dial({ host: BACKEND_HOST, port: place.at.port });
    await echoes(stream);
    const denied = await failure(path, { host: BACKEND_HOST, port: 2 });
    const refused = await failure(path, { host: BACKEND_HOST, port: 1 });
    const named = await failure(path, place.at);
    const isGo = kind.dialect === "gfk-go";
    assertEquals([denied, refused, named], isGo ? ["denied", "failed", "denied"] : ["failed", "failed", "unsupported"]);
    path.close();
    await path.closed();
  });

  Deno.test(`${name}: a wrong secret opens nothing`, async () => {
    await using server = await serve(kind);
    const path = await open({ ...kind, secret: "another" }, server);
    const code = await failure(path, { host: BACKEND_HOST, port: 1 });
    const expected = kind.dialect === "gfk-py" ? "failed" : kind.transport === "kcp" ? "path_down" : "unauthorized";
    assertEquals(code, expected);
    assertEquals(path.problem !== undefined, expected !== "failed");
    assert(!path.problem?.includes(BACKEND_HOST), path.problem);
    path.close();
    await path.closed();
  });
}

for (const name of ["gfk-go by QUIC", "gfk-go by KCP"]) {
  Deno.test(`${name}: a server that drains takes no more streams, and waits for those it has`, async () => {
    await using place = new EchoPlace();
    await using server = await serve(kinds[name]!);
    const path = await open(kinds[name]!, server);
    const stream = await path.dial({ host: BACKEND_HOST, port: place.at.port });
    let isDrained = false;
    const drained = server.drain(new AbortController().signal).then(() => isDrained = true);
    assertEquals(await failure(path, { host: BACKEND_HOST, port: place.at.port }), "failed");
    await echoes(stream);
    assertEquals(isDrained, false);
    stream.close();
    await within("the end of the last stream", drained);
    path.close();
    await path.closed();
  });
}

Deno.test("gfk-go by KCP: a path that is closed has let go of its port", async () => {
  const kind = kinds["gfk-go by KCP"]!;
  await using place = new EchoPlace();
  await using server = await serve(kind);
  const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  const peer = { host: "127.0.0.1", ports: server.ports[0]! };
  const carrier = { kind: "udp", listen: { host: "127.0.0.1", ports: port }, peer } as const;
  for (let turn = 0; turn < 5; turn++) {
    const path = await open(kind, server, { carrier });
    await echoes(await path.dial({ host: BACKEND_HOST, port: place.at.port }));
    path.close();
    await path.closed();
    Deno.listenDatagram({ hostname: "127.0.0.1", port, transport: "udp" }).close();
  }
});

Deno.test("a server of GFK that is not known is not trusted, and how to say otherwise is told", async () => {
  const kind = kinds["gfk-go by QUIC"]!;
  await using server = await serve(kind);
  const error = await assertRejects(
    () =>
      openGfk({
        ...kind,
        carrier: { kind: "udp", peer: { host: "127.0.0.1", ports: server.ports[0]! } },
        ...around,
      }),
    CulvertError,
  );
  assertEquals(error.code, "bad_option");
  const path = await open(kind, server, { certificate: "unverified" });
  const refused = await assertRejects(() => path.dial({ host: BACKEND_HOST, port: 1 }), DialError, "gfk.invalid");
  assertEquals(refused.code, "unauthorized");
  path.close();
  await path.closed();
});

Deno.test("a flood of senders that only begin fills no memory, and puts nobody out who talks", async () => {
  const kind = kinds["gfk-go by QUIC"]!;
  await using place = new EchoPlace();
  await using server = await serve(kind, { maxClients: 16 });
  const path = await open(kind, server);
  using stream = await path.dial({ host: BACKEND_HOST, port: place.at.port });
  await echoes(stream);
  const initial = new Uint8Array(1200);
  const to = { transport: "udp", hostname: "127.0.0.1", port: server.ports[0]! } as const;
  for (let sender = 0; sender < 200; sender++) {
    const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
    crypto.getRandomValues(initial);
    initial.set([0xc0, 0, 0, 0, 1, 8]);
    await socket.send(initial, to);
    socket.close();
    if (sender % 20 === 0) await echoes(stream);
  }
  await echoes(stream);
  assert(await server.listening!.clientCount() <= 16);
  const other = await open(kind, server);
  using another = await other.dial({ host: BACKEND_HOST, port: place.at.port });
  await echoes(another);
  for (const each of [path, other]) {
    each.close();
    await each.closed();
  }
});
