import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import type { CulvertError } from "../../protocol/errors.ts";
import { encodeSegments } from "../../protocol/kcp/fixtures/kcp_end.ts";
import type { KcpOptions } from "../../protocol/kcp/kcp_options.ts";
import { Slab } from "../../protocol/slab.ts";
import { readFull, writeAll } from "../../protocol/stream.ts";
import type { Clock } from "../../protocol/clock.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { type MemoryCarrier, type PacketFate, PacketNetwork } from "../../testing/memory_carrier.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { KcpPair, kcpSettings, openSeal } from "./fixtures/kcp_pair.ts";
import { KcpLink } from "./kcp_link.ts";

async function carryBothWays(pair: KcpPair, bytes: number): Promise<void> {
  const { clock, random } = pair;
  const mux = pair.connect();
  const near = mux.open();
  const out = random.fill(new Uint8Array(bytes));
  const back = random.fill(new Uint8Array(bytes));
  const gotOut = new Uint8Array(bytes);
  const gotBack = new Uint8Array(bytes);
  const wrote = writeAll(near, out);
  await clock.runUntil((async () => {
    while (pair.streams.length === 0) await clock.advanceAsync(1);
  })());
  const far = pair.streams[0]!;
  await clock.runUntil(Promise.all([wrote, writeAll(far, back), readFull(far, gotOut), readFull(near, gotBack)]));
  assertEquals(gotOut, out);
  assertEquals(gotBack, back);
}

const fates: { name: string; fate: Partial<PacketFate> }[] = [
  { name: "nothing but time", fate: {} },
  { name: "loss", fate: { lossShare: 0.1, delayMs: 20 } },
  { name: "reordering", fate: { jitterMs: 30, delayMs: 5 } },
  { name: "duplicates", fate: { duplicateShare: 0.3, delayMs: 5, jitterMs: 3 } },
  { name: "a narrow wire with a short queue", fate: { bytesPerMs: 500, queueBytes: 50_000, delayMs: 10 } },
  { name: "all at once", fate: { lossShare: 0.05, duplicateShare: 0.05, jitterMs: 15, delayMs: 10, bytesPerMs: 5000 } },
];

for (const { name, fate } of fates) {
  for (const seed of [1, 2, 3]) {
    Deno.test(`streams over KCP survive ${name} (seed ${seed})`, async () => {
      using pair = new KcpPair({ seed, fate });
      await carryBothWays(pair, 300_000);
    });
  }
}

Deno.test("when all has come, nothing more is sent than the mux asks for", async () => {
  using pair = new KcpPair();
  await carryBothWays(pair, 100_000);
  await pair.clock.advanceAsync(200);
  const before = pair.near.counters.sentPackets + pair.far.counters.sentPackets;
  await pair.clock.advanceAsync(10_000);
  const after = pair.near.counters.sentPackets + pair.far.counters.sentPackets;
  // A ping a second at each end, its pong, and an acknowledgement of each.
  assertLess(after - before, 100);
});

Deno.test("a link that is closed is closed at the other end as well, without an error", async () => {
  using pair = new KcpPair();
  await carryBothWays(pair, 1000);
  assertEquals(pair.links.size, 1);
  pair.served[0]!.close();
  await pair.clock.advanceAsync(5);
  assertEquals(pair.links.size, 0);
  assertEquals(pair.server.size, 0);
});

Deno.test("a peer that has gone is noticed by its silence", async () => {
  using pair = new KcpPair();
  await carryBothWays(pair, 1000);
  pair.network.fate.lossShare = 1;
  await pair.clock.advanceAsync(5000);
  assertEquals(pair.links.size, 0);
  assertEquals(pair.server.size, 0);
  assertEquals(pair.served[0]!.failure, "timeout");
});

Deno.test("a second conversation of a place takes the place of the first", async () => {
  using pair = new KcpPair();
  const first = pair.connect();
  await pair.clock.advanceAsync(10);
  assertEquals(pair.served.length, 1);
  pair.near.counters.sentPackets = 0;
  pair.connect();
  await pair.clock.advanceAsync(10);
  assertEquals(pair.served.length, 2);
  assert(pair.served[0]!.closed);
  assert(first.closed);
  assertEquals(pair.server.size, 1);
});

