/**
 * What is in the body of a fragment: frames, one after the other, big endian, up to a byte of 0 or to the end.
 *
 *   SHARD       1 | block u32 | data shards u8 | index u8 | block bytes u24 | shard[⌈block bytes / data shards⌉]
 *   ACK         2 | next block u32 | window bytes u32
 *                 | legs u8 | (leg u16 | largest u48 | received u48 | held back u16)*       held back in tenths of a ms
 *                 | runs u8 | (complete u16 | mask u32)* | complete u16 | is cut u8
 *   PING        3                                                        asks for an ACK
 *   LEGS        4 | generation u32 | (count u8 | (leg u16 | relay id[16])*) of up legs, then of down legs
 *   LEGS TAKEN  5 | generation u32
 *   CLOSE       6
 *
 * An ACK tells all there is to tell, not what is new, so that any of them may be lost. Of each leg it has the largest
 * number that came and how many came. Of blocks: all before `next block` are complete; from there on each run is some
 * complete blocks and then one that is not, with a mask of its shards that came. Cut means that there are more blocks
 * than it tells of.
 *
 * In one fragment is each of them at most once, and SHARD is the last: so a fragment costs no more than a few looks at
 * everything that is on its way, and nothing is read any more when the bytes of a block have been handed out.
 *
 * What cannot be read ends the reading of that fragment and changes nothing else. Nothing here throws.
 */

import { encodeBase32 } from "../encoding.ts";
import { peerIdBytes } from "./aliases.ts";
import { type LegPlace, MAX_BODY_BYTES } from "./leg_seal.ts";
import { CENTRAL_ID_BYTES as PEER_ID_BYTES } from "./messages.ts";
import { MAX_LEGS, MAX_SHARDS } from "./opening.ts";

export const FrameType = { SHARD: 1, ACK: 2, PING: 3, LEGS: 4, LEGS_TAKEN: 5, CLOSE: 6 } as const;

export const SHARD_HEAD_BYTES = 10;
/** What fills the largest fragment. */
export const MAX_SHARD_BYTES = MAX_BODY_BYTES - SHARD_HEAD_BYTES;
/** Blocks that are not complete, in one ACK. */
export const MAX_ACK_RUNS = 64;
export const MAX_BLOCK_NUMBER = 0xffffffff;
const ACK_HEAD_BYTES = 9;
const ACK_LEG_BYTES = 16;
const ACK_RUN_BYTES = 6;
const PLACE_BYTES = 2 + PEER_ID_BYTES;
const HELD_BACK_PER_MS = 10;

export interface ShardHead {
  block: number;
  dataShards: number;
  index: number;
  blockBytes: number;
}

/** What came on one leg. */
export interface AckLeg {
  readonly leg: number;
  readonly largest: number;
  readonly received: number;
  /** How long ago the largest came. */
  readonly heldBackMs: number;
}

/** Complete blocks, and the one behind them of which only the shards in `mask` came. */
export interface AckRun {
  readonly complete: number;
  readonly mask: number;
}

export interface Ack {
  /** The first block that is not complete. */
  readonly nextBlock: number;
  /** What blocks that are not complete, and those behind them, may take. */
  readonly windowBytes: number;
  readonly legs: readonly AckLeg[];
  readonly runs: readonly AckRun[];
  /** Complete blocks behind the last run. */
  readonly complete: number;
  /** There are blocks behind those it tells of. */
  readonly isCut: boolean;
}

/** Which legs there are, as the client has decided. */
export interface LegsFrame {
  readonly generation: number;
  readonly up: readonly LegPlace[];
  readonly down: readonly LegPlace[];
}

export interface FrameHandler {
  /** Both are valid only during the call. */
  onShard(head: ShardHead, shard: Uint8Array): void;
  onAck(ack: Ack): void;
  onPing(): void;
  onLegs(legs: LegsFrame): void;
  onLegsTaken(generation: number): void;
  onClose(): void;
}

/** How long the shards of a block are. */
export function shardBytesOf(blockBytes: number, dataShards: number): number {
  return Math.ceil(blockBytes / dataShards);
}

