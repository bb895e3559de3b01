/**
 * Packets that wait until they are due, first in, first out: their bytes in one ring, what is known of them in others, so
 * that none costs an allocation. A packet that finds no room is dropped.
 *
 *   push(bytes, tag, dueMs)        while (take(nowMs)) send bytes[start, end) of packet `tag`
 */

const MOST_PACKETS_BITS = 16;
const MOST_PACKETS = 1 << MOST_PACKETS_BITS;

export class PacketQueue {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where the packet that was taken lies; it stays until the next `push`. */
  start = 0;
  end = 0;
  /** What it was pushed with. */
  tag = 0;
  readonly #dueMs = new Float64Array(MOST_PACKETS);
  readonly #starts = new Uint32Array(MOST_PACKETS);
  readonly #lengths = new Uint32Array(MOST_PACKETS);
  readonly #tags = new Uint32Array(MOST_PACKETS);
  #first = 0;
  #count = 0;
  /** Where the next packet's bytes go. */
  #at = 0;

  /** In memory of its own, or such as is there. */
  constructor(memory: number | Uint8Array<ArrayBuffer>) {
    this.bytes = typeof memory === "number" ? new Uint8Array(memory) : memory;
  }

  get count(): number {
    return this.#count;
  }

  /** When the first packet is due; Infinity when none waits. */
  get nextDueMs(): number {
    return this.#count === 0 ? Infinity : this.#dueMs[this.#first]!;
  }

  /** False: there was no room. */
  push(from: Uint8Array, tag: number, dueMs: number): boolean {
    const start = this.#roomFor(from.length);
    if (start < 0) return false;
    this.bytes.set(from, start);
    const slot = (this.#first + this.#count++) & (MOST_PACKETS - 1);
    this.#dueMs[slot] = dueMs;
    this.#starts[slot] = start;
    this.#lengths[slot] = from.length;
    this.#tags[slot] = tag;
    this.#at = start + from.length;
    return true;
  }

  /** Takes the first packet if it is due by then. */
  take(nowMs: number): boolean {
    if (this.nextDueMs > nowMs) return false;
    this.start = this.#starts[this.#first]!;
    this.end = this.start + this.#lengths[this.#first]!;
    this.tag = this.#tags[this.#first]!;
    this.#first = (this.#first + 1) & (MOST_PACKETS - 1);
    this.#count--;
    return true;
  }

  /** Packets lie in one piece: what does not fit before the end of the ring goes to its beginning. */
  #roomFor(length: number): number {
    if (this.#count === 0) return length <= this.bytes.length ? 0 : -1;
    if (this.#count === MOST_PACKETS) return -1;
    const oldest = this.#starts[this.#first]!;
    if (this.#at > oldest) {
      if (this.#at + length <= this.bytes.length) return this.#at;
      return length <= oldest ? 0 : -1;
    }
    return this.#at + length <= oldest ? this.#at : -1;
  }
}
