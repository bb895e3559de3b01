/**
 * Bytes that wait their turn: a ring of bytes, each of which may leave a fixed time after it came. No allocation per
 * piece, however small the pieces: those that came in the same millisecond leave together.
 *
 *   space() → fill it → filled(count, now)        due(now) → write it → taken(count)
 */

interface Batch {
  /** The count of all bytes ever filled in, at the end of this batch. */
  endBytes: number;
  readonly dueMs: number;
}

export class DelayRing {
  readonly #ring: Uint8Array;
  readonly #delayMs: number;
  readonly #batches: Batch[] = [];
  #filledBytes = 0;
  #takenBytes = 0;

  constructor(capacityBytes: number, delayMs: number) {
    this.#ring = new Uint8Array(capacityBytes);
    this.#delayMs = delayMs;
  }

  get isEmpty(): boolean {
    return this.#filledBytes === this.#takenBytes;
  }

  /** Free room in one piece, at most `maxBytes`; empty when the ring is full. */
  space(maxBytes: number): Uint8Array {
    if (this.isEmpty) this.#filledBytes = this.#takenBytes = 0; // stay on the pages that are warm
    const free = this.#ring.length - (this.#filledBytes - this.#takenBytes);
    const start = this.#filledBytes % this.#ring.length;
    return this.#ring.subarray(start, start + Math.min(maxBytes, free, this.#ring.length - start));
  }

  /** Says that the first bytes of `space` have been filled in. */
  filled(count: number, nowMs: number): void {
    this.#filledBytes += count;
    const dueMs = Math.ceil(nowMs + this.#delayMs);
    const last = this.#batches.at(-1);
    if (last?.dueMs === dueMs) last.endBytes = this.#filledBytes;
    else this.#batches.push({ endBytes: this.#filledBytes, dueMs });
  }

  /** When the first byte may leave; undefined when the ring is empty. */
  get nextDueMs(): number | undefined {
    return this.#batches[0]?.dueMs;
  }

  /** The bytes that may leave now, in one piece; empty when there are none. */
  due(nowMs: number): Uint8Array {
    const first = this.#batches[0];
    const start = this.#takenBytes % this.#ring.length;
    if (!first || first.dueMs > nowMs) return this.#ring.subarray(start, start);
    const length = first.endBytes - this.#takenBytes;
    return this.#ring.subarray(start, start + Math.min(length, this.#ring.length - start));
  }

  /** Says that the first bytes of `due` have left. */
  taken(count: number): void {
    this.#takenBytes += count;
    while (this.#batches[0] && this.#batches[0].endBytes <= this.#takenBytes) this.#batches.shift();
  }
}
