import { assert, assertEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { encodeBase32 } from "../encoding.ts";
import {
  type Ack,
  ackBytes,
  type FrameHandler,
  FrameReader,
  FrameType,
  legsBytes,
  type LegsFrame,
  SHARD_HEAD_BYTES,
  shardBytesOf,
  type ShardHead,
  writeAck,
  writeLegs,
  writeLegsTaken,
  writeShardHead,
} from "./frames.ts";

type Frame =
  | { readonly type: "shard"; readonly head: ShardHead; readonly shard: Uint8Array }
  | { readonly type: "ack"; readonly ack: Ack }
  | { readonly type: "legs"; readonly legs: LegsFrame }
  | { readonly type: "taken"; readonly generation: number }
  | { readonly type: "ping" }
  | { readonly type: "close" };

/** Notes what it is told. */
class Listener implements FrameHandler {
  readonly frames: Frame[] = [];

  onShard(head: ShardHead, shard: Uint8Array): void {
    this.frames.push({ type: "shard", head: { ...head }, shard: shard.slice() });
  }
  onAck(ack: Ack): void {
    this.frames.push({ type: "ack", ack });
  }
  onPing(): void {
    this.frames.push({ type: "ping" });
  }
  onLegs(legs: LegsFrame): void {
    this.frames.push({ type: "legs", legs });
  }
  onLegsTaken(generation: number): void {
    this.frames.push({ type: "taken", generation });
  }
  onClose(): void {
    this.frames.push({ type: "close" });
  }
}

function read(bytes: Uint8Array): { readonly isWhole: boolean; readonly frames: readonly Frame[] } {
  const listener = new Listener();
  const isWhole = new FrameReader().read(bytes, { start: 0, end: bytes.length }, listener);
  return { isWhole, frames: listener.frames };
}

function encode(frames: readonly Frame[]): Uint8Array {
  const bytes = new Uint8Array(200_000);
  let at = 0;
  for (const frame of frames) {
    if (frame.type === "ack") {
      const end = writeAck(bytes, at, frame.ack);
      assertEquals(end - at, ackBytes(frame.ack));
      at = end;
    } else if (frame.type === "legs") {
      const end = writeLegs(bytes, at, frame.legs);
      assertEquals(end - at, legsBytes(frame.legs));
      at = end;
    } else if (frame.type === "taken") at = writeLegsTaken(bytes, at, frame.generation);
    else if (frame.type === "ping") bytes[at++] = FrameType.PING;
    else if (frame.type === "close") bytes[at++] = FrameType.CLOSE;
    else {
      at = writeShardHead(bytes, at, frame.head);
      bytes.set(frame.shard, at);
      at += frame.shard.length;
    }
  }
  return bytes.slice(0, at);
}

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const u48 = fc.nat(2 ** 48 - 1);
const place = fc.record({ leg: u16, relayId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(encodeBase32) });
const places = fc.uniqueArray(place, { minLength: 1, maxLength: 16, selector: ({ leg }) => leg }).filter((legs) =>
  new Set(legs.map(({ relayId }) => relayId)).size === legs.length
);
const ackLeg = fc.record({ leg: u16, largest: u48, received: u48, heldBackMs: fc.nat(0xffff).map((n) => n / 10) });
const run = fc.record({ complete: u16, mask: u32.map((mask) => mask | 0) });
const shard = fc.record({
  block: u32,
  dataShards: fc.integer({ min: 1, max: 32 }),
  index: fc.nat(31),
  blockBytes: fc.integer({ min: 1, max: 5000 }),
}).map((head): Frame => {
  const shard = new Uint8Array(shardBytesOf(head.blockBytes, head.dataShards)).fill(head.index + 1);
  return { type: "shard", head, shard };
});
const frame: fc.Arbitrary<Frame> = fc.oneof(
  shard,
  fc.record({
    nextBlock: u32,
    windowBytes: u32,
    legs: fc.array(ackLeg, { maxLength: 16 }),
    runs: fc.array(run, { maxLength: 64 }),
    complete: u16,
    isCut: fc.boolean(),
  }).map((ack): Frame => ({ type: "ack", ack })),
  fc.record({ generation: u32, up: places, down: places }).map((legs): Frame => ({ type: "legs", legs })),
  u32.map((generation): Frame => ({ type: "taken", generation })),
  fc.constantFrom<Frame>({ type: "ping" }, { type: "close" }),
);

/** Each at most once, and the shard last. */
const bodyFrames = fc.uniqueArray(frame, { maxLength: 6, selector: ({ type }) => type })
  .map((frames) => frames.sort((a, b) => Number(a.type === "shard") - Number(b.type === "shard")));

Deno.test("frames are read as they were written, with padding behind them or without", () => {
  fc.assert(fc.property(bodyFrames, fc.nat(40), (frames, padding) => {
    const bytes = encode(frames);
    const padded = new Uint8Array(bytes.length + padding);
    padded.set(bytes);
    assertEquals(read(padded), { isWhole: true, frames });
  }));
});

Deno.test("of each frame only the first in a fragment is read, and nothing behind a shard", () => {
  fc.assert(fc.property(frame, frame, (first, second) => {
    const { frames, isWhole } = read(encode([first, second]));
    const isRead = first.type !== second.type && first.type !== "shard";
    assertEquals(frames, isRead ? [first, second] : [first]);
    assertEquals(isWhole, isRead || first.type === "shard");
  }));
});

Deno.test("frames lie on the wire as the table says", () => {
  const relayId = encodeBase32(new Uint8Array(16).fill(0xab));
  const legs = { generation: 1, up: [{ leg: 2, relayId }], down: [{ leg: 0x0304, relayId }] };
  const ack = {
    nextBlock: 0x01020304,
    windowBytes: 0x00800000,
    legs: [{ leg: 5, largest: 0x060708090a0b, received: 7, heldBackMs: 1.5 }],
    runs: [{ complete: 3, mask: -2 }],
    complete: 9,
    isCut: true,
  };
  const head = { block: 0x01020304, dataShards: 2, index: 1, blockBytes: 3 };
  const rows: readonly (readonly [Frame, string])[] = [
    [{ type: "shard", head, shard: Uint8Array.of(8, 9) }, "01010203040201000003" + "0809"],
    [
      { type: "ack", ack },
      "020102030400800000" + "01" + "0005060708090a0b000000000007000f" + "01" + "0003fffffffe" + "000901",
    ],
    [{ type: "ping" }, "03"],
    [{ type: "legs", legs }, "0400000001" + "010002" + "ab".repeat(16) + "010304" + "ab".repeat(16)],
    [{ type: "taken", generation: 0xfffffffe }, "05fffffffe"],
    [{ type: "close" }, "06"],
  ];
  for (const [frame, hex] of rows) assertEquals(encodeHex(encode([frame])), hex, frame.type);
});

Deno.test("any bytes are read without a fault, and what was read can be written", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7), (bytes, type) => {
      bytes[0] = type;
      for (const frame of read(bytes).frames) assertEquals(read(encode([frame])).frames, [frame]);
    }),
    { numRuns: 500 },
  );
});

