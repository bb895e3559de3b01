/**
 * A Stream that is read no faster than some buckets allow, so that what comes from it does not fill a line that others
 * share. What is written passes as it is: of two streams that are joined, each is paced where it is read.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { TokenBucket } from "../../protocol/token_bucket.ts";

/** So much at once, so that at a low rate nobody waits for long behind somebody else. */
const PIECE_BYTES = 64 * 1024;

export class PacedStream implements Stream {
  readonly #inner: Stream;
  readonly #buckets: readonly TokenBucket[];
  readonly #clock: Clock;
  readonly #closed = new AbortController();

  constructor(inner: Stream, buckets: readonly TokenBucket[], clock: Clock) {
    this.#inner = inner;
    this.#buckets = buckets;
    this.#clock = clock;
  }

  async read(into: Uint8Array): Promise<number | null> {
    const count = await this.#inner.read(into.subarray(0, PIECE_BYTES));
    if (!count) return count;
    const waitMs = Math.max(...this.#buckets.map((bucket) => bucket.take(count)));
    if (waitMs > 0) await delay(this.#clock, waitMs, this.#closed.signal);
    return count;
  }

  write(from: Uint8Array): Promise<number> {
    return this.#inner.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#closed.abort(new CulvertError("closed", "Cannot use a stream after close()"));
    this.#inner.close();
  }

  abort(): void {
    this.#closed.abort(new CulvertError("reset", "The stream was cut"));
    if (this.#inner.abort) this.#inner.abort();
    else this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
