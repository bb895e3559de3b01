import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import { type Datagrams, readFull, type Stream, writeAll } from "../protocol/stream.ts";
import type { MemoryStream } from "../net/memory.ts";
import { EagerClock } from "./eager_clock.ts";
import { FakeClock } from "./fake_clock.ts";
import { MemoryNetwork } from "./network.ts";
import { testPathContract } from "./path_contract.ts";
import { SeededRandom, withSeed } from "./seeded_random.ts";
import { testStreamContract } from "./stream_contract.ts";
import type { Conditions } from "./wire.ts";

const streamClock = new EagerClock();

testStreamContract("streams of the in-memory network", {
  async makePair() {
    const network = new MemoryNetwork({ clock: streamClock, random: new SeededRandom(1) });
    using listener = network.host("b").listen(7);
    return await Promise.all([network.host("a").dial({ host: "b", port: 7 }), listener.accept()]);
  },
  cut: (end) => (end as MemoryStream).abort(),
  cleanUp: () => streamClock.idle(),
  largeBytes: 1024 * 1024,
});

testPathContract("the path of an in-memory host", {
  has: ["refusing", "unresolved", "silent", "datagramEcho"],
  // deno-lint-ignore require-await -- the interface is asynchronous
  async setUp() {
    const clock = new EagerClock();
    const network = new MemoryNetwork({ clock, random: new SeededRandom(1) });
    const [near, far, lost] = [network.host("near"), network.host("far"), network.host("lost")];
    const listener = far.listen(7);
    serveEcho(() => listener.accept());
    const socket = far.datagrams(7);
    serveDatagramEcho(socket);
    network.partition([near], [lost]);
    return {
      path: near.path(),
      echo: listener.local,
      refusing: { host: "far", port: 8 },
      unresolved: { host: "nowhere", port: 7 },
      silent: { host: "lost", port: 7 },
      datagramEcho: socket.local,
      [Symbol.asyncDispose]() {
        listener.close();
        socket.close();
        return clock.idle();
      },
    };
  },
});

