/**
 * Memory for the segments of a window: blocks of 16 segments that lie next to each other, taken when the first of them is
 * needed and given back when the window has passed. So a session that is quiet holds none, and one `fill` can write many
 * segments. Blocks and the views of their segments are kept for the next window, or the next session.
 */

import { KCP_HEADER_BYTES, KCP_MAX_MTU_BYTES } from "./segment.ts";

/** Segments of one block. */
export const BLOCK_SEGMENTS = 16;
const BLOCK_SHIFT = 4;

export class SegmentBlock {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #segmentBytes: number;
  /** Views of whole segments: most are whole, and a view for each sending would be garbage. */
  readonly #whole: (Uint8Array<ArrayBuffer> | undefined)[] = [];

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes;
    this.bytes = new Uint8Array(segmentBytes * BLOCK_SEGMENTS);
    for (let at = 0; at < BLOCK_SEGMENTS; at++) this.#whole.push(undefined);
  }

  segment(index: number, length: number): Uint8Array<ArrayBuffer> {
    const start = index * this.#segmentBytes;
    if (length !== this.#segmentBytes) return this.bytes.subarray(start, start + length);
    return this.#whole[index] ??= this.bytes.subarray(start, start + length);
  }
}

/** Blocks for segments of one length that nobody uses at the moment. */
export class SegmentBlocks {
  readonly segmentBytes: number;
  readonly #kept: SegmentBlock[] = [];
  readonly #maxKept: number;
  readonly #maxTaken: number;
  readonly #of: SegmentBlocks | undefined;
  #taken = 0;

  constructor(segmentBytes: number, maxKept: number, { maxTaken = Infinity, of }: BlockLimits = {}) {
    this.segmentBytes = segmentBytes;
    this.#maxKept = maxKept;
    this.#maxTaken = maxTaken;
    this.#of = of;
  }

  /** Blocks of these, so many at once. */
  part(maxTaken: number): SegmentBlocks {
    return new SegmentBlocks(this.segmentBytes, 0, { maxTaken, of: this });
  }

  /** Whether another may be taken. */
  get hasMore(): boolean {
    return this.#taken < this.#maxTaken;
  }

  take(): SegmentBlock {
    this.#taken++;
    return this.#of?.take() ?? this.#kept.pop() ?? new SegmentBlock(this.segmentBytes);
  }

  give(block: SegmentBlock): void {
    this.#taken--;
    if (this.#of) this.#of.give(block);
    else if (this.#kept.length < this.#maxKept) this.#kept.push(block);
  }
}

interface BlockLimits {
  readonly maxTaken?: number;
  readonly of?: SegmentBlocks;
}

/** Memory that sessions with the same `mtuBytes` share: what one needs in a moment another needs in the next. */
export interface KcpMemory {
  readonly sending: SegmentBlocks;
  readonly receiving: SegmentBlocks;
}

/** For one session, or many; so many blocks of each kind are kept. */
export function kcpMemory(mtuBytes: number, maxKept = 256): KcpMemory {
  return {
    sending: new SegmentBlocks(mtuBytes - KCP_HEADER_BYTES, maxKept),
    // A peer may have longer datagrams than we.
    receiving: new SegmentBlocks(KCP_MAX_MTU_BYTES - KCP_HEADER_BYTES, maxKept),
  };
}

/** The blocks of one ring, by the ring's slots. */
export class SegmentMemory {
  readonly segmentBytes: number;
  readonly #pool: SegmentBlocks;
  #blocks: (SegmentBlock | undefined)[];

  constructor(pool: SegmentBlocks, slots: number) {
    this.segmentBytes = pool.segmentBytes;
    this.#pool = pool;
    this.#blocks = new Array(slots >> BLOCK_SHIFT).fill(undefined);
  }

  /** The block of a slot, taken if need be. */
  block(slot: number): SegmentBlock {
    return this.#blocks[slot >> BLOCK_SHIFT] ??= this.#pool.take();
  }

  segment(slot: number, length: number): Uint8Array<ArrayBuffer> {
    return this.block(slot).segment(slot & (BLOCK_SEGMENTS - 1), length);
  }

  /** Whether there is memory for a slot. */
  hasRoomAt(slot: number): boolean {
    return this.#blocks[slot >> BLOCK_SHIFT] !== undefined || this.#pool.hasMore;
  }

  /** Nobody needs the block of this slot any more. */
  release(slot: number): void {
    const block = this.#blocks[slot >> BLOCK_SHIFT];
    if (!block) return;
    this.#blocks[slot >> BLOCK_SHIFT] = undefined;
    this.#pool.give(block);
  }

  releaseAll(): void {
    for (let slot = 0; slot < this.#blocks.length << BLOCK_SHIFT; slot += BLOCK_SEGMENTS) this.release(slot);
  }

  /** For a ring of another size: the block of each of those slots is now that of another. */
  resize(slots: number, moved: Iterable<{ from: number; to: number }>): void {
    const before = this.#blocks;
    this.#blocks = new Array(slots >> BLOCK_SHIFT).fill(undefined);
    for (const { from, to } of moved) this.#blocks[to >> BLOCK_SHIFT] = before[from >> BLOCK_SHIFT];
  }
}

/** How many slots a ring for so many segments has: a power of two, with one block to spare so that none is shared. */
export function slotsFor(segments: number): number {
  let slots = 2 * BLOCK_SEGMENTS;
  while (slots < segments + BLOCK_SEGMENTS) slots *= 2;
  return slots;
}
