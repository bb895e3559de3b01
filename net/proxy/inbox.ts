/**
 * Bytes read from a Stream and not used yet, for parsers that need all of a message at once.
 *
 *   [ lead | used up | bytes not used yet | room | tail ]
 *
 * `lead` and `tail` are kept free so that a chunk of a body can be framed where it lies (`frameChunk`). The buffer is
 * small while messages are; a larger one is borrowed from the pool while a body fills it, as in `splice`.
 */

import { CHUNK_LEAD_BYTES, CHUNK_TAIL_BYTES } from "../../protocol/http_body.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { BufferPool } from "../buffer_pool.ts";
import type { FollowedStream } from "../splice.ts";

/** Enough for the head of most requests. */
const SMALL_BYTES = 2048;

/** A read this short means the burst is over, and the large buffer goes back. */
const BURST_BYTES = 16 * 1024;

const NOTHING = new Uint8Array(0);

export class Inbox {
  readonly #stream: Pick<Stream, "read"> & Partial<Pick<FollowedStream, "partlyTaken">>;
  readonly #pool: BufferPool;
  readonly #maxBytes: number;
  #buffer: Uint8Array<ArrayBuffer>;
  #pooled = false;
  #start = CHUNK_LEAD_BYTES;
  #end = CHUNK_LEAD_BYTES;
  #lastReadBytes = 0;
  /** Of these, what the stream was told to have been written on. */
  #takenBytes = 0;
  #pending: Promise<boolean> | undefined;
  #settled = false;
  /** Set while someone writes out bytes that lie in the buffer. */
  lent = false;

  /** Holds at most `maxBytes` that nobody has used: the longest message head it can be asked to gather. */
  constructor(stream: Pick<Stream, "read">, pool: BufferPool, maxBytes: number) {
    this.#stream = stream;
    this.#pool = pool;
    this.#buffer = pool.takeSmall(SMALL_BYTES);
    this.#maxBytes = maxBytes;
  }

  /** The bytes not used yet. Overwritten by the next `fill`. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  get length(): number {
    return this.#end - this.#start;
  }

  /** Where `bytes` lies, for decoding in place. Not to be kept beyond the next `fill`. */
  get buffer(): Uint8Array<ArrayBuffer> {
    return this.#buffer;
  }

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  /** As many of `bytes` as a message head may have, however many have come. */
  get head(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + this.#maxBytes));
  }

  /** True when no more fits: the message is longer than allowed. */
  get full(): boolean {
    return this.length >= this.#maxBytes;
  }

  /** Marks the first `count` bytes as used, or all if there are fewer. */
  consume(count: number): void {
    this.#start = Math.min(this.#end, this.#start + count);
  }

  /** Tells a stream that follows it: so many bytes have been written on of a read that may not be read on from. */
  taken(count: number): void {
    const bytes = Math.min(count, this.#lastReadBytes - this.#takenBytes);
    if (bytes <= 0) return;
    this.#takenBytes += bytes;
    this.#stream.partlyTaken?.(bytes);
  }

  /** All that was used has been written on, and nothing more is read. */
  allTaken(): void {
    this.taken(this.#lastReadBytes - this.length - this.#takenBytes);
  }

  /** Reads some more; false at the end of the stream. */
  async fill(): Promise<boolean> {
    const pending = this.#pending ??= this.#read();
    try {
      return await pending;
    } finally {
      this.#pending = undefined;
      this.#settled = false;
    }
  }

  /**
   * Starts a read whose outcome the next `fill` gives, so that the other side's going away is noticed meanwhile:
   * `ended` is called when it has ended its half, `lost` if the read fails. Not while bytes wait: they may be a CONNECT,
   * after which the stream is read by others, who must not find a read of ours under way.
   */
  prefetch(on: { ended?(): void; lost?(): void } = {}): void {
    if (this.#pending || this.length > 0) return;
    // However full the last message was, this may be a long wait.
    this.#lastReadBytes = 0;
    const pending = this.#pending = this.#read();
    const settle = () => {
      if (this.#pending === pending) this.#settled = true;
    };
    pending.then((more) => {
      settle();
      if (!more) on.ended?.();
    }, () => {
      settle();
      on.lost?.();
    });
  }

  /** Whether a prefetched read has come back: something was said, or the stream is over. */
  get stirred(): boolean {
    return this.#settled;
  }

  /** Gives the memory back and returns the bytes nobody used. The inbox is not to be used again. */
  release(): Uint8Array<ArrayBuffer> | undefined {
    const rest = this.length > 0 ? this.bytes.slice() : undefined;
    this.#swap(NOTHING, false);
    this.#start = this.#end = 0;
    return rest;
  }

  async #read(): Promise<boolean> {
    if (this.full) throw new CulvertError("full", `Cannot read on: ${this.#maxBytes} bytes wait to be used`);
    if (this.#start === this.#end) this.#fitEmpty();
    else this.#makeRoom();
    const into = this.#buffer.subarray(this.#end, this.#buffer.length - CHUNK_TAIL_BYTES);
    this.#lastReadBytes = this.#takenBytes = 0;
    const count = await this.#stream.read(into);
    if (count === null) return false;
    this.#end += count;
    this.#lastReadBytes = count;
    return true;
  }

  /** Nothing to keep: choose the buffer by what the last read brought. */
  #fitEmpty(): void {
    this.#start = this.#end = CHUNK_LEAD_BYTES;
    const small = this.#buffer.length === SMALL_BYTES;
    if (small && this.#lastReadBytes >= SMALL_BYTES / 2) {
      const large = this.#pool.take();
      if (large) this.#swap(large, true);
    } else if (!small && (this.#lastReadBytes < BURST_BYTES || !this.#pooled || !this.#pool.plenty)) {
      this.#swap(this.#pool.takeSmall(SMALL_BYTES), false);
    }
  }

  /** Something to keep: move it to the front, or to a buffer twice as large. */
  #makeRoom(): void {
    const limit = this.#buffer.length - CHUNK_TAIL_BYTES;
    if (this.#end < limit) return;
    const { length, bytes } = this;
    if (length > this.#buffer.length / 2) {
      const grown = new Uint8Array(
        Math.min(this.#buffer.length * 2, this.#maxBytes + CHUNK_LEAD_BYTES + CHUNK_TAIL_BYTES),
      );
      grown.set(bytes, CHUNK_LEAD_BYTES);
      this.#swap(grown, false);
    } else {
      this.#buffer.copyWithin(CHUNK_LEAD_BYTES, this.#start, this.#end);
    }
    this.#start = CHUNK_LEAD_BYTES;
    this.#end = CHUNK_LEAD_BYTES + length;
  }

  #swap(buffer: Uint8Array<ArrayBuffer>, pooled: boolean): void {
    // A read or a write under way may still touch it: it must not go to another client.
    const isFree = !this.#pending && !this.lent;
    if (!this.#pooled) {
      if (isFree && this.#buffer.length === SMALL_BYTES) this.#pool.giveSmall(this.#buffer);
    } else if (isFree) this.#pool.give(this.#buffer);
    else this.#pool.forget();
    this.#buffer = buffer;
    this.#pooled = pooled;
  }
}
