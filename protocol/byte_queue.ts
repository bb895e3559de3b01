/**
 * Bytes that arrived and have not been read: a queue of blocks. Everything is copied in, so that a peer who sends single
 * bytes cannot make us keep the large buffer each of them came in. Memory stays within about twice `length`, and full
 * blocks come from and go back to a pool, so that a busy stream allocates nothing.
 */

/** Blocks start small, for the many streams that never hold much, and grow with what is held up to the pool's size. */
const SMALLEST_BLOCK_BYTES = 256;
export const LARGEST_BLOCK_BYTES = 64 * 1024;

/** Blocks of the largest size that nobody uses at the moment. Bounded; when full, blocks go to the collector. */
export class BlockPool {
  readonly #free: Uint8Array[] = [];
  readonly #maxBlocks: number;

  constructor(maxBlocks: number) {
    this.#maxBlocks = maxBlocks;
  }

  get(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(LARGEST_BLOCK_BYTES);
  }

  put(block: Uint8Array): void {
    if (block.length === LARGEST_BLOCK_BYTES && this.#free.length < this.#maxBlocks) this.#free.push(block);
  }
}

export class ByteQueue {
  readonly #pool: BlockPool;
  #blocks: Uint8Array[] = [];
  /** Where the unread bytes start in the first block, and end in the last. */
  #start = 0;
  #end = 0;
  #length = 0;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  /** Bytes waiting. */
  get length(): number {
    return this.#length;
  }

  /** Copies bytes to the end. */
  push(bytes: Uint8Array): void {
    let taken = 0;
    while (taken < bytes.length) {
      let last = this.#blocks.at(-1);
      if (!last || this.#end === last.length) {
        last = this.#newBlock(last, bytes.length - taken);
        this.#blocks.push(last);
        this.#end = 0;
      }
      const count = Math.min(last.length - this.#end, bytes.length - taken);
      last.set(count === bytes.length ? bytes : bytes.subarray(taken, taken + count), this.#end);
      this.#end += count;
      taken += count;
    }
    this.#length += taken;
  }

  /** Moves bytes from the front to `into`, from `at` on; gives how many. */
  take(into: Uint8Array, at = 0): number {
    let filled = at;
    while (filled < into.length && this.#length > 0) {
      const first = this.#blocks[0]!;
      const blockEnd = this.#blocks.length === 1 ? this.#end : first.length;
      const count = Math.min(blockEnd - this.#start, into.length - filled);
      into.set(first.subarray(this.#start, this.#start + count), filled);
      filled += count;
      this.#start += count;
      this.#length -= count;
      if (this.#start === blockEnd) this.#dropFirst();
    }
    return filled - at;
  }

  /** Drops everything. */
  clear(): void {
    while (this.#blocks.length > 0) this.#dropFirst();
    this.#length = 0;
  }

  #dropFirst(): void {
    this.#pool.put(this.#blocks.shift()!); // a few dozen blocks at most, so shifting is cheap
    this.#start = 0;
    if (this.#blocks.length === 0) this.#end = 0;
  }

  #newBlock(last: Uint8Array | undefined, wantedBytes: number): Uint8Array {
    let size = last?.length ?? SMALLEST_BLOCK_BYTES;
    // Larger ones are for queues that hold twice as much already: the last is the one that may stay half empty.
    if (last && this.#length >= 2 * size) size *= 2;
    while (size < wantedBytes && size < LARGEST_BLOCK_BYTES) size *= 2;
    return size >= LARGEST_BLOCK_BYTES ? this.#pool.get() : new Uint8Array(size);
  }
}
