/**
 * A Stream over one bidirectional stream of a QUIC connection of Deno.
 *
 * What it cannot say: Deno drops a sender without a reset, and QUIC's library ends a dropped one as if it were finished. So
 * `abort` refuses what would still come, and ends what we send; that it was cut must be said within (`chunked_stream.ts`).
 *
 * Reads go through a buffer of its own, since Deno takes away the memory a read is given. It is as large as what the reader
 * asked for last, so a quiet stream that is read with a small buffer holds a small one.
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Stream } from "../../protocol/stream.ts";

/** More in one read saves nothing. */
const MOST_READ_BYTES = 256 * 1024;

export class QuicStream implements Stream {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #buffer: ArrayBuffer | undefined;
  #isReading = false;
  #isWriting = false;
  #hasEnded = false;
  #hasFinished = false;
  #isClosed = false;
  readonly #onClosed: () => void;

  /** `onClosed` is called once, when we have closed it. */
  constructor(halves: Deno.QuicBidirectionalStream, onClosed: () => void = () => {}) {
    this.#onClosed = onClosed;
    this.#reader = halves.readable.getReader({ mode: "byob" });
    this.#writer = halves.writable.getWriter();
    this.#writer.closed.catch(() => {}); // told by the writes
    this.#reader.closed.catch(() => {});
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#isClosed) throw closed();
    if (this.#hasEnded) return null;
    if (this.#isReading) throw new CulvertError("busy", "Cannot read: another read is pending");
    this.#isReading = true;
    try {
      return await this.#read(into);
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#isReading = false;
    }
  }

  async #read(into: Uint8Array): Promise<number | null> {
    const wanted = Math.min(into.length, MOST_READ_BYTES);
    const held = this.#buffer?.byteLength === wanted ? this.#buffer : new ArrayBuffer(wanted);
    this.#buffer = undefined;
    const { value, done } = await this.#reader.read(new Uint8Array(held));
    if (this.#isClosed) throw closed();
    if (done) {
      this.#hasEnded = true;
      return null;
    }
    into.set(value);
    this.#buffer = value.buffer;
    return value.length;
  }

  async write(from: Uint8Array): Promise<number> {
    if (this.#isClosed) throw closed();
    if (this.#hasFinished) throw new CulvertError("broken_pipe", "Cannot write: this direction has ended");
    if (this.#isWriting) throw new CulvertError("busy", "Cannot write: another write is pending");
    if (from.length === 0) return 0;
    this.#isWriting = true;
    try {
      await this.#writer.write(from);
      return from.length;
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#isWriting = false;
    }
  }

  async closeWrite(): Promise<void> {
    if (this.#hasFinished || this.#isClosed) return;
    this.#hasFinished = true;
    try {
      await this.#writer.close();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // A write that waits for room is given up; nothing else is in hand.
    if (this.#isWriting) this.#writer.abort().catch(() => {});
    else if (!this.#hasFinished) this.#writer.close().catch(() => {});
    if (!this.#hasEnded) this.#reader.cancel().catch(() => {});
    this.#onClosed();
  }

  abort(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#writer.abort().catch(() => {});
    this.#reader.cancel().catch(() => {});
    this.#onClosed();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #failure(error: unknown): CulvertError {
    if (this.#isClosed) return closed();
    if (error instanceof CulvertError) return error;
    if (error instanceof Deno.errors.ConnectionReset) {
      return new CulvertError("reset", "The stream was cut by the far side", { cause: error });
    }
    return new CulvertError("link_lost", `The QUIC connection has ended: ${messageOf(error)}`, { cause: error });
  }
}

function closed(): CulvertError {
  return new CulvertError("closed", "Cannot use a stream after close()");
}