Deno.test("whoever cannot seal, or begins in the middle, gets no link and no answer", async () => {
  using pair = new KcpPair();
  const stranger = pair.network.carrier("10.6.6.6", 6);
  let answers = 0;
  stranger.start({ onPacket: () => answers++, onTurn() {}, onClose() {} });
  for (const first of [0, 0xab]) {
    for (let length = 0; length < 200; length++) {
      const at = stranger.reserve(length);
      pair.random.fill(stranger.slab.bytes.subarray(at, at + length));
      if (length > 5) stranger.slab.bytes[at] = first;
      if (length > 5) stranger.slab.bytes[at + length - 1] = 0xcd;
      stranger.commit(length, stranger.place("10.0.0.2", 2000));
    }
    stranger.flush();
  }
  await pair.clock.advanceAsync(1000);
  assertEquals([answers, pair.server.size], [0, 0]);
  assertGreater(pair.server.counters.forged, 100);
  assertGreater(pair.server.counters.stray, 100);
  stranger.close();
});

/** Whoever is at `host` sends a first segment with that conversation and those bytes, under the seal of the pair. */
async function begin(pair: KcpPair, stranger: MemoryCarrier, conv: number, data = ""): Promise<void> {
  const body = encodeSegments([{ conv, data }]);
  const at = stranger.reserve(6 + body.length);
  stranger.slab.bytes.set(body, at + openSeal.headBytes);
  openSeal.seal(stranger.slab, at, at + 6 + body.length);
  stranger.commit(6 + body.length, stranger.place("10.0.0.2", 2000));
  stranger.flush();
  await pair.clock.advanceAsync(5);
}

Deno.test("a place that begins another conversation without a word ends the first, and may begin it again later", async () => {
  using pair = new KcpPair();
  const stranger = pair.network.carrier("10.6.6.6", 6);
  stranger.start({ onPacket() {}, onTurn() {}, onClose() {} });
  for (const conv of [1, 2, 1]) await begin(pair, stranger, conv);
  assertEquals(pair.served.map(({ closed }) => closed), [true, true, false]);
  assertEquals(pair.server.size, 1);
  stranger.close();
});

Deno.test("a link that ends by what came on it leaves nothing behind", async () => {
  using pair = new KcpPair();
  const stranger = pair.network.carrier("10.6.6.6", 6);
  stranger.start({ onPacket() {}, onTurn() {}, onClose() {} });
  await begin(pair, stranger, 1, "this is no smux at all");
  assertEquals([pair.served.map(({ closed }) => closed), pair.server.size], [[true], 0]);
  await begin(pair, stranger, 1);
  assertEquals([pair.served.length, pair.server.size], [2, 1]);
  stranger.close();
});

Deno.test("a link on which nothing is heard for long ends", async () => {
  using pair = new KcpPair({ server: { idleTimeoutMs: 1000 } });
  pair.connect();
  await pair.clock.advanceAsync(10);
  pair.network.fate.lossShare = 1;
  await pair.clock.advanceAsync(900);
  assertEquals(pair.server.size, 1);
  await pair.clock.advanceAsync(400);
  assertEquals(pair.server.size, 0);
});

Deno.test("a full table makes room by ending the link that was silent for longest", async () => {
  using pair = new KcpPair({ server: { maxLinks: 2 } });
  const carriers = [1, 2, 3].map((last) => pair.network.carrier(`10.0.1.${last}`, 1));
  for (const carrier of carriers) carrier.start({ onPacket() {}, onTurn() {}, onClose() {} });
  // The first is heard again after the second.
  for (const index of [0, 1, 0, 2]) await begin(pair, carriers[index]!, index);
  assertEquals(pair.server.size, 2);
  assertEquals(pair.server.counters.evicted, 1);
  assertEquals(pair.served.map(({ closed }) => closed), [false, true, false]);
  for (const carrier of carriers) carrier.close();
});

Deno.test("a link ends with its carrier", async () => {
  using pair = new KcpPair();
  const mux = pair.connect();
  await pair.clock.advanceAsync(10);
  pair.near.close();
  await settle();
  assert(mux.closed);
});

