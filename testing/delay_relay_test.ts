import { assert, assertEquals, assertThrows } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { readFull, type Stream, type Target, writeAll } from "../protocol/stream.ts";
import { DelayRelay } from "./delay_relay.ts";
import { DelayRing } from "./delay_ring.ts";
import { SeededRandom } from "./seeded_random.ts";
import { testStreamContract } from "./stream_contract.ts";

let relays: DelayRelay[] = [];

testStreamContract("TCP through a delay relay", {
  async makePair(): Promise<[Stream, Stream]> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const relay = DelayRelay.start({ to: targetOf(listener), delayMs: 2, bufferBytes: 100_000 });
    relays.push(relay);
    return await Promise.all([connect(relay.address), listener.accept()]);
  },
  async cleanUp() {
    const old = relays;
    relays = [];
    for (const relay of old) await relay[Symbol.asyncDispose]();
  },
  largeBytes: 1024 * 1024,
  exceptions: { "close may be repeated": "these are Deno's own connections" },
});

Deno.test("a question and its answer take two delays, many at once no longer than one", async () => {
  const clock = clockOf(globalThis);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using relay = DelayRelay.start({ to: targetOf(listener), delayMs: 40 });
  using near = await connect(relay.address);
  using far = await listener.accept();
  const startMs = clock.now();
  for (let name = 0; name < 10; name++) await writeAll(near, Uint8Array.of(name));
  const question = new Uint8Array(10);
  assert(await readFull(far, question));
  const halfMs = clock.now() - startMs;
  await writeAll(far, question);
  assert(await readFull(near, new Uint8Array(10)));
  const wholeMs = clock.now() - startMs;
  assertEquals([...question], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  // Never early; how late depends on what else the machine does.
  assert(halfMs >= 40 && wholeMs >= 80, `${halfMs} ${wholeMs}`);
});

Deno.test("closing the relay closes its connections", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const relay = DelayRelay.start({ to: targetOf(listener), delayMs: 10_000 });
  using near = await connect(relay.address);
  using far = await listener.accept();
  await writeAll(near, Uint8Array.of(1));
  const reading = far.read(new Uint8Array(1)).catch(() => null);
  await relay[Symbol.asyncDispose]();
  assertEquals(await reading, null);
});

Deno.test("a relay refuses settings that make no sense", () => {
  const to = { host: "127.0.0.1", port: 1 };
  assertThrows(() => DelayRelay.start({ to, delayMs: -1 }), RangeError, "delayMs must be at least 0, got -1");
  assertThrows(
    () => DelayRelay.start({ to, delayMs: 1, bufferBytes: 0 }),
    RangeError,
    "bufferBytes must be at least 1",
  );
});

Deno.test("a ring gives bytes back in order, none before its time and none lost", () => {
  const random = new SeededRandom(4);
  const ring = new DelayRing(97, 10);
  const arrivedMs: number[] = [];
  let sent = 0;
  let received = 0;
  for (let nowMs = 0; received < 10_000; nowMs++) {
    for (let round = 0; round < 3; round++) {
      const space = ring.space(1 + Math.floor(random.next() * 40));
      for (let at = 0; at < space.length; at++) {
        space[at] = sent++ & 0xff;
        arrivedMs.push(nowMs);
      }
      ring.filled(space.length, nowMs);
    }
    for (let due = ring.due(nowMs); due.length > 0; due = ring.due(nowMs)) {
      const part = due.subarray(0, 1 + Math.floor(random.next() * 30));
      for (const byte of part) {
        assertEquals(byte, received & 0xff);
        assert(nowMs >= arrivedMs[received]! + 10);
        received++;
      }
      ring.taken(part.length);
    }
  }
});

function connect({ host, port }: Target): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: host, port });
}

function targetOf(listener: Deno.TcpListener): Target {
  const { hostname, port } = listener.addr as Deno.NetAddr;
  return { host: hostname, port };
}
