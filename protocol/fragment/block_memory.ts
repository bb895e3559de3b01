/**
 * Memory of blocks, lent and taken back: a busy session allocates nothing. Sizes go up in steps, so that what is given
 * back fits the next. Sessions may share one; what it keeps is bounded, the rest goes to the collector.
 */

import type { ReedSolomonFactory, ShardMemory } from "./reed_solomon.ts";

const SMALLEST_BYTES = 512;
/** Below this sizes double, above they go up by this: a block of two full shards fits one exactly. */
const STEP_BYTES = 16 * 1024;
const DEFAULT_KEPT_BYTES = 4 * 1024 * 1024;

/** How much is lent for so many bytes. */
export function blockMemoryBytes(bytes: number): number {
  if (bytes > STEP_BYTES) return Math.ceil(bytes / STEP_BYTES) * STEP_BYTES;
  let size = SMALLEST_BYTES;
  while (size < bytes) size *= 2;
  return size;
}

export class BlockMemory {
  readonly #factory: Pick<ReedSolomonFactory, "memory">;
  readonly #maxKeptBytes: number;
  readonly #kept = new Map<number, ShardMemory[]>();
  #keptBytes = 0;

  constructor(factory: Pick<ReedSolomonFactory, "memory">, maxKeptBytes: number = DEFAULT_KEPT_BYTES) {
    this.#factory = factory;
    this.#maxKeptBytes = maxKeptBytes;
  }

  /** At least that many bytes, with anything in them. */
  take(bytes: number): ShardMemory {
    const size = blockMemoryBytes(bytes);
    const known = this.#kept.get(size)?.pop();
    if (!known) return this.#factory.memory(size);
    this.#keptBytes -= size;
    return known;
  }

  give(memory: ShardMemory): void {
    const size = memory.bytes.length;
    if (this.#keptBytes + size > this.#maxKeptBytes) return;
    const kept = this.#kept.get(size);
    if (kept) kept.push(memory);
    else this.#kept.set(size, [memory]);
    this.#keptBytes += size;
  }
}