/** Reads the frames of bodies. One reader for all of them: it keeps what it hands out. */
export class FrameReader {
  readonly #head: ShardHead = { block: 0, dataShards: 0, index: 0, blockBytes: 0 };

  /** Calls `handler` for each frame between `start` and `end`; false when something there is no frame. */
  read(bytes: Uint8Array, { start, end }: { start: number; end: number }, handler: FrameHandler): boolean {
    const cursor = new Cursor(bytes, start, end);
    let seen = 0;
    while (cursor.left > 0) {
      const type = cursor.u8();
      if (type === 0) return true;
      if (type > FrameType.CLOSE || (seen & 1 << type) !== 0) return false;
      seen |= 1 << type;
      if (!this.#readFrame(type, cursor, handler)) return false;
      if (type === FrameType.SHARD) return true;
    }
    return true;
  }

  #readFrame(type: number, cursor: Cursor, handler: FrameHandler): boolean {
    switch (type) {
      case FrameType.SHARD:
        return this.#readShard(cursor, handler);
      case FrameType.ACK: {
        const ack = readAck(cursor);
        if (ack) handler.onAck(ack);
        return ack !== undefined;
      }
      case FrameType.PING:
        handler.onPing();
        return true;
      case FrameType.LEGS: {
        const legs = readLegs(cursor);
        if (legs) handler.onLegs(legs);
        return legs !== undefined;
      }
      case FrameType.LEGS_TAKEN: {
        const generation = cursor.u32();
        if (!cursor.failed) handler.onLegsTaken(generation);
        return !cursor.failed;
      }
      case FrameType.CLOSE:
        handler.onClose();
        return true;
      default:
        return false;
    }
  }

  #readShard(cursor: Cursor, handler: FrameHandler): boolean {
    const head = this.#head;
    head.block = cursor.u32();
    head.dataShards = cursor.u8();
    head.index = cursor.u8();
    head.blockBytes = cursor.u24();
    if (cursor.failed || head.blockBytes === 0 || head.index >= MAX_SHARDS) return false;
    if (head.dataShards === 0 || head.dataShards > MAX_SHARDS) return false;
    const shard = cursor.take(shardBytesOf(head.blockBytes, head.dataShards));
    if (shard) handler.onShard(head, shard);
    return shard !== undefined;
  }
}

function readAck(cursor: Cursor): Ack | undefined {
  const nextBlock = cursor.u32();
  const windowBytes = cursor.u32();
  const legCount = cursor.u8();
  if (legCount > MAX_LEGS) return undefined;
  const legs: AckLeg[] = [];
  for (let at = 0; at < legCount && !cursor.failed; at++) {
    const leg = cursor.u16();
    const largest = cursor.u48();
    const received = cursor.u48();
    legs.push({ leg, largest, received, heldBackMs: cursor.u16() / HELD_BACK_PER_MS });
  }
  const runCount = cursor.u8();
  if (runCount > MAX_ACK_RUNS) return undefined;
  const runs: AckRun[] = [];
  for (let at = 0; at < runCount && !cursor.failed; at++) {
    const complete = cursor.u16();
    runs.push({ complete, mask: cursor.u32() | 0 });
  }
  const complete = cursor.u16();
  const isCut = cursor.u8() !== 0;
  return cursor.failed ? undefined : { nextBlock, windowBytes, legs, runs, complete, isCut };
}

function readLegs(cursor: Cursor): LegsFrame | undefined {
  const generation = cursor.u32();
  const up = readPlaces(cursor);
  const down = up && readPlaces(cursor);
  return down && { generation, up, down };
}

/** Undefined unless they are some, each leg once and each relay once. */
function readPlaces(cursor: Cursor): LegPlace[] | undefined {
  const count = cursor.u8();
  if (count === 0 || count > MAX_LEGS) return undefined;
  const places: LegPlace[] = [];
  for (let at = 0; at < count; at++) {
    const leg = cursor.u16();
    const raw = cursor.take(PEER_ID_BYTES);
    if (!raw) return undefined;
    const relayId = encodeBase32(raw);
    if (places.some((place) => place.leg === leg || place.relayId === relayId)) return undefined;
    places.push({ leg, relayId });
  }
  return places;
}

