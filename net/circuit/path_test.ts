import { assert, assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import { readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { testPathContract } from "../../testing/path_contract.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { CircuitsRig, ECHO } from "./fixtures/circuits_rig.ts";
import type { GatewayServer } from "./gateway.ts";
import { MAX_DRAINING } from "./path.ts";

const KIB = 1024;

testPathContract("a path over circuits", {
  async setUp() {
    const rig = await CircuitsRig.open(3);
    return {
      path: rig.path({ circuits: 2 }),
      echo: ECHO,
      refusing: { host: "refused.fails", port: 1 },
      unresolved: { host: "unresolved.fails", port: 1 },
      silent: { host: "silent", port: 1 },
      [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
    };
  },
  has: ["refusing", "unresolved", "silent"],
});

async function checkEcho(stream: Stream, bytes = 100 * KIB): Promise<void> {
  const sent = crypto.getRandomValues(new Uint8Array(Math.min(bytes, 64 * KIB)));
  const got = new Uint8Array(sent.length);
  for (let done = 0; done < bytes; done += sent.length) {
    await Promise.all([writeAll(stream, sent), readFull(stream, got)]);
    assertEquals(got, sent);
  }
}

for (const hops of [2, 3, 5, 10]) {
  Deno.test(`bytes go through ${hops} relays, and every relay sees cells`, async () => {
    await using rig = await CircuitsRig.open(hops);
    const path = rig.path({ hops });
    using stream = await path.dial(ECHO);
    await checkEcho(stream, 300 * KIB);
    for (const { server } of rig.network.relays) assert(server.cellCount > 300);
  });
}

Deno.test("dials move to other circuits again and again, and no stream is cut or loses a byte", async () => {
  await using rig = await CircuitsRig.open(5);
  const path = rig.path({ rotateMs: [100, 200], circuits: 2 });
  const streams = [await path.dial(ECHO), await path.dial(ECHO)];
  for (let round = 0; round < 12; round++) {
    streams.push(await path.dial(ECHO));
    await Promise.all(streams.map((stream) => checkEcho(stream, 20 * KIB)));
    await eventually("all streams are on old circuits", () => path.drainingStreamCount === streams.length);
  }
  await Promise.all(streams.map((stream) => checkEcho(stream)));
  for (const stream of streams) stream.close();
  await eventually("no old one has a stream", () => path.drainingStreamCount === 0);
  assert(path.drainingCount <= MAX_DRAINING);
});

Deno.test("what was written to a stream before it was closed arrives, although its circuit is an old one", async () => {
  await using rig = await CircuitsRig.open(3);
  const path = rig.path({ rotateMs: [50, 60] });
  const stream = await path.dial(ECHO);
  await eventually("another circuit has taken over", () => path.drainingCount > 0);
  await writeAll(stream, new Uint8Array(200 * KIB));
  await stream.closeWrite();
  let count = 0;
  const buffer = new Uint8Array(64 * KIB);
  for (let read = await stream.read(buffer); read !== null; read = await stream.read(buffer)) count += read;
  assertEquals(count, 200 * KIB);
  stream.close();
});

Deno.test("a relay that dies takes its circuits with it, and dials go on through others", async () => {
  await using rig = await CircuitsRig.open(6);
  const path = rig.path({ circuits: 3 });
  using _first = await path.dial(ECHO);
  await eventually("all circuits are up", () => path.circuitCount === 3);
  await rig.killRelay(0);
  await rig.killRelay(1);
  for (let round = 0; round < 10; round++) {
    using stream = await path.dial(ECHO);
    await checkEcho(stream, KIB);
  }
  await eventually("all circuits are up again", () => path.circuitCount === 3);
});

Deno.test("a gateway that is about to stop keeps its streams, and dials go on through another", async () => {
  await using rig = await CircuitsRig.open(3);
  await rig.addGateway();
  const path = rig.path({ circuits: 4, rotateMs: [100, 200] });
  const [stopping, other] = rig.network.gateways.map(({ server }) => server) as [GatewayServer, GatewayServer];
  const streams: Stream[] = [];
  // Which gateway a circuit ends at is drawn.
  await eventually("streams through both", async () => {
    streams.push(await path.dial(ECHO));
    return stopping.streamCount > 0 && other.streamCount > 0 && path.circuitCount === 4;
  });
  const stopped = stopping.shutdown(new AbortController().signal);
  for (let round = 0; round < 20; round++) {
    using stream = await path.dial(ECHO);
    await checkEcho(stream, KIB);
  }
  await Promise.all(streams.map((stream) => checkEcho(stream, KIB)));
  for (const stream of streams) stream.close();
  await within("the end of the gateway", stopped);
});

Deno.test("a circuit whose gateway is about to stop is replaced before its time", async () => {
  await using rig = await CircuitsRig.open(3);
  const path = rig.path();
  using _stream = await path.dial(ECHO);
  await rig.addGateway();
  const [{ server: stopping }] = rig.network.gateways as [typeof rig.network.gateways[number]];
  const patience = new AbortController();
  const stopped = stopping.shutdown(patience.signal);
  using stream = await path.dial(ECHO);
  await checkEcho(stream, KIB);
  patience.abort();
  await stopped;
});

Deno.test("dials are spread over the circuits", async () => {
  await using rig = await CircuitsRig.open(4);
  const path = rig.path({ circuits: 3 });
  using _first = await path.dial(ECHO);
  await eventually("all circuits are up", () => path.circuitCount === 3);
  const [{ server: gateway }] = rig.network.gateways as [typeof rig.network.gateways[number]];
  assertEquals(gateway.circuitCount, 3);
  const streams = await Promise.all(Array.from({ length: 8 }, () => path.dial(ECHO)));
  assertEquals(path.streamCounts, [3, 3, 3]);
  for (const stream of streams) stream.close();
});

Deno.test("the gateway hears of the circuit and of nothing before it", async () => {
  await using rig = await CircuitsRig.open(2);
  const path = rig.path();
  const trail = [{ name: "program", at: "10.1.2.3" }];
  using _told = await path.dial(ECHO, { trail });
  using _untold = await path.dial(ECHO);
  const [told, untold] = rig.places.trails;
  assertEquals(untold, undefined);
  assertEquals(told!.map(({ name }) => name), ["circuit client", "gateway"]);
  assert(!JSON.stringify(told).includes("10.1.2.3"));
});

Deno.test("padding moves cells while nobody says anything", async () => {
  await using rig = await CircuitsRig.open(2);
  const path = rig.path({ paddingPerSecond: 500 });
  using stream = await path.dial(ECHO);
  const [{ server }] = rig.network.relays as [typeof rig.network.relays[number]];
  const before = server.cellCount;
  await eventually("cells have moved", () => server.cellCount > before + 100);
  await checkEcho(stream);
});

Deno.test("why there is no circuit is told to whoever dials", async () => {
  await using rig = await CircuitsRig.open(3);
  const elsewhere = "a".repeat(26);
  const rows = [
    [{ hops: 4 }, "Cannot build a circuit: it needs 4 relays, and the directory has 3"],
    [{ gatewayId: elsewhere }, `Cannot build a circuit: the gateway ${elsewhere} must be linked to a relay`],
  ] as const;
  for (const [options, text] of rows) {
    const path = rig.path({ ...options, routePatienceMs: 0 });
    const error = await assertRejects(() => path.dial(ECHO), DialError, text);
    assertEquals(error.code, "path_down");
  }
});
