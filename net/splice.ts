/**
 * Joins two Streams: what one says the other hears, until both have ended their halves.
 *
 *   a.read → b.write        b.read → a.write
 *
 * End of file on one side becomes `closeWrite` on the other, so a half-closed conversation stays half-closed. An error
 * in either direction closes both Streams at once, and as a failure where they have a way to say so: Deno's TCP sockets
 * have none and end like finished ones, for the protocol within to notice.
 *
 * Each direction waits with a small buffer and borrows a large one only while reads fill it: ten thousand quiet
 * connections cost little, and one busy one runs at the speed of a bare copy loop. Both Streams are closed when the
 * promise settles, and it never rejects.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Stream } from "../protocol/stream.ts";
import { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";

/** What a quiet direction holds: a packet's worth. */
const WAIT_BYTES = 1500;

/** A read this short means the burst is over, and the large buffer goes back. */
const BURST_BYTES = 16 * 1024;

/**
 * A Stream that wants to know how much of what was read from it has been written on when not all of it was. That all of it
 * was shows when more is read.
 */
export interface FollowedStream extends Stream {
  /** So many more bytes of the last read have been written, and not all. */
  partlyTaken(bytes: number): void;
}

/** Bytes carried so far, kept up to date while a splice runs. */
export interface SpliceCounts {
  aToB: number;
  bToA: number;
}

export interface SpliceOptions {
  /** Where large buffers come from. Default: a pool for this pair alone. */
  readonly pool?: BufferPool;
  /** Aborting closes both Streams at once. */
  readonly signal?: AbortSignal;
  /** Counters to keep up to date, for whoever wants to watch. */
  readonly counts?: SpliceCounts;
  /** Bytes already read from `a`, to be written to `b` first. */
  readonly fromA?: Uint8Array;
  /** Bytes already read from `b`, to be written to `a` first. */
  readonly fromB?: Uint8Array;
  /** Once one half has ended, a silence of this length ends the other. Default: none. */
  readonly halfClosed?: { readonly idleTimeoutMs: number; readonly clock: Pick<Clock, "after"> };
}

export interface SpliceResult extends SpliceCounts {
  /** Why it ended early; absent when both halves came to their end. */
  readonly error?: unknown;
}

export async function splice(a: Stream, b: Stream, options: SpliceOptions = {}): Promise<SpliceResult> {
  const counts = options.counts ?? { aToB: 0, bToA: 0 };
  const pool = options.pool ?? new BufferPool({ maxBuffers: 2 });
  const pair = new Pair(a, b, counts, options.halfClosed);
  const { signal } = options;
  const onAbort = signal && (() => pair.fail(signal.reason));
  if (signal?.aborted) pair.fail(signal.reason);
  else signal?.addEventListener("abort", onAbort!);
  await Promise.all([
    copy(a, b, pair, "aToB", pool, options.fromA),
    copy(b, a, pair, "bToA", pool, options.fromB),
  ]);
  signal?.removeEventListener("abort", onAbort!);
  pair.close();
  const result = { aToB: counts.aToB, bToA: counts.bToA };
  return pair.failed ? { ...result, error: pair.error } : result;
}

/** What the two directions share: how they fail together, and the watch over a half-closed conversation. */
class Pair {
  readonly counts: SpliceCounts;
  readonly #a: Stream;
  readonly #b: Stream;
  readonly #halfClosed: SpliceOptions["halfClosed"];
  #timer: Timer | undefined;
  #closed = false;
  /** One direction has come to its end. */
  halfEnded = false;
  failed = false;
  error: unknown;

  constructor(a: Stream, b: Stream, counts: SpliceCounts, halfClosed: SpliceOptions["halfClosed"]) {
    this.#a = a;
    this.#b = b;
    this.counts = counts;
    this.#halfClosed = halfClosed;
  }

  fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    this.error = error;
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    // A stream that can say so tells its far side that it was cut, so that nobody takes the part for the whole.
    for (const stream of [this.#a, this.#b]) {
      if (this.failed && stream.abort) stream.abort();
      else closeQuietly(stream);
    }
  }

  /** One direction has ended: from now on silence in the other counts. */
  end(): void {
    if (!this.halfEnded) this.#watch();
    this.halfEnded = true;
  }

  #watch(): void {
    if (!this.#halfClosed || this.#closed) return;
    const { clock, idleTimeoutMs } = this.#halfClosed;
    const carried = this.counts.aToB + this.counts.bToA;
    this.#timer?.cancel();
    this.#timer = clock.after(idleTimeoutMs, () => {
      if (this.counts.aToB + this.counts.bToA !== carried) return this.#watch();
      this.fail(new CulvertError("timeout", `The half-closed stream was silent for ${idleTimeoutMs} ms`));
    });
  }
}

async function copy(
  from: Stream,
  to: Stream,
  pair: Pair,
  direction: keyof SpliceCounts,
  pool: BufferPool,
  head: Uint8Array | undefined,
): Promise<void> {
  const small = pool.takeSmall(WAIT_BYTES);
  const { counts } = pair;
  const followed = "partlyTaken" in from ? from as FollowedStream : undefined;
  let buffer = small;
  try {
    for (let at = 0; head !== undefined && at < head.length;) {
      const written = await to.write(head.subarray(at));
      at += written;
      counts[direction] += written;
    }
    head = undefined;
    for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
      let chunk = count === buffer.length ? buffer : buffer.subarray(0, count);
      for (let written = await to.write(chunk); written < chunk.length; written = await to.write(chunk)) {
        chunk = chunk.subarray(written);
        followed?.partlyTaken(written);
      }
      counts[direction] += count;
      if (buffer === small) {
        if (count === WAIT_BYTES) buffer = pool.take() ?? small;
      } else if (count < BURST_BYTES || (count < buffer.length && !pool.plenty)) {
        pool.give(buffer);
        buffer = small;
      } else if (pool.tooLarge(buffer)) {
        pool.give(buffer);
        buffer = pool.take() ?? small;
      }
    }
    // The last end of file on a TCP socket needs no shutdown of its own: the close that follows says the same.
    if (!pair.halfEnded || !("setNoDelay" in to)) await to.closeWrite();
    pair.end();
  } catch (error) {
    pair.fail(error);
  } finally {
    if (buffer !== small) pool.give(buffer);
    pool.giveSmall(small);
  }
}
