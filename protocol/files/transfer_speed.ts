/**
 * How fast bytes come, as people are told: over the last seconds, so that it is calm and still true.
 */

const BUCKET_MS = 500;
const BUCKETS = 12;

export class TransferSpeed {
  readonly #startMs: number;
  /** Bytes of the last half seconds, by the number of the half second modulo `BUCKETS`. */
  readonly #bytes = new Float64Array(BUCKETS);
  #newest: number;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#newest = this.#bucketOf(nowMs);
  }

  add(bytes: number, nowMs: number): void {
    this.#forget(nowMs);
    this.#bytes[this.#newest % BUCKETS]! += bytes;
  }

  /** 0 while nothing can be said. */
  bytesPerSecond(nowMs: number): number {
    this.#forget(nowMs);
    const startMs = Math.max(this.#startMs, (this.#newest - BUCKETS + 1) * BUCKET_MS + this.#startMs);
    const spanMs = nowMs - startMs;
    return spanMs <= 0 ? 0 : this.#bytes.reduce((sum, bytes) => sum + bytes, 0) * 1000 / spanMs;
  }

  /** How long so many bytes will take; undefined when nothing comes. */
  remainingMs(leftBytes: number, nowMs: number): number | undefined {
    const speed = this.bytesPerSecond(nowMs);
    return speed > 0 ? leftBytes * 1000 / speed : undefined;
  }

  #bucketOf(nowMs: number): number {
    return Math.max(0, Math.floor((nowMs - this.#startMs) / BUCKET_MS));
  }

  #forget(nowMs: number): void {
    const now = this.#bucketOf(nowMs);
    for (let at = Math.max(this.#newest + 1, now - BUCKETS + 1); at <= now; at++) this.#bytes[at % BUCKETS] = 0;
    this.#newest = Math.max(this.#newest, now);
  }
}
