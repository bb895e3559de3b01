/**
 * A stream that tells when its far end comes without an answer: bytes were sent, and not one has come back.
 *
 * So end the streams of a way that says "connected" before it knows, as proxies of other programs do. A target may end
 * likewise, so it is a hint and no proof. Told once, and never of a stream that we close ourselves.
 */

import type { Stream } from "../protocol/stream.ts";

export class AnsweredStream implements Stream {
  /** Present where the stream has one: otherwise a cut would end in `close`, and the far side take it for the end. */
  readonly abort?: () => void;
  readonly #stream: Stream;
  /** Undefined once it is answered, told or closed: from then on nothing is looked at. */
  #onUnanswered: (() => void) | undefined;
  #hasSent = false;

  constructor(stream: Stream, onUnanswered: () => void) {
    this.#stream = stream;
    this.#onUnanswered = onUnanswered;
    if (stream.abort) {
      this.abort = () => {
        this.#onUnanswered = undefined;
        stream.abort!();
      };
    }
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#onUnanswered ? this.#firstRead(into) : this.#stream.read(into);
  }

  write(from: Uint8Array): Promise<number> {
    this.#hasSent ||= from.length > 0;
    return this.#stream.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#stream.closeWrite();
  }

  close(): void {
    this.#onUnanswered = undefined;
    this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.#onUnanswered = undefined;
    this.#stream[Symbol.dispose]();
  }

  async #firstRead(into: Uint8Array): Promise<number | null> {
    let count: number | null = null;
    try {
      count = await this.#stream.read(into);
      return count;
    } finally {
      const onUnanswered = this.#onUnanswered;
      if (count !== 0) this.#onUnanswered = undefined;
      if (count === null && this.#hasSent) onUnanswered?.();
    }
  }
}
