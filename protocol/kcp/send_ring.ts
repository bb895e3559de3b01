/**
 * Segments from `una` on: those in flight, by what is known of them, and those filled and not yet sent.
 *
 *   … acknowledged │ in flight, some of them acknowledged │ filled │
 *                 una                                    next     end
 *
 * All is in arrays by slot (sn & mask), which grow with what is in flight and shrink when a session has been quiet. Those
 * in flight and not acknowledged are a list in their order, so that an acknowledgement costs what lies before it there:
 * nothing, when nothing was lost.
 */

import { BLOCK_SEGMENTS, type SegmentBlocks, SegmentMemory, slotsFor } from "./segment_blocks.ts";

export const NO_SLOT = -1;
/** In `passed`: it was sent again for being passed, and only its timeout counts now. */
export const NOT_COUNTED = 255;
const FIRST_SLOTS = slotsFor(BLOCK_SEGMENTS);
/** A window that was large is kept for so long. */
const KEPT_MS = 5000;

export class SendRing {
  /** The first that the peer has not had, the next to be sent for the first time, and the end of what is filled. */
  una = 0;
  next = 0;
  end = 0;
  /** The first in flight that is not acknowledged. */
  head = NO_SLOT;
  #tail = NO_SLOT;
  /** By slot. */
  sns: Int32Array;
  lengths: Uint16Array;
  /** When it was last sent: the time on the wire, and with fractions. */
  timesMs: Int32Array;
  sentMs: Float64Array;
  /** When it counts as lost, and how long that was after it was sent. */
  dueMs: Float64Array;
  rtosMs: Float64Array;
  sendings: Uint16Array;
  /** How many later ones came before it. */
  passed: Uint8Array;
  /** 1: it waits to be sent again. */
  queued: Uint8Array;
  acked: Uint8Array;
  following: Int32Array;
  #before: Int32Array;
  readonly #memory: SegmentMemory;
  readonly #onMoved: (from: number, to: number) => void;
  #usedMs = 0;

  /** `slots`: to begin with. `onMoved` hears of each segment in flight whose slot changes. */
  constructor(blocks: SegmentBlocks, slots = FIRST_SLOTS, onMoved: (from: number, to: number) => void = () => {}) {
    this.#memory = new SegmentMemory(blocks, slots);
    this.#onMoved = onMoved;
    this.sns = new Int32Array(slots);
    this.lengths = new Uint16Array(slots);
    this.timesMs = new Int32Array(slots);
    this.sentMs = new Float64Array(slots);
    this.dueMs = new Float64Array(slots);
    this.rtosMs = new Float64Array(slots);
    this.sendings = new Uint16Array(slots);
    this.passed = new Uint8Array(slots);
    this.queued = new Uint8Array(slots);
    this.acked = new Uint8Array(slots);
    this.following = new Int32Array(slots);
    this.#before = new Int32Array(slots);
  }

  get slots(): number {
    return this.sns.length;
  }

  slotOf(sn: number): number {
    return sn & (this.sns.length - 1);
  }

  /** Neither in flight nor filled. */
  get isEmpty(): boolean {
    return this.end === this.una;
  }

  bytesOf(slot: number): Uint8Array {
    return this.#memory.segment(slot, this.lengths[slot]!);
  }

  /** Memory for the data of as many of the next segments as lie together, at most `most`. */
  room(most: number): Uint8Array<ArrayBuffer> {
    this.#reach();
    const slot = this.slotOf(this.end);
    const index = slot & (BLOCK_SEGMENTS - 1);
    const count = Math.min(most, BLOCK_SEGMENTS - index);
    const { segmentBytes } = this.#memory;
    return this.#memory.block(slot).bytes.subarray(index * segmentBytes, (index + count) * segmentBytes);
  }

  /** So many bytes lie there now. None: the memory is given back. */
  filled(bytes: number): void {
    const { segmentBytes } = this.#memory;
    for (let left = bytes; left > 0; left -= segmentBytes) {
      const slot = this.slotOf(this.end);
      this.sns[slot] = this.end;
      this.lengths[slot] = Math.min(left, segmentBytes);
      this.sendings[slot] =
        this.passed[slot] =
        this.queued[slot] =
        this.acked[slot] =
          0;
      this.end = (this.end + 1) | 0;
    }
    // A block that none of those in flight lie in would stay for ever.
    const slot = this.slotOf(this.end);
    if (bytes === 0 && (this.isEmpty || slot % BLOCK_SEGMENTS === 0)) this.#memory.release(slot);
  }