Deno.test("frames that are cut or changed are read without a fault and never beyond their end", () => {
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 3 }), fc.nat(), fc.nat(255), (frames, place, value) => {
      const bytes = encode(frames);
      const changed = bytes.slice();
      changed[place % bytes.length] = value;
      read(changed);
      const cut = place % bytes.length;
      const listener = new Listener();
      new FrameReader().read(bytes, { start: 0, end: cut }, listener);
      assert(encode(listener.frames).length <= cut);
    }),
  );
});

Deno.test("what no frame may say ends the reading", () => {
  const legsOf = (count: number, leg: number) => [count, ...Array.from({ length: count }, () => [0, leg]).flat()];
  const rows: readonly (readonly [string, readonly number[]])[] = [
    ["an unknown type", [7]],
    ["a block of no bytes", [1, 0, 0, 0, 0, 2, 0, 0, 0, 0]],
    ["no data shards", [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]],
    ["33 data shards", [1, 0, 0, 0, 0, 33, 0, 0, 0, 1, 9]],
    ["shard 32", [1, 0, 0, 0, 0, 1, 32, 0, 0, 1, 9]],
    ["a shard that is not all there", [1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 9]],
    ["an ACK of 17 legs", [2, 0, 0, 0, 0, 0, 0, 0, 0, 17, ...new Uint8Array(300)]],
    ["an ACK of 65 runs", [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 65, ...new Uint8Array(400)]],
    ["no legs", [4, 0, 0, 0, 1, 0, 0]],
    ["17 legs", [4, 0, 0, 0, 1, ...legsOf(17, 1), ...new Uint8Array(400)]],
    ["a leg twice", [4, 0, 0, 0, 1, 2, 0, 1, ...new Uint8Array(16), 0, 1, ...new Uint8Array(16).fill(2)]],
  ];
  for (const [name, bytes] of rows) {
    assertEquals(read(Uint8Array.from(bytes)), { isWhole: false, frames: [] }, name);
  }
  assertEquals(SHARD_HEAD_BYTES, 10);
});
