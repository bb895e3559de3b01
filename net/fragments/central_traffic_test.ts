import { assert, assertEquals } from "@std/assert";
import { noMetrics } from "../../protocol/metrics.ts";
import { encodeRequestModeHead, type RequestModeHead } from "../../protocol/request_mode.ts";
import { type Path, readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { clockOf } from "../../protocol/clock.ts";
import { within } from "../../testing/waiting.ts";
import { memoryStreamPair } from "../memory.ts";
import { readResponseHead } from "../read_frame.ts";
import { RequestServer } from "../request_server.ts";
import { CentralWorld, PlayedDownstream, PlayedUpstream } from "./fixtures/central_world.ts";
import { PlayedClient } from "./fixtures/played_client.ts";

const target = { host: "echo.example", port: 7 };

/** Everything it dials says back what it hears. */
const echoing: Path = {
  dial() {
    const [near, far] = memoryStreamPair(256 * 1024);
    void echoAll(far);
    return Promise.resolve(near);
  },
  close() {},
  [Symbol.dispose]() {},
};

async function echoAll(stream: Stream): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
      await writeAll(stream, buffer.subarray(0, count));
    }
    await stream.closeWrite();
  } catch {
    stream.close();
  }
}

/** Sends that many bytes and reads them back. */
async function echo(stream: Stream, bytes: number): Promise<void> {
  const sent = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(sent.subarray(at, Math.min(bytes, at + 65_536)));
  const back = new Uint8Array(bytes);
  const [, isWhole] = await Promise.all([writeAll(stream, sent), readFull(stream, back)]);
  assert(isWhole);
  assertEquals(back.toHex() === sent.toHex(), true);
}

Deno.test("streams go through, by all relays both ways", async () => {
  await using world = await CentralWorld.make(3, { onward: echoing });
  await using client = await PlayedClient.open(world);
  const streams = await Promise.all([1, 2, 3].map(() => client.path.dial(target)));
  await Promise.all(streams.map((stream, index) => echo(stream, index === 0 ? 4_000_000 : 5_000)));
  assert(world.downstreams.every(({ dataCount }) => dataCount > 5));
  assertEquals(world.central.streamCount, 3);
  for (const stream of streams) stream.close();
});

Deno.test("with a relay of each direction carrying nothing all arrives", async () => {
  await using world = await CentralWorld.make(3, { onward: echoing });
  await using client = await PlayedClient.open(world);
  const stream = await client.path.dial(target);
  await echo(stream, 300_000);
  client.blackHoles.add(world.upstreams[0]!).add(world.downstreams[1]!);
  await echo(stream, 1_000_000);
  stream.close();
});

Deno.test("hops that are lost in the middle cost nothing", async () => {
  await using world = await CentralWorld.make(3, { onward: echoing });
  await using client = await PlayedClient.open(world);
  const stream = await client.path.dial(target);
  const echoed = echo(stream, 3_000_000);
  world.upstreams[1]!.link[Symbol.dispose]();
  await echoed;
  stream.close();
});

Deno.test("a client that changes its relays goes on with the new ones", async () => {
  await using world = await CentralWorld.make(2, { onward: echoing });
  await using client = await PlayedClient.open(world);
  const stream = await client.path.dial(target);
  await echo(stream, 100_000);
  const upstream = new PlayedUpstream();
  const downstream = new PlayedDownstream(world.peer);
  world.relays.records.push(upstream.peer.record("upstream"), downstream.peer.record("downstream", downstream.url));
  await upstream.connect(world.peer, world.url);
  world.upstreams.push(upstream);
  world.downstreams.push(downstream);
  const names = new Map([[4, upstream.peer.id], [5, downstream.peer.id]]);
  client.setLegs({ up: [1, 4], down: [3, 5] }, names);
  await echo(stream, 2_000_000);
  assert(downstream.dataCount > 5, `${downstream.dataCount}`);
  const before = world.downstreams[0]!.dataCount;
  await echo(stream, 500_000);
  assertEquals(world.downstreams[0]!.dataCount, before);
  stream.close();
});

Deno.test("a session that its client closes ends at central, and its names are free", async () => {
  await using world = await CentralWorld.make(2, { onward: echoing });
  const client = await PlayedClient.open(world);
  const stream = await client.path.dial(target);
  await echo(stream, 1000);
  assertEquals(world.central.sessionCount, 1);
  await client[Symbol.asyncDispose]();
  const { clock } = world.peer.tools;
  while (world.central.sessionCount > 0) await new Promise<void>((resolve) => void clock.after(5, resolve));
});

Deno.test("a central that closes tells its clients", async () => {
  await using world = await CentralWorld.make(2, { onward: echoing });
  await using client = await PlayedClient.open(world);
  const stream = await client.path.dial(target);
  const read = stream.read(new Uint8Array(10)).then(() => "ended", () => "cut");
  await world.central.drain(AbortSignal.timeout(50));
  assertEquals(await read, "cut");
});

Deno.test("requests are made by central, with their bodies", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => new Response(`${request.method} ${(await request.bytes()).length}`),
  );
  const path: Path = {
    dial: ({ port }) => Deno.connect({ hostname: "127.0.0.1", port }),
    close() {},
    [Symbol.dispose]() {},
  };
  using requests = new RequestServer({ path, clock: clockOf(globalThis), metrics: noMetrics });
  await using world = await CentralWorld.make(3, { onward: path, requests });
  await using client = await PlayedClient.open(world);
  const stream = await client.path.request();
  const url = `http://site.example:${server.addr.port}/`;
  const head: RequestModeHead = { method: "PUT", url, headers: [], redirect: "follow", hasBody: true };
  await writeAll(stream, encodeRequestModeHead(head)!);
  await writeAll(stream, new Uint8Array(500_000));
  await stream.closeWrite();
  const answer = await readResponseHead(stream);
  assertEquals("status" in answer && answer.status, 200);
  const body = new Uint8Array(10);
  assert(await readFull(stream, body));
  assertEquals(new TextDecoder().decode(body), "PUT 500000");
  assertEquals(await stream.read(body), null);
  stream.close();
});

Deno.test("a client that gives a request up has it given up at the origin", async () => {
  const [asked, aborted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    const buffer = new Uint8Array(4096);
    await conn.read(buffer);
    asked.resolve();
    await conn.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
    while (await conn.read(buffer).catch(() => null) !== null);
    aborted.resolve();
  })();
  const path: Path = {
    dial: ({ port }) => Deno.connect({ hostname: "127.0.0.1", port }),
    close() {},
    [Symbol.dispose]() {},
  };
  using requests = new RequestServer({ path, clock: clockOf(globalThis), metrics: noMetrics });
  await using world = await CentralWorld.make(2, { onward: path, requests });
  await using client = await PlayedClient.open(world);
  const stream = await client.path.request();
  const url = `http://site.example:${listener.addr.port}/`;
  const head: RequestModeHead = { method: "GET", url, headers: [], redirect: "follow", hasBody: false };
  await writeAll(stream, encodeRequestModeHead(head)!);
  await stream.closeWrite();
  await asked.promise;
  await readResponseHead(stream);
  stream.abort?.();
  await within("the end at the origin", aborted.promise);
  await serving;
  listener.close();
});
