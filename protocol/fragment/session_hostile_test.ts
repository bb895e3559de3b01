/** A peer that has the keys and says whatever it likes. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Slab } from "../slab.ts";
import { plainCrypto, relayIdOf } from "./fixtures/session_network.ts";
import { FrameType, writeAck, writeLegs, writeShardHead } from "./frames.ts";
import { FRAGMENT_HEADER_BYTES, LegOpener, LegSealer, MAX_BODY_BYTES } from "./leg_seal.ts";
import { openReedSolomon } from "./reed_solomon.ts";
import { FragmentSession, type LegsChange } from "./session.ts";

const KEY = new Uint8Array(32);
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

/** A central that has sent what it could, and the means to tell it anything. */
class Victim implements Disposable {
  readonly session: FragmentSession;
  readonly changes: LegsChange[] = [];
  delivered = 0;
  ended = 0;
  nowMs = 0;
  readonly #sealer = new LegSealer(plainCrypto, KEY);
  readonly #slab = new Slab(32_768);
  readonly #batch = new Uint8Array(192 * 1024);

  constructor() {
    this.session = new FragmentSession(
      {
        role: "central",
        coding: { dataShards: 2, totalShards: 3 },
        sealer: () => new LegSealer(plainCrypto, KEY),
        opener: () => new LegOpener(plainCrypto, KEY),
        reedSolomon: openReedSolomon(),
        random: new SeededRandom(1),
        limits: { receiveBufferBytes: RECEIVE_BUFFER_BYTES },
      },
      {
        fill: (into) => into.length,
        onBytes: (bytes) => this.delivered += bytes.length,
        onWants: () => {},
        onLegs: (change) => this.changes.push(change),
        onEnd: () => this.ended++,
      },
      0,
    );
    const relays = new Map([0, 1, 2, 3].map((leg) => [leg, relayIdOf(leg)]));
    this.session.setLegs({ send: [1, 2, 3], receive: [0] }, relays);
  }

  /** Puts a body into a fragment that is true, and lets the session go on for a while. */
  say(write: (bytes: Uint8Array, at: number) => number): void {
    const end = write(this.#slab.bytes, FRAGMENT_HEADER_BYTES);
    const length = this.#sealer.seal(this.#slab, 0, end - FRAGMENT_HEADER_BYTES);
    this.session.receive(0, this.#slab.bytes.subarray(0, length), this.nowMs);
    this.goOn();
  }

  goOn(): void {
    for (const leg of [1, 2, 3]) this.session.pull(leg, this.#batch, this.nowMs);
    this.nowMs += 5;
    if (this.session.nextTickMs <= this.nowMs) this.session.tick(this.nowMs);
  }

  [Symbol.dispose](): void {
    this.session[Symbol.dispose]();
  }
}

const anyNumber = fc.oneof(fc.nat(20), fc.nat(5000), fc.nat(0xffffffff), fc.constant(0xffffffff));
const anyAck = fc.record({
  nextBlock: anyNumber,
  windowBytes: anyNumber,
  legs: fc.array(
    fc.record({
      leg: fc.nat(5),
      largest: fc.oneof(fc.nat(50), fc.nat(2 ** 48 - 1)),
      received: fc.oneof(fc.nat(50), fc.nat(2 ** 48 - 1)),
      heldBackMs: fc.nat(6553),
    }),
    { maxLength: 16 },
  ),
  runs: fc.array(
    fc.record({ complete: fc.oneof(fc.nat(5), fc.nat(0xffff)), mask: fc.oneof(fc.nat(8), fc.constant(-1)) }),
    { maxLength: 64 },
  ),
  complete: fc.oneof(fc.nat(5), fc.nat(0xffff)),
  isCut: fc.boolean(),
});
const anyShard = fc.record({
  block: anyNumber,
  dataShards: fc.integer({ min: 1, max: 32 }),
  index: fc.nat(31),
  blockBytes: fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 0xffffff })),
});
const anyLegs = fc.record({
  generation: anyNumber,
  up: fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 16 }),
  down: fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 16 }),
});

function checkBounds(victim: Victim): void {
  const stats = victim.session.stats();
  assert(stats.receiveBufferBytes <= RECEIVE_BUFFER_BYTES + 1024 * 1024, `${stats.receiveBufferBytes}`);
  assert(stats.sendBufferBytes <= 9 * 1024 * 1024, `${stats.sendBufferBytes}`);
  assert(stats.send.length <= 16 && stats.receive.length <= 16);
  assertEquals(victim.ended, 0);
}

