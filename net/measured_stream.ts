/**
 * A stream that is watched: what it carried, how soon the first byte came, how fast the others did, and whether it was cut.
 * Told once, when it is over.
 *
 *   speed: the bytes that came ÷ the time from the first byte sent to the last received, where they are enough to tell
 *
 * So the wait for the first byte is part of the speed, as it is for whoever waits. From the first byte received on, a way
 * that holds bytes back and lets go of them at once would seem the faster one.
 */

import type { Clock } from "../protocol/clock.ts";
import type { CarriedStream } from "../protocol/split/side_record.ts";
import type { Stream } from "../protocol/stream.ts";

/** Of fewer only the wait for the first would be told. */
const ENOUGH_BYTES = 64 * 1024;

export class MeasuredStream implements Stream {
  /** Present where the stream has one: otherwise a cut would end in `close`, and the far side take it for the end. */
  readonly abort?: () => void;
  readonly #stream: Stream;
  readonly #clock: Clock;
  #onEnd: ((carried: CarriedStream) => void) | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;
  readonly #openedMs: number;
  #firstWriteMs: number | undefined;
  #firstReadMs: number | undefined;
  #lastReadMs = 0;
  #isBroken = false;
  /** By the far end or by a cut, before we ended it. */
  #hasEnded = false;

  constructor(stream: Stream, clock: Clock, onEnd: (carried: CarriedStream) => void) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.#openedMs = clock.now();
    if (stream.abort) this.abort = () => this.#end(() => stream.abort!());
  }

  async read(into: Uint8Array): Promise<number | null> {
    try {
      const count = await this.#stream.read(into);
      if (count === null) this.#hasEnded = true;
      else this.#received(count);
      return count;
    } catch (error) {
      this.#hasEnded = this.#isBroken = true;
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
    this.#firstReadMs ??= this.#lastReadMs;
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
    const isAnswer = wroteMs !== undefined && readMs !== undefined && readMs >= wroteMs;
    const seconds = (this.#lastReadMs - (isAnswer ? wroteMs : this.#openedMs)) / 1000;
    return {
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
      isBroken: this.#isBroken,
      isUnanswered: this.#hasEnded && this.#sentBytes > 0 && this.#receivedBytes === 0,
      ...(isAnswer && { firstByteMs: readMs - wroteMs }),
      ...(this.#receivedBytes >= ENOUGH_BYTES && seconds > 0 && { bytesPerS: this.#receivedBytes / seconds }),
    };
  }
}
