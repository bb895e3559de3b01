/**
 * The nonces of auth requests that could still pass: each is kept until its timestamp alone would have it refused, so
 * that no request is taken twice and nothing is kept for longer than it matters. Design §4.
 *
 * They lie in buckets by the time at which they end, and a whole bucket is dropped at once: nothing is swept. When
 * there is no room, new ones are not taken; to forget an old one would be to let it in again.
 *
 * A clock that was set back could let in what has been dropped. So `forgottenBeforeMs` only goes up, and what ends before
 * it is not to be asked about (`auth.ts`). While the clock is behind it nothing would ever be dropped: then, and only
 * then, the oldest bucket makes room.
 *
 * One process's memory. Where several serve one supernode, or one must refuse what it took before a restart, ask
 * `kv/nonces.ts` as well.
 */

import type { NonceMemory } from "./auth.ts";

const BUCKET_MS = 10_000;
/** About 100 bytes each; a storm of 1,600 requests a second for two minutes. */
const DEFAULT_CAPACITY = 200_000;

export class Nonces implements NonceMemory {
  /** By the number of the bucket, and in it what ends when. */
  readonly #buckets = new Map<number, Map<string, number>>();
  readonly #capacity: number;
  #size = 0;
  #nextDropMs = Infinity;
  #forgottenBeforeMs = -Infinity;

  constructor(capacity = DEFAULT_CAPACITY) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#size;
  }

  get forgottenBeforeMs(): number {
    return this.#forgottenBeforeMs;
  }

  remember(nonce: string, untilMs: number, nowMs: number): boolean | undefined {
    this.#drop(nowMs);
    // There are as many buckets as fit into two minutes, but for a clock that was set.
    for (const bucket of this.#buckets.values()) if (bucket.has(nonce)) return false;
    if (this.#size >= this.#capacity && nowMs < this.#forgottenBeforeMs) this.#dropOldest();
    if (this.#size >= this.#capacity) return undefined;
    this.#add(nonce, untilMs);
    return true;
  }

  /** What is remembered and until when, to be given to another's `remember`. */
  *entries(): IterableIterator<[nonce: string, untilMs: number]> {
    for (const bucket of this.#buckets.values()) yield* bucket;
  }

  #add(nonce: string, untilMs: number): void {
    const number = Math.floor(untilMs / BUCKET_MS);
    let bucket = this.#buckets.get(number);
    if (!bucket) this.#buckets.set(number, bucket = new Map());
    bucket.set(nonce, untilMs);
    this.#size++;
    this.#nextDropMs = Math.min(this.#nextDropMs, endOf(number));
  }

  #drop(nowMs: number): void {
    if (nowMs < this.#nextDropMs) return;
    this.#nextDropMs = Infinity;
    for (const [number, bucket] of this.#buckets) {
      if (endOf(number) <= nowMs) this.#dropBucket(number, bucket);
      else this.#nextDropMs = Math.min(this.#nextDropMs, endOf(number));
    }
  }

  #dropOldest(): void {
    const number = Math.min(...this.#buckets.keys());
    const bucket = this.#buckets.get(number);
    if (bucket) this.#dropBucket(number, bucket);
  }

  #dropBucket(number: number, bucket: ReadonlyMap<string, number>): void {
    this.#size -= bucket.size;
    this.#buckets.delete(number);
    this.#forgottenBeforeMs = Math.max(this.#forgottenBeforeMs, endOf(number));
  }
}

/** The first millisecond at which everything in the bucket has ended. */
function endOf(number: number): number {
  return (number + 1) * BUCKET_MS;
}
