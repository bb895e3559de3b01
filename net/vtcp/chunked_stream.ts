/**
 * A Stream over one that cannot tell an end from a cut: each direction says within where it ends (`protocol/vtcp/chunks.ts`).
 */

import { CulvertError } from "../../protocol/errors.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { CHUNK_HEAD_BYTES, ChunkReader, END_CHUNK, MAX_CHUNK_BYTES, putChunkHead } from "../../protocol/vtcp/chunks.ts";
import type { BufferPool } from "../buffer_pool.ts";

/** Up to here the memory of a write is its own. */
const SMALL_BYTES = 4096;

export class ChunkedStream implements Stream {
  readonly #stream: Stream;
  readonly #pool: BufferPool;
  readonly #chunks = new ChunkReader();
  #isWriting = false;
  #hasFinished = false;
  /** Settles when the write under way has. */
  #written: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** `pool` lends the memory that large writes are put together in. */
  constructor(stream: Stream, pool: BufferPool) {
    this.#stream = stream;
    this.#pool = pool;
  }

  async read(into: Uint8Array): Promise<number | null> {
    const chunks = this.#chunks;
    if (into.length === 0) return 0;
    while (!chunks.hasEnded && !chunks.isBad) {
      const count = await this.#stream.read(into);
      if (count === null) throw new CulvertError("reset", "The stream was cut by the far side");
      const kept = chunks.take(into, count);
      if (kept > 0) return kept;
    }
    if (this.#isClosed) throw new CulvertError("closed", "Cannot use a stream after close()");
    if (chunks.isBad) throw new CulvertError("protocol", "What the far side sends is not made of chunks");
    return null;
  }

  async write(from: Uint8Array): Promise<number> {
    if (from.length === 0) return 0;
    if (this.#hasFinished) throw new CulvertError("broken_pipe", "Cannot write: this direction has ended");
    if (this.#isWriting) throw new CulvertError("busy", "Cannot write: another write is pending");
    const lent = from.length > SMALL_BYTES ? this.#pool.take() : undefined;
    const buffer = lent ?? new Uint8Array(CHUNK_HEAD_BYTES + Math.min(from.length, SMALL_BYTES));
    const count = Math.min(from.length, buffer.length - CHUNK_HEAD_BYTES, MAX_CHUNK_BYTES);
    putChunkHead(buffer, count);
    buffer.set(from.subarray(0, count), CHUNK_HEAD_BYTES);
    this.#isWriting = true;
    try {
      // A chunk goes whole or the stream is cut.
      this.#written = writeAll(this.#stream, buffer.subarray(0, CHUNK_HEAD_BYTES + count));
      await this.#written;
      return count;
    } finally {
      this.#isWriting = false;
      if (lent) this.#pool.give(lent);
    }
  }

  async closeWrite(): Promise<void> {
    if (this.#hasFinished || this.#isClosed) return;
    this.#hasFinished = true;
    await this.#written.catch(() => {});
    await writeAll(this.#stream, END_CHUNK);
    await this.#stream.closeWrite();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // What is in the middle of a chunk cannot end well any more.
    if (this.#isWriting) return this.#stream.abort?.() ?? this.#stream.close();
    if (this.#hasFinished) return this.#stream.close();
    this.#hasFinished = true;
    writeAll(this.#stream, END_CHUNK).catch(() => {});
    this.#stream.close();
  }

  abort(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#stream.abort) this.#stream.abort();
    else this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
