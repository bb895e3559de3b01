/**
 * The two directions of a sealed stream.
 *
 *   write → slab: records sealed in place → stream.write       stream.read → slab: records opened in place → read
 *
 * Each byte is copied once on each side, and nothing is allocated per record. A quiet direction holds 4 KiB; a busy one
 * borrows a slab.
 */

import { CulvertError } from "../protocol/errors.ts";
import {
  FALSE,
  MAX_TEXT_BYTES,
  RECORD_OVERHEAD_BYTES,
  recordBytes,
  type RecordOpener,
  type RecordSealer,
  textAt,
} from "../protocol/sealed_stream.ts";
import { Slab } from "../protocol/slab.ts";
import { type Stream, writeAll } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { RECORDS_PER_SLAB, type SlabPool } from "./slab_pool.ts";

/** What a quiet direction holds: room for what a mux says between bursts. */
const QUIET_BYTES = 4096;
const NOTHING = new Uint8Array(0);

/** Ends a stream as a failure, where it has a way to say so. */
export function cut(stream: Stream): void {
  if (stream.abort) stream.abort();
  else closeQuietly(stream);
}

export function closedError(): CulvertError {
  return new CulvertError("closed", "Cannot use a stream after close()");
}

/** What comes: sealed records into a slab, their texts out of it. */
export class SealedReader {
  readonly #stream: Stream;
  readonly #slabs: SlabPool;
  readonly #opener: RecordOpener;
  readonly #quiet = new Slab(QUIET_BYTES);
  #slab = this.#quiet;
  /** Records not opened yet lie from `#start` to `#end`; text not taken yet from `#textStart` to `#textEnd`. */
  #start = 0;
  #end = 0;
  #textStart = 0;
  #textEnd = 0;
  #lastCount = 0;
  #reading = false;
  #ended = false;
  #failure: unknown;
  #closed = false;

  constructor(stream: Stream, slabs: SlabPool, opener: RecordOpener) {
    this.#stream = stream;
    this.#slabs = slabs;
    this.#opener = opener;
  }

