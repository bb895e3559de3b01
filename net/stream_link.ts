/**
 * A Link over a Stream: one loop reads, another writes, each with one buffer. The subclass says how bytes are framed;
 * `WebsocketLink` is one, and a plain one (bytes as they are) serves carriers that need no framing of their own.
 *
 * A quiet link holds 4 KiB to read with, or less where it was told so. What it writes with is borrowed from a pool, a small
 * buffer first; a busy one borrows a large one for each direction, so that one system call carries several frames.
 */

import type { Stream } from "../protocol/stream.ts";
import { writeAll } from "../protocol/stream.ts";
import type { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import type { Link, LinkHandlers } from "./link.ts";

/** Most reads and writes are a control frame or a short message, and need no more. */
const QUIET_BYTES = 4096;

export class StreamLink implements Link {
  protected readonly stream: Stream;
  readonly #pool: BufferPool;
  #first: Uint8Array | undefined;
  protected handlers: LinkHandlers | undefined;
  readonly #quietBytes: number;
  #writing = false;
  #closed = false;
  #error: unknown;
  #wakeReader: (() => void) | undefined;

  /** `first` holds bytes already read from the stream; a quiet link holds one buffer of `quietBytes`. */
  constructor(stream: Stream, pool: BufferPool, first?: Uint8Array, quietBytes = QUIET_BYTES) {
    this.stream = stream;
    this.#pool = pool;
    this.#first = first?.length ? first : undefined;
    this.#quietBytes = quietBytes;
  }

  start(handlers: LinkHandlers): void {
    this.handlers = handlers;
    const end = () => {
      this.close();
      handlers.onClose(this.#error);
    };
    this.#readAll().then(end, (error) => {
      this.fail(error);
      end();
    });
    this.wake();
  }

  wake(): void {
    if (this.#writing || this.#closed || !this.handlers) return;
    this.#writing = true;
    // Not at once: what else becomes ready in this turn shares the write.
    queueMicrotask(() => this.#writeAll().catch((error) => this.fail(error)));
  }

  get idle(): boolean {
    return !this.#writing;
  }

  resume(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.stream);
    this.resume();
  }

  /** Ends the link because of a fault, which `onClose` will name. */
  protected fail(error: unknown): void {
    if (!this.#closed) this.#error = error;
    this.close();
  }

  /** Bytes of the stream, which may be changed; calls `onBytes` with what they carry. */
  protected receive(bytes: Uint8Array): void {
    this.handlers!.onBytes(bytes);
  }

  /** Fills `into` with bytes for the stream; gives the part of it to be written, or undefined for nothing. */
  protected fill(into: Uint8Array): Uint8Array | undefined {
    const count = this.handlers!.fill(into);
    return count > 0 ? into.subarray(0, count) : undefined;
  }

  async #readAll(): Promise<void> {
    const small = new Uint8Array(this.#quietBytes);
    let buffer = small;
    const first = this.#first;
    this.#first = undefined;
    if (first) this.receive(first);
    try {
      while (!this.#closed) {
        if (!this.handlers!.wantsBytes()) await new Promise<void>((resolve) => this.#wakeReader = resolve);
        const count = await this.stream.read(buffer);
        if (count === null || this.#closed) return;
        this.receive(count === buffer.length ? buffer : buffer.subarray(0, count));
        if (buffer === small) {
          if (count === small.length) buffer = this.#pool.take() ?? small;
        } else if (count < small.length) {
          this.#pool.give(buffer);
          buffer = small;
        }
      }
    } catch (error) {
      if (!this.#closed) throw error;
    } finally {
      if (buffer !== small) this.#pool.give(buffer);
    }
  }

  async #writeAll(): Promise<void> {
    const small = this.#pool.takeSmall(QUIET_BYTES);
    let buffer = small;
    try {
      for (let chunk = this.#fillUnlessClosed(buffer); chunk; chunk = this.#fillUnlessClosed(buffer)) {
        const written = await this.stream.write(chunk);
        if (written < chunk.length) await writeAll(this.stream, chunk.subarray(written));
        const isFromBuffer = chunk.buffer === buffer.buffer;
        if (isFromBuffer && buffer === small && chunk.length > small.length / 2) buffer = this.#pool.take() ?? small;
      }
    } catch (error) {
      if (!this.#closed) throw error;
    } finally {
      this.#writing = false;
      if (buffer !== small) this.#pool.give(buffer);
      this.#pool.giveSmall(small);
    }
  }

  #fillUnlessClosed(buffer: Uint8Array): Uint8Array | undefined {
    return this.#closed ? undefined : this.fill(buffer);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