Deno.test("a dial takes one round trip, and a byte half of one", async () => {
  const { clock, a, b } = twoHosts({ latencyMs: 25 });
  using listener = b.listen(7);
  const near = await clock.runUntil(a.dial(listener.local));
  assertEquals(clock.now(), 50);
  const far = await listener.accept();
  await writeAll(near, Uint8Array.of(1));
  await clock.runUntil(far.read(new Uint8Array(1)));
  assertEquals(clock.now(), 75);
  near.close();
  await clock.runUntil(far.read(new Uint8Array(1)));
  far.close();
  await clock.advanceAsync(200);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("bandwidth sets how long a transfer takes", async () => {
  const { clock, a, b } = twoHosts({ latencyMs: 5, bandwidthBitsPerS: 8_000_000 });
  using listener = b.listen(7);
  using near = await clock.runUntil(a.dial(listener.local));
  using far = await listener.accept();
  const writing = writeAll(near, new Uint8Array(2_000_000)).then(() => near.closeWrite());
  const length = await clock.runUntil(drain(far));
  await writing;
  assertEquals(length, 2_000_000);
  // 2 MB at 8 Mbit/s are 2,000 ms.
  assert(clock.now() > 1990 && clock.now() < 2050, `${clock.now()}`);
});

Deno.test("a reader that stalls holds the writer back", async () => {
  const { clock, a, b } = twoHosts({ latencyMs: 1 });
  using listener = b.listen(7);
  using near = await clock.runUntil(a.dial(listener.local));
  using _far = await listener.accept();
  let sentBytes = 0;
  const sending = (async () => {
    for (;;) sentBytes += await near.write(new Uint8Array(10_000));
  })().catch(() => {});
  await clock.advanceAsync(60_000);
  assert(sentBytes > 250_000 && sentBytes < 400_000, `${sentBytes}`);
  near.close();
  await sending;
});

Deno.test("a partition delays streams, loses datagrams, and lets dials time out", async () => {
  const { clock, network, a, b } = twoHosts({ latencyMs: 10 });
  using listener = b.listen(7);
  using socket = b.datagrams(9);
  using sender = a.datagrams();
  using near = await clock.runUntil(a.dial(listener.local));
  using far = await listener.accept();
  {
    using _partition = network.partition([a], [b]);
    await writeAll(near, Uint8Array.of(7));
    await sender.send(Uint8Array.of(8), socket.local);
    const error = await assertRejects(() => clock.runUntil(a.dial(listener.local)));
    assertInstanceOf(error, DialError);
    assertEquals(error.code, "timeout");
  }
  const into = new Uint8Array(8);
  assertEquals(await clock.runUntil(far.read(into)), 1);
  await sender.send(Uint8Array.of(9), socket.local);
  assertEquals(await clock.runUntil(socket.receive(into)), { length: 1, from: sender.local });
  assertEquals(into[0], 9);
});

Deno.test("a killed host resets its streams and refuses dials", async () => {
  const { clock, a, b } = twoHosts({ latencyMs: 10 });
  using listener = b.listen(7);
  using near = await clock.runUntil(a.dial(listener.local));
  using _far = await listener.accept();
  const reading = near.read(new Uint8Array(1)).then(() => "ended", (error) => error.code);
  b.kill();
  assertEquals(await clock.runUntil(reading), "reset");
  await assertRejects(() => clock.runUntil(a.dial({ host: "b", port: 7 })), DialError, "nothing listens");
});

Deno.test("the same seed gives the same run, another seed another", async () => {
  async function run(seed: number): Promise<string> {
    const { clock, a, b } = twoHosts({ latencyMs: 20, jitterMs: 30, loss: 0.2, reorder: 0.3, duplicate: 0.1 }, seed);
    using socket = b.datagrams(7);
    using sender = a.datagrams();
    for (let name = 0; name < 50; name++) await sender.send(Uint8Array.of(name), socket.local);
    await clock.advanceAsync(1000);
    const seen: number[] = [];
    const into = new Uint8Array(1);
    const receiving = (async () => {
      while (await socket.receive(into)) seen.push(into[0]!);
    })();
    await clock.advanceAsync(0);
    socket.close();
    await receiving;
    return seen.join();
  }
  await withSeed(11, async () => assertEquals(await run(11), await run(11)));
  assert(await run(11) !== await run(12));
});

Deno.test("two thousand peers talk to one hub in a moment of real time", async () => {
  const clock = new FakeClock();
  const network = new MemoryNetwork({
    clock,
    random: new SeededRandom(5),
    conditions: { latencyMs: 40, jitterMs: 20 },
  });
  using listener = network.host("hub").listen(7);
  serveEcho(() => listener.accept());
  const peers = Array.from({ length: 2000 }, async (_, name) => {
    using stream = await network.host(`peer ${name}`).dial(listener.local);
    await writeAll(stream, Uint8Array.of(name & 0xff));
    const back = new Uint8Array(1);
    assert(await readFull(stream, back));
    return back[0] === (name & 0xff);
  });
  // A backlog of 128 is more than arrives in one instant of a hub that accepts at once.
  assert((await clock.runUntil(Promise.all(peers))).every((isRight) => isRight));
});

function twoHosts(conditions: Conditions, seed = 1) {
  const clock = new FakeClock();
  const network = new MemoryNetwork({ clock, random: new SeededRandom(seed), conditions });
  return { clock, network, a: network.host("a"), b: network.host("b") };
}

/** Accepts until the listener closes; sends everything back. */
async function serveEcho(accept: () => Promise<Stream>): Promise<void> {
  try {
    for (;;) echo(await accept()).catch(() => {});
  } catch {
    // The listener has closed.
  }
}

async function echo(stream: Stream): Promise<void> {
  using _stream = stream;
  const buffer = new Uint8Array(4096);
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
    await writeAll(stream, buffer.subarray(0, count));
  }
}

async function serveDatagramEcho(socket: Datagrams): Promise<void> {
  const into = new Uint8Array(2048);
  for (let got = await socket.receive(into); got; got = await socket.receive(into)) {
    await socket.send(into.subarray(0, got.length), got.from);
  }
}

async function drain(stream: Stream): Promise<number> {
  const buffer = new Uint8Array(65536);
  let length = 0;
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) length += count;
  return length;
}