Deno.test("a link follows its client to another place, and not whoever repeats what the client sent", async () => {
  using pair = new KcpPair();
  const copies: Uint8Array[] = [];
  pair.network.fate.drops = (packet, from) => {
    if (from.host === "10.0.0.1") copies.push(packet);
    return false;
  };
  await carryBothWays(pair, 5000);
  const stream = pair.streams[0]!;
  const mux = pair.served[0]!;
  // The client is silent for a while: nothing that it sends comes.
  pair.network.fate.drops = (_, from) => from.host === "10.0.0.1";
  await pair.clock.advanceAsync(1800);
  const thief = pair.network.carrier("10.6.6.6", 6);
  thief.start({ onPacket() {}, onTurn() {}, onClose() {} });
  for (const copy of copies) {
    const at = thief.reserve(copy.length);
    thief.slab.bytes.set(copy, at);
    thief.commit(copy.length, thief.place("10.0.0.2", 2000));
  }
  thief.flush();
  await pair.clock.advanceAsync(10);
  assertEquals([pair.server.counters.moved, pair.served.length], [0, 1]);
  pair.near.move("10.0.0.77", 777);
  await pair.clock.advanceAsync(1500);
  assertEquals([pair.server.counters.moved, pair.served.length, mux.closed], [1, 1, false]);
  const wrote = writeAll(stream, new Uint8Array(9).fill(1));
  await pair.clock.runUntil(wrote);
  await pair.clock.advanceAsync(3000);
  assertEquals([pair.links.size, pair.server.size], [1, 1]);
  thief.close();
});

Deno.test("whoever takes a packet off the way and sends it from elsewhere does not get a link that is heard", async () => {
  using pair = new KcpPair();
  await carryBothWays(pair, 5000);
  const taken: Uint8Array[] = [];
  pair.network.fate.drops = (packet, from) => from.host === "10.0.0.1" && taken.length < 1 && taken.push(packet) > 0;
  // The muxes of the pair speak every second.
  for (let waitedMs = 0; taken.length === 0; waitedMs++) {
    assertLess(waitedMs, 2000);
    await pair.clock.advanceAsync(1);
  }
  const thief = pair.network.carrier("10.6.6.6", 6);
  let answers = 0;
  thief.start({ onPacket: () => answers++, onTurn() {}, onClose() {} });
  for (const packet of taken) {
    const at = thief.reserve(packet.length);
    thief.slab.bytes.set(packet, at);
    thief.commit(packet.length, thief.place("10.0.0.2", 2000));
  }
  thief.flush();
  await pair.clock.advanceAsync(10);
  assertEquals([pair.server.counters.moved, answers], [0, 0]);
  thief.close();
});

Deno.test("an outage that ends leaves no link marked as dead", async () => {
  using pair = new KcpPair({ kcp: { minRtoMs: 10 } });
  await carryBothWays(pair, 1000);
  pair.network.fate.lossShare = 1;
  await pair.clock.advanceAsync(3000);
  pair.network.fate.lossShare = 0;
  await pair.clock.advanceAsync(60_000);
  assertEquals([pair.links.size, pair.server.size], [1, 1]);
});

/** A link that nobody answers, and the carrier under it. */
function lonelyLink(clock: FakeClock, kcp: Partial<KcpOptions> = {}) {
  const network = new PacketNetwork({ clock, random: new SeededRandom(1) });
  const carrier = network.carrier("10.0.0.1", 1);
  const place = carrier.place("10.0.0.2", 2);
  const link = new KcpLink({ carrier, place, seal: openSeal, kcp: { ...kcpSettings, ...kcp, conv: 1 }, clock });
  const errors: unknown[] = [];
  let heard = "";
  const handlers = {
    fill: (into: Uint8Array) => (into[0] = 7, 1),
    onBytes: (bytes: Uint8Array) => heard += new TextDecoder().decode(bytes),
    wantsBytes: () => true,
    onClose: (error: unknown) => errors.push(error),
  };
  return { link, carrier, handlers, errors, heard: () => heard };
}

