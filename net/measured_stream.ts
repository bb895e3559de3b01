/**
 * A stream that is watched: what it carried, how soon the first byte came, how fast the others did, and whether it was cut.
 * Told once, when it is over.
 *
 *   speed: the bytes behind the first read ÷ the time from the first read to the last, where they are enough to tell
 */

import type { Clock } from "../protocol/clock.ts";
import type { CarriedStream } from "../protocol/split/side_record.ts";
import type { Stream } from "../protocol/stream.ts";

/** Fewer come at once, whatever the way. */
const ENOUGH_BYTES = 64 * 1024;

export class MeasuredStream implements Stream {
  /** Present where the stream has one: otherwise a cut would end in `close`, and the far side take it for the end. */
  readonly abort?: () => void;
  readonly #stream: Stream;
  readonly #clock: Clock;
  #onEnd: ((carried: CarriedStream) => void) | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;
  #firstReadBytes = 0;
  #firstWriteMs: number | undefined;
  #firstReadMs: number | undefined;
  #lastReadMs = 0;
  #isBroken = false;

  constructor(stream: Stream, clock: Clock, onEnd: (carried: CarriedStream) => void) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onEnd = onEnd;
    if (stream.abort) this.abort = () => this.#end(() => stream.abort!());
  }

  async read(into: Uint8Array): Promise<number | null> {
    try {
      const count = await this.#stream.read(into);
      if (count !== null) this.#received(count);
      return count;
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  /** One that fails may only mean that the far side listens no more; where the way is lost, reads fail as well. */
  async write(from: Uint8Array): Promise<number> {
    this.#firstWriteMs ??= this.#clock.now();
    const count = await this.#stream.write(from);
    this.#sentBytes += count;
    return count;
  }

  closeWrite(): Promise<void> {
    return this.#stream.closeWrite();
  }

  close(): void {
    this.#end(() => this.#stream.close());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #received(count: number): void {
    this.#lastReadMs = this.#clock.now();
    this.#receivedBytes += count;
    if (this.#firstReadMs !== undefined) return;
    this.#firstReadMs = this.#lastReadMs;
    this.#firstReadBytes = count;
  }

  /** What fails from here on is our own doing: that is why what was carried is told first. */
  #end(end: () => void): void {
    const onEnd = this.#onEnd;
    if (!onEnd) return;
    this.#onEnd = undefined;
    onEnd(this.#carried());
    end();
  }

  #carried(): CarriedStream {
    const wroteMs = this.#firstWriteMs;
    const readMs = this.#firstReadMs;
    const behindFirst = this.#receivedBytes - this.#firstReadBytes;
    const seconds = readMs === undefined ? 0 : (this.#lastReadMs - readMs) / 1000;
    return {
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
      isBroken: this.#isBroken,
      ...(wroteMs !== undefined && readMs !== undefined && readMs >= wroteMs && { firstByteMs: readMs - wroteMs }),
      ...(behindFirst >= ENOUGH_BYTES && seconds > 0 && { bytesPerS: behindFirst / seconds }),
    };
  }
}
