/**
 * Streams without a network: two ends joined by two bounded pipes. For tests, and for answers a role makes itself.
 *
 *   a.write → [pipe, capacityBytes] → b.read        b.write → [pipe] → a.read
 *
 * A write waits while its pipe is full. `closeWrite` lets the other side read what is left and then null; `close` does
 * that too and makes the other side's writes fail with `broken_pipe`; `abort` cuts both directions like a reset.
 */

import { CulvertError } from "../protocol/errors.ts";
import type { Stream } from "../protocol/stream.ts";

const DEFAULT_CAPACITY_BYTES = 64 * 1024;

/** A Stream end that can also be cut, so that a test can show what a reset does. */
export interface MemoryStream extends Stream {
  /** Cuts the stream: pending and later calls on both ends reject with `reset`. */
  abort(): void;
}

/** Two ends of one stream. */
export function memoryStreamPair(capacityBytes = DEFAULT_CAPACITY_BYTES): [MemoryStream, MemoryStream] {
  const there = new Pipe(capacityBytes);
  const back = new Pipe(capacityBytes);
  return [new MemoryEnd(back, there), new MemoryEnd(there, back)];
}

class MemoryEnd implements MemoryStream {
  readonly #from: Pipe;
  readonly #to: Pipe;
  #closed = false;

  constructor(from: Pipe, to: Pipe) {
    this.#from = from;
    this.#to = to;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#closed ? Promise.reject(closedError()) : this.#from.read(into);
  }

  write(from: Uint8Array): Promise<number> {
    return this.#closed ? Promise.reject(closedError()) : this.#to.write(from);
  }

  closeWrite(): Promise<void> {
    this.#to.end();
    return Promise.resolve();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#to.end();
    this.#from.abandon();
  }

  abort(): void {
    const error = new CulvertError("reset", "The stream was cut");
    this.#to.fail(error);
    this.#from.fail(error);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function closedError(): CulvertError {
  return new CulvertError("closed", "Cannot use a stream after close()");
}

/** One direction: a ring of bytes with at most one reader and one writer waiting. */
class Pipe {
  readonly #ring: Uint8Array;
  #start = 0;
  #length = 0;
  #ended = false;
  #error: CulvertError | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(capacityBytes: number) {
    this.#ring = new Uint8Array(capacityBytes);
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#length === 0) {
      if (this.#error) throw this.#error;
      if (this.#ended) return null;
      if (this.#wakeReader) throw new CulvertError("busy", "Cannot read: another read is pending");
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
    if (this.#error) throw this.#error;
    const count = Math.min(into.length, this.#length);
    const first = Math.min(count, this.#ring.length - this.#start);
    into.set(this.#ring.subarray(this.#start, this.#start + first));
    into.set(this.#ring.subarray(0, count - first), first);
    this.#start = (this.#start + count) % this.#ring.length;
    this.#length -= count;
    this.#wake();
    return count;
  }

  async write(from: Uint8Array): Promise<number> {
    while (!this.#error && !this.#ended && this.#length === this.#ring.length) {
      if (this.#wakeWriter) throw new CulvertError("busy", "Cannot write: another write is pending");
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    if (this.#error) throw this.#error;
    if (this.#ended) throw new CulvertError("broken_pipe", "Cannot write: this direction has ended");
    const count = Math.min(from.length, this.#ring.length - this.#length);
    const end = (this.#start + this.#length) % this.#ring.length;
    const first = Math.min(count, this.#ring.length - end);
    this.#ring.set(from.subarray(0, first), end);
    this.#ring.set(from.subarray(first, count), 0);
    this.#length += count;
    this.#wake();
    return count;
  }

  /** The writer is done: what is in the ring can still be read. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The reader is gone: writes fail from here on, and its own pending read rejects. */
  abandon(): void {
    this.#length = 0;
    this.fail(new CulvertError("broken_pipe", "The other side has closed the stream"));
  }

  fail(error: CulvertError): void {
    this.#error ??= error;
    this.#wake();
  }

  #wake(): void {
    const reader = this.#wakeReader;
    const writer = this.#wakeWriter;
    this.#wakeReader = this.#wakeWriter = undefined;
    reader?.();
    writer?.();
  }
}
