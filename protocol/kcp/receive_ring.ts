/**
 * Segments that came and cannot be delivered yet: those behind a gap, and those that the reader does not want. What comes
 * in order for a willing reader never lies here.
 *
 *   delivered │ kept in order, not wanted │ gap │ kept │ …            held(sn) for each
 *             read                        next        next + window
 */

import { BLOCK_SEGMENTS, type SegmentBlocks, SegmentMemory, slotsFor } from "./segment_blocks.ts";

const NOT_HELD = -1;
const FIRST_SLOTS = slotsFor(BLOCK_SEGMENTS);

export class ReceiveRing {
  /** The first that has not been delivered. */
  read = 0;
  /** Segments kept. */
  held = 0;
  readonly #memory: SegmentMemory;
  #lengths = new Int32Array(FIRST_SLOTS).fill(NOT_HELD);

  constructor(blocks: SegmentBlocks) {
    this.#memory = new SegmentMemory(blocks, FIRST_SLOTS);
  }

  get maxSegmentBytes(): number {
    return this.#memory.segmentBytes;
  }

  has(sn: number): boolean {
    const ahead = (sn - this.read) | 0;
    return ahead >= 0 && ahead < this.#lengths.length && this.#lengths[sn & (this.#lengths.length - 1)] !== NOT_HELD;
  }

  /** Keeps a segment that it does not have; false when there is no memory for it. */
  keep(sn: number, from: Uint8Array, start: number, length: number): boolean {
    this.#reach((sn - this.read) | 0);
    const slot = sn & (this.#lengths.length - 1);
    if (!this.#memory.hasRoomAt(slot)) return false;
    this.#lengths[slot] = length;
    this.held++;
    this.#memory.segment(slot, length).set(from.subarray(start, start + length));
    return true;
  }

  /** The segment that is next to be delivered, which must be held. */
  first(): Uint8Array {
    const slot = this.read & (this.#lengths.length - 1);
    return this.#memory.segment(slot, this.#lengths[slot]!);
  }

  /** The next has been delivered, from here or past us. */
  advance(): void {
    const slot = this.read & (this.#lengths.length - 1);
    this.read = (this.read + 1) | 0;
    if (this.held === 0) return;
    if (this.#lengths[slot] !== NOT_HELD) {
      this.#lengths[slot] = NOT_HELD;
      this.held--;
    }
    if (this.held === 0 || (slot + 1) % BLOCK_SEGMENTS === 0) this.#memory.release(slot);
    if (this.held === 0 && this.#lengths.length > FIRST_SLOTS) this.#reset();
  }

  clear(): void {
    this.#memory.releaseAll();
    this.#reset();
    this.held = 0;
  }

  #reset(): void {
    this.#lengths = new Int32Array(FIRST_SLOTS).fill(NOT_HELD);
    this.#memory.resize(FIRST_SLOTS, []);
  }

  /** Makes the ring so large that a segment that far ahead has a slot, and shares no block with the first. */
  #reach(ahead: number): void {
    const before = this.#lengths;
    if (ahead < before.length - BLOCK_SEGMENTS) return;
    const slots = slotsFor(ahead + 1);
    const lengths = new Int32Array(slots).fill(NOT_HELD);
    const moved = [];
    for (let offset = 0; offset < before.length; offset++) {
      const sn = this.read + offset;
      const from = sn & (before.length - 1);
      if (before[from] === NOT_HELD) continue;
      const to = sn & (slots - 1);
      lengths[to] = before[from]!;
      moved.push({ from, to });
    }
    this.#lengths = lengths;
    this.#memory.resize(slots, moved);
  }
}