  read(into: Uint8Array): Promise<number | null> {
    if (this.#reading) return Promise.reject(new CulvertError("busy", "Cannot read: another read is pending"));
    if (into.length === 0) return Promise.resolve(0);
    const taken = this.#take(into);
    if (taken > 0) return Promise.resolve(taken);
    if (!this.#ended) return this.#readMore(into);
    this.#giveBack();
    return Promise.resolve(null);
  }

  /** What is pending settles with the stream. */
  close(): void {
    this.#closed = true;
    this.#opener[Symbol.dispose]();
    if (!this.#reading) this.#giveBack();
  }

  async #readMore(into: Uint8Array): Promise<number | null> {
    this.#reading = true;
    try {
      while (this.#failure === undefined) {
        this.#makeRoom();
        const count = await this.#stream.read(this.#slab.bytes.subarray(this.#end));
        if (this.#closed) throw closedError();
        if (count === null) {
          this.#failure = new CulvertError("reset", "The stream was cut: it stopped before its end");
          break;
        }
        this.#lastCount = count;
        this.#end += count;
        const taken = this.#take(into);
        if (taken > 0) return taken;
        if (this.#ended) return null;
      }
      throw this.#failure;
    } catch (error) {
      this.#failure ??= error;
      throw this.#closed ? closedError() : error;
    } finally {
      this.#reading = false;
      if (this.#closed) this.#giveBack();
    }
  }

  /** Moves text to `into`, opening records as long as there are whole ones; gives how much. */
  #take(into: Uint8Array): number {
    let taken = 0;
    while (taken < into.length && (this.#textStart < this.#textEnd || this.#openNext())) {
      const count = Math.min(this.#textEnd - this.#textStart, into.length - taken);
      into.set(this.#slab.bytes.subarray(this.#textStart, this.#textStart + count), taken);
      this.#textStart += count;
      taken += count;
    }
    return taken;
  }

  #openNext(): boolean {
    if (this.#ended || this.#failure !== undefined) return false;
    const length = this.#opener.open(this.#slab, this.#start, this.#end);
    if (length === FALSE) {
      this.#failure = new CulvertError(
        "tampered",
        "The stream was cut: a record in it is not what the far side sealed",
      );
      cut(this.#stream);
    }
    if (length < 0) return false;
    this.#textStart = textAt(this.#start);
    this.#textEnd = this.#textStart + length;
    this.#start += RECORD_OVERHEAD_BYTES + length;
    this.#ended = length === 0;
    return length > 0;
  }

  /** Makes room for the rest of the record that has begun; a larger slab while there is much, the small one after. */
  #makeRoom(): void {
    const held = this.#end - this.#start;
    const isQuiet = this.#slab === this.#quiet;
    const wanted = recordBytes(this.#slab, this.#start, this.#end);
    const from = this.#slab;
    if (isQuiet && (wanted > QUIET_BYTES || this.#lastCount === QUIET_BYTES)) this.#slab = this.#slabs.take();
    else if (!isQuiet && held === 0 && this.#lastCount < QUIET_BYTES) this.#slab = this.#quiet;
    if (from === this.#slab) this.#slab.bytes.copyWithin(0, this.#start, this.#end);
    else this.#slab.bytes.set(from.bytes.subarray(this.#start, this.#end));
    if (from !== this.#slab && !isQuiet) this.#slabs.give(from);
    this.#start = 0;
    this.#end = held;
  }

  #giveBack(): void {
    if (this.#slab !== this.#quiet) this.#slabs.give(this.#slab);
    this.#slab = this.#quiet;
  }
}

/** What goes: texts into a slab as records, and those to the stream. */
export class SealedWriter {
  readonly #stream: Stream;
  readonly #slabs: SlabPool;
  readonly #sealer: RecordSealer;
  readonly #quiet = new Slab(QUIET_BYTES);
  /** The last write, pending while `#isWriting`. */
  #writing: Promise<number> | undefined;
  #isWriting = false;
  #ending: Promise<void> | undefined;
  #failure: unknown;
  #closed = false;

  constructor(stream: Stream, slabs: SlabPool, sealer: RecordSealer) {
    this.#stream = stream;
    this.#slabs = slabs;
    this.#sealer = sealer;
  }

  /** A write is pending. */
  get busy(): boolean {
    return this.#isWriting;
  }

  write(from: Uint8Array): Promise<number> {
    if (this.#isWriting) return Promise.reject(new CulvertError("busy", "Cannot write: another write is pending"));
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ending) {
      return Promise.reject(new CulvertError("broken_pipe", "Cannot write: this direction has ended"));
    }
    if (from.length === 0) return Promise.resolve(0);
    this.#isWriting = true;
    return this.#writing = this.#write(from);
  }

  /** Says that there is no more, after what is being written. Never rejects: a stream that has failed needs no end. */
  end(): Promise<void> {
    return this.#ending ??= this.#end();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sealer[Symbol.dispose]();
  }

  async #write(from: Uint8Array): Promise<number> {
    const isSmall = from.length + RECORD_OVERHEAD_BYTES <= QUIET_BYTES;
    const slab = isSmall ? this.#quiet : this.#slabs.take();
    const taken = Math.min(from.length, RECORDS_PER_SLAB * MAX_TEXT_BYTES);
    let end = 0;
    try {
      for (let at = 0; at < taken; at += MAX_TEXT_BYTES) {
        end = this.#sealer.seal(from.subarray(at, Math.min(at + MAX_TEXT_BYTES, taken)), slab, end);
      }
      await writeAll(this.#stream, slab.bytes.subarray(0, end));
      return taken;
    } catch (error) {
      this.#failure ??= error; // half a record may have gone
      throw error;
    } finally {
      this.#isWriting = false;
      if (!isSmall) this.#slabs.give(slab);
    }
  }

  async #end(): Promise<void> {
    try {
      await this.#writing;
      if (this.#closed || this.#failure !== undefined) return;
      const end = this.#sealer.seal(NOTHING, this.#quiet, 0);
      await writeAll(this.#stream, this.#quiet.bytes.subarray(0, end));
      await this.#stream.closeWrite();
    } catch (error) {
      this.#failure ??= error;
    }
  }
}
