import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { readFull, writeAll } from "../../protocol/stream.ts";
import { mutationsOf } from "../../testing/fuzz.ts";
import type { MemoryCarrier } from "../../testing/memory_carrier.ts";
import { KcpPair } from "./fixtures/kcp_pair.ts";

const SERVER = ["10.0.0.2", 2000] as const;

function stranger(pair: KcpPair, host: string): MemoryCarrier & { answers: number } {
  const carrier = Object.assign(pair.network.carrier(host, 6), { answers: 0 });
  carrier.start({ onPacket: () => carrier.answers++, onTurn() {}, onClose() {} });
  return carrier;
}

function send(carrier: MemoryCarrier, packet: Uint8Array): void {
  const at = carrier.reserve(packet.length);
  carrier.slab.bytes.set(packet, at);
  carrier.commit(packet.length, carrier.place(...SERVER));
  carrier.flush();
}

/** What a client of the pair sends while it does some work. */
async function packetsOfAClient(pair: KcpPair): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  pair.network.fate.drops = (packet, from) => {
    if (from.host === "10.0.0.1") packets.push(packet);
    return false;
  };
  await useStream(pair, pair.connect(), 3000);
  delete pair.network.fate.drops;
  return packets;
}

async function useStream(pair: KcpPair, mux: ReturnType<KcpPair["connect"]>, bytes: number): Promise<void> {
  const before = pair.streams.length;
  using near = mux.open();
  const sent = pair.random.fill(new Uint8Array(bytes));
  const got = new Uint8Array(bytes);
  const wrote = writeAll(near, sent);
  for (let waitedMs = 0; pair.streams.length === before; waitedMs++) {
    assertLess(waitedMs, 5000);
    await pair.clock.advanceAsync(1);
  }
  await pair.clock.runUntil(Promise.all([wrote, readFull(pair.streams.at(-1)!, got)]));
  assertEquals(got, sent);
}

Deno.test("a server survives genuine packets that were spoilt, from anywhere, and serves others meanwhile", async () => {
  using pair = new KcpPair({ server: { maxLinks: 8 } });
  const packets = await packetsOfAClient(pair);
  const strangers = Array.from({ length: 20 }, (_, index) => stranger(pair, `10.6.0.${index}`));
  // All but the four bytes that stand for the seal may be anything.
  const spoilt = mutationsOf(fc.constantFrom(...packets.map((packet) => packet.subarray(4, -2))))
    .map((body) => Uint8Array.of(0xab, 0xab, 0xab, 0xab, ...body.subarray(0, 1400), 0xcd, 0xcd));
  for (const [index, packet] of fc.sample(spoilt, { numRuns: 2000, seed: 5 }).entries()) {
    send(strangers[index % strangers.length]!, packet);
    if (index % 100 === 99) {
      await pair.clock.advanceAsync(5);
      assertLessOrEqual(pair.server.size, 8);
    }
  }
  // The link of one that was silent may have had to make room, but a client that comes finds some.
  await pair.clock.advanceAsync(5000);
  await useStream(pair, pair.connect(), 2000);
  for (const carrier of strangers) carrier.close();
});

Deno.test("a flood from forged places leaves nothing behind and is not answered", async () => {
  using pair = new KcpPair();
  const mux = pair.connect();
  await useStream(pair, mux, 1000);
  const strangers = Array.from({ length: 100 }, (_, index) => stranger(pair, `10.6.1.${index}`));
  for (let round = 0; round < 20; round++) {
    for (const carrier of strangers) send(carrier, pair.random.fill(new Uint8Array(50 + round)));
    await pair.clock.advanceAsync(2);
  }
  assertEquals(pair.server.size, 1);
  assertEquals(strangers.reduce((sum, { answers }) => sum + answers, 0), 0);
  assertEquals(pair.server.counters.forged, 2000);
  assert(!mux.closed);
  await useStream(pair, mux, 1000);
  for (const carrier of strangers) carrier.close();
});

Deno.test("what was recorded of a link that lives gets neither a link nor an answer elsewhere", async () => {
  using pair = new KcpPair();
  const packets = await packetsOfAClient(pair);
  const thief = stranger(pair, "10.6.6.6");
  for (const packet of packets) send(thief, packet);
  await pair.clock.advanceAsync(100);
  assertEquals([pair.server.size, thief.answers], [1, 0]);
  thief.close();
});