/** Writes the head of a shard; the shard itself goes behind it. */
export function writeShardHead(into: Uint8Array, at: number, head: Readonly<ShardHead>): number {
  into[at] = FrameType.SHARD;
  writeU32(into, at + 1, head.block);
  into[at + 5] = head.dataShards;
  into[at + 6] = head.index;
  into[at + 7] = head.blockBytes >>> 16;
  writeU16(into, at + 8, head.blockBytes);
  return at + SHARD_HEAD_BYTES;
}

export function ackBytes(ack: Pick<Ack, "legs" | "runs">): number {
  return ACK_HEAD_BYTES + 1 + ack.legs.length * ACK_LEG_BYTES + 1 + ack.runs.length * ACK_RUN_BYTES + 3;
}

/** Writes an ACK at `at`, where there must be room for `ackBytes`; gives where it ends. */
export function writeAck(into: Uint8Array, at: number, ack: Ack): number {
  into[at] = FrameType.ACK;
  writeU32(into, at + 1, ack.nextBlock);
  writeU32(into, at + 5, ack.windowBytes);
  at += ACK_HEAD_BYTES;
  into[at++] = ack.legs.length;
  for (const { leg, largest, received, heldBackMs } of ack.legs) {
    writeU16(into, at, leg);
    writeU48(into, at + 2, largest);
    writeU48(into, at + 8, received);
    writeU16(into, at + 14, Math.min(0xffff, Math.max(0, Math.round(heldBackMs * HELD_BACK_PER_MS))));
    at += ACK_LEG_BYTES;
  }
  into[at++] = ack.runs.length;
  for (const { complete, mask } of ack.runs) {
    writeU16(into, at, complete);
    writeU32(into, at + 2, mask);
    at += ACK_RUN_BYTES;
  }
  writeU16(into, at, ack.complete);
  into[at + 2] = ack.isCut ? 1 : 0;
  return at + 3;
}

export function legsBytes({ up, down }: LegsFrame): number {
  return 7 + (up.length + down.length) * PLACE_BYTES;
}

/** Writes LEGS at `at`, where there must be room for `legsBytes`; gives where it ends. */
export function writeLegs(into: Uint8Array, at: number, { generation, up, down }: LegsFrame): number {
  into[at] = FrameType.LEGS;
  writeU32(into, at + 1, generation);
  at += 5;
  for (const places of [up, down]) {
    into[at++] = places.length;
    for (const { leg, relayId } of places) {
      writeU16(into, at, leg);
      into.set(peerIdBytes(relayId)!, at + 2);
      at += PLACE_BYTES;
    }
  }
  return at;
}

export const LEGS_TAKEN_BYTES = 5;

export function writeLegsTaken(into: Uint8Array, at: number, generation: number): number {
  into[at] = FrameType.LEGS_TAKEN;
  writeU32(into, at + 1, generation);
  return at + LEGS_TAKEN_BYTES;
}

/** Reads on for as long as there is enough; behind that everything is 0 and `failed` is true. */
class Cursor {
  failed = false;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
  }

  get left(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    if (this.#at < this.#end) return this.#bytes[this.#at++]!;
    this.failed = true;
    return 0;
  }

  u16(): number {
    return this.u8() << 8 | this.u8();
  }

  u24(): number {
    return this.u16() << 8 | this.u8();
  }

  u32(): number {
    return (this.u16() << 16 | this.u16()) >>> 0;
  }

  u48(): number {
    return this.u16() * 2 ** 32 + this.u32();
  }

  /** A view, undefined when there are fewer. */
  take(count: number): Uint8Array | undefined {
    if (count > this.left) return undefined;
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}

function writeU16(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 8;
  into[at + 1] = value;
}

function writeU32(into: Uint8Array, at: number, value: number): void {
  writeU16(into, at, value >>> 16);
  writeU16(into, at + 2, value);
}

function writeU48(into: Uint8Array, at: number, value: number): void {
  writeU16(into, at, value / 2 ** 32);
  writeU32(into, at + 2, value % 2 ** 32);
}