Deno.test("a link that has sent in vain for long ends, and says why", () => {
  const clock = new FakeClock();
  const { link, carrier, handlers, errors } = lonelyLink(clock);
  link.start(handlers);
  link.turn();
  for (let waitedMs = 0; !link.isOver; waitedMs += 100) {
    assertLess(waitedMs, 120_000);
    clock.advance(100);
  }
  assertEquals(errors.map((error) => (error as CulvertError).code), ["link_lost"]);
  assertGreater(clock.now(), 10_000);
  carrier.close();
});

Deno.test("a link that ended before it was started tells so when it is", () => {
  const { link, carrier, handlers, errors } = lonelyLink(new FakeClock());
  link.close();
  link.start(handlers);
  assertEquals(errors, [undefined]);
  carrier.close();
});

Deno.test("what is not sealed as it should be is not taken", () => {
  const { link, carrier, handlers, heard } = lonelyLink(new FakeClock());
  link.start(handlers);
  const body = encodeSegments([{ conv: 1, data: "forged" }]);
  const slab = new Slab(256);
  slab.bytes.set(body, openSeal.headBytes);
  assertEquals([link.receive(slab, 0, 6 + body.length), heard()], [false, ""]);
  openSeal.seal(slab, 0, 6 + body.length);
  assertEquals([link.receive(slab, 0, 6 + body.length), heard()], [true, "forged"]);
  link.close();
  carrier.close();
});

Deno.test("what is due sooner than what was waited for goes in its time, and nothing is waited for after the end", () => {
  const clock = new FakeClock();
  const { link, carrier, handlers } = lonelyLink(clock, { ackNoDelay: false, intervalMs: 40 });
  let isFilled = false;
  link.start({ ...handlers, fill: (into) => isFilled ? 0 : (isFilled = true, handlers.fill(into)) });
  link.turn();
  assertEquals(carrier.counters.sentPackets, 1); // and is waited for until 200
  clock.advance(10);
  const datagram = encodeSegments([{ conv: 1, data: "x" }]);
  const slab = new Slab(256);
  slab.bytes.set(datagram);
  link.receiveOpened(slab, 0, datagram.length);
  link.turn();
  clock.advance(29);
  assertEquals(carrier.counters.sentPackets, 1);
  clock.advance(1);
  assertEquals(carrier.counters.sentPackets, 2);
  assertGreater(clock.pendingTimers, 0);
  link.close();
  assertEquals(clock.pendingTimers, 0);
  carrier.close();
});

Deno.test("what came before a link was started is given to it then", () => {
  const { link, carrier, handlers, heard } = lonelyLink(new FakeClock());
  const datagram = encodeSegments([{ conv: 1, data: "early" }]);
  const slab = new Slab(256);
  slab.bytes.set(datagram);
  link.receiveOpened(slab, 0, datagram.length);
  link.turn();
  assertEquals(heard(), "");
  link.start(handlers);
  assertEquals(heard(), "early");
  link.close();
  carrier.close();
});

Deno.test("a process that was held up looks at what waits for it before it takes anything for lost", () => {
  const clock = new FakeClock();
  let heldUpMs = 0;
  const late: Clock = {
    wallNow: () => 0,
    after: (delayMs, run) => clock.after(delayMs, run),
    now: () => clock.now() + heldUpMs,
  };
  using network = new PacketNetwork({ clock, random: new SeededRandom(1) });
  const carrier = network.carrier("10.0.0.1", 1);
  let left = 10;
  const link = new KcpLink({
    carrier,
    place: carrier.place("10.0.0.2", 2),
    seal: openSeal,
    kcp: { ...kcpSettings, conv: 1 },
    clock: late,
  });
  const fill = () => left-- > 0 ? 1 : 0;
  link.start({ fill: (into) => Math.min(fill(), into.length), onBytes() {}, wantsBytes: () => true, onClose() {} });
  link.turn();
  const sent = carrier.counters.sentPackets;
  clock.advance(199);
  heldUpMs = 50;
  clock.advance(1);
  assertEquals(carrier.counters.sentPackets, sent);
  clock.advance(1);
  assertGreater(carrier.counters.sentPackets, sent);
  link.close();
  carrier.close();
});