  /** The next goes out for the first time; gives its slot. */
  takeNext(): number {
    const slot = this.slotOf(this.next);
    this.next = (this.next + 1) | 0;
    this.following[slot] = NO_SLOT;
    this.#before[slot] = this.#tail;
    if (this.#tail === NO_SLOT) this.head = slot;
    else this.following[this.#tail] = slot;
    this.#tail = slot;
    return slot;
  }

  /** It has come: no longer in the list. */
  ack(slot: number): void {
    this.acked[slot] = 1;
    const before = this.#before[slot]!;
    const after = this.following[slot]!;
    if (before === NO_SLOT) this.head = after;
    else this.following[before] = after;
    if (after === NO_SLOT) this.#tail = before;
    else this.#before[after] = before;
  }

  /** The first is had and acknowledged, and its memory may go. */
  advance(): void {
    const slot = this.slotOf(this.una);
    this.una = (this.una + 1) | 0;
    if ((slot + 1) % BLOCK_SEGMENTS === 0 || this.isEmpty) this.#memory.release(slot);
  }

  /** Gives back what a large window took, once that is long ago. Only while it is empty. */
  shrink(nowMs: number): void {
    if (this.slots <= FIRST_SLOTS || nowMs - this.#usedMs < KEPT_MS) return;
    this.#resize(FIRST_SLOTS);
  }

  /** A ring of that size was in use. */
  touch(nowMs: number): void {
    if (((this.end - this.una) | 0) > FIRST_SLOTS - BLOCK_SEGMENTS) this.#usedMs = nowMs;
  }

  clear(): void {
    this.#memory.releaseAll();
    this.una = this.next = this.end;
    this.head = this.#tail = NO_SLOT;
    this.#resize(FIRST_SLOTS);
  }

  /** Makes the ring so large that the block of the end is not that of `una`, one time round. */
  #reach(): void {
    const first = this.una & -BLOCK_SEGMENTS;
    const last = (this.end | (BLOCK_SEGMENTS - 1)) + 1;
    if (((last - first) | 0) > this.slots) this.#resize(slotsFor(((this.end - this.una) | 0) + BLOCK_SEGMENTS));
  }

  #resize(slots: number): void {
    const { slots: before } = this;
    const moved: { from: number; to: number }[] = [];
    for (let sn = this.una; sn !== this.end; sn = (sn + 1) | 0) {
      const from = sn & (before - 1);
      const to = sn & (slots - 1);
      moved.push({ from, to });
      if (from !== to && ((this.next - sn) | 0) > 0 && !this.acked[from]) this.#onMoved(from, to);
    }
    this.#memory.resize(slots, moved);
    this.sns = movedTo(new Int32Array(slots), this.sns, moved);
    this.lengths = movedTo(new Uint16Array(slots), this.lengths, moved);
    this.timesMs = movedTo(new Int32Array(slots), this.timesMs, moved);
    this.sentMs = movedTo(new Float64Array(slots), this.sentMs, moved);
    this.dueMs = movedTo(new Float64Array(slots), this.dueMs, moved);
    this.rtosMs = movedTo(new Float64Array(slots), this.rtosMs, moved);
    this.sendings = movedTo(new Uint16Array(slots), this.sendings, moved);
    this.passed = movedTo(new Uint8Array(slots), this.passed, moved);
    this.queued = movedTo(new Uint8Array(slots), this.queued, moved);
    this.acked = movedTo(new Uint8Array(slots), this.acked, moved);
    this.following = new Int32Array(slots);
    this.#before = new Int32Array(slots);
    this.#relink();
  }

  #relink(): void {
    const { next } = this;
    this.head = this.#tail = NO_SLOT;
    this.next = this.una;
    while (this.next !== next) {
      if (this.acked[this.slotOf(this.next)]) this.next = (this.next + 1) | 0;
      else this.takeNext();
    }
  }
}

function movedTo<T extends Int32Array | Float64Array | Uint16Array | Uint8Array>(
  into: T,
  from: T,
  moved: readonly { from: number; to: number }[],
): T {
  for (const move of moved) into[move.to] = from[move.from]!;
  return into;
}