Deno.test("whatever a peer says in frames, nothing is thrown and memory stays bounded", () => {
  const frames = fc.array(
    fc.oneof(
      anyAck.map((ack) => ({ ack })),
      anyShard.map((shard) => ({ shard })),
      anyLegs.map((legs) => ({ legs })),
      fc.constant({ ping: true }),
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(frames, (frames) => {
      using victim = new Victim();
      for (const frame of frames) {
        if ("ack" in frame) victim.say((bytes, at) => writeAck(bytes, at, frame.ack));
        else if ("shard" in frame) {
          const { blockBytes, dataShards } = frame.shard;
          const shardBytes = Math.ceil(blockBytes / dataShards);
          victim.say((bytes, at) => Math.min(MAX_BODY_BYTES, writeShardHead(bytes, at, frame.shard) + shardBytes));
        } else if ("legs" in frame) {
          const { generation, up, down } = frame.legs;
          const places = (legs: readonly number[]) => legs.map((leg) => ({ leg, relayId: relayIdOf(leg) }));
          victim.say((bytes, at) => writeLegs(bytes, at, { generation, up: places([0, ...up]), down: places(down) }));
        } else {
          victim.say((bytes, at) => {
            bytes[at] = FrameType.PING;
            return at + 1;
          });
        }
        checkBounds(victim);
      }
    }),
    { numRuns: 150 },
  );
});

Deno.test("shards of ever more blocks that never become complete are kept up to the limit and no further", () => {
  using victim = new Victim();
  for (let block = 1; block < 6000; block++) {
    const head = { block, dataShards: 32, index: block % 32, blockBytes: 32 * 400 };
    victim.say((bytes, at) => writeShardHead(bytes, at, head) + 400);
  }
  checkBounds(victim);
  assertEquals(victim.delivered, 0);
});

Deno.test("the block that is next finds room even then", () => {
  using victim = new Victim();
  for (let block = 1; block < 200; block++) {
    const head = { block, dataShards: 2, index: 0, blockBytes: 2 * 8000 };
    victim.say((bytes, at) => writeShardHead(bytes, at, head) + 8000);
  }
  for (const index of [0, 1]) {
    const head = { block: 0, dataShards: 2, index, blockBytes: 2 * 8000 };
    victim.say((bytes, at) => writeShardHead(bytes, at, head) + 8000);
  }
  assertEquals(victim.delivered, 16_000);
});

Deno.test("an ACK of what was never sent is not believed", () => {
  using victim = new Victim();
  victim.goOn();
  const sent = victim.session.stats();
  const ack = {
    nextBlock: sent.sentBlocks + 1,
    windowBytes: 1e9,
    legs: [{ leg: 1, largest: 1e9, received: 1e9, heldBackMs: 0 }],
    runs: [],
    complete: 0xffff,
    isCut: false,
  };
  victim.say((bytes, at) => writeAck(bytes, at, ack));
  assert(victim.session.stats().sendBufferBytes >= sent.sendBufferBytes);
  assertEquals(victim.session.stats().send[0]!.rttMs, undefined);
});

Deno.test("only the client says which legs there are, and never an old number again", () => {
  using victim = new Victim();
  const places = (legs: readonly number[]) => legs.map((leg) => ({ leg, relayId: relayIdOf(leg) }));
  const tell = (generation: number, up: number[], down: number[]) =>
    victim.say((bytes, at) => writeLegs(bytes, at, { generation, up: places(up), down: places(down) }));
  tell(1, [0], [2, 3, 4]);
  tell(1, [0], [7]);
  tell(2, [0], [1, 3, 4]);
  assertEquals(victim.changes.length, 2);
  assertEquals(victim.session.stats().send.map(({ leg }) => leg), [3, 4]);
});

Deno.test("legs that are told again and again are taken now and then", () => {
  using victim = new Victim();
  for (let generation = 1; victim.nowMs < 1000; generation++) {
    const places = [{ leg: generation % 8, relayId: relayIdOf(1) }];
    victim.say((bytes, at) =>
      writeLegs(bytes, at, { generation, up: [{ leg: 0, relayId: relayIdOf(0) }], down: places })
    );
  }
  assert(victim.changes.length >= 15 && victim.changes.length <= 20, `${victim.changes.length}`);
});

Deno.test("fragments that are not the peer's change nothing", () => {
  using victim = new Victim();
  victim.goOn();
  const { receive: _, ...before } = victim.session.stats();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40_000, size: "max" }), fc.nat(3), (bytes, leg) => {
    victim.session.receive(leg, bytes, victim.nowMs);
  }));
  const { receive, ...after } = victim.session.stats();
  assertEquals(after, before);
  assertEquals(receive[0]!.receivedFragments, 0);
});
