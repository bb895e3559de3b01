/**
 * The connections an egress has open, so that they can be counted, closed with the Path, and closed by a new policy.
 *
 * There is no wrapper. A tracked connection gets its own `close` and `[Symbol.dispose]` properties, one function shared
 * by all, and its `read` and `write` stay the host's own methods, called directly. That also makes `close` harmless to
 * repeat, which `Stream` promises and `Deno.TcpConn` does not (a second close throws BadResource).
 */

import type { Stream } from "../protocol/stream.ts";

export class OpenStreams<Detail> {
  readonly #open = new Map<Stream, Detail>();
  readonly #close: (this: Stream) => void;
  readonly #onChange: (change: number) => void;

  /** `onChange` hears +1 for every stream that opens and -1 for every one that closes. */
  constructor(onChange: (change: number) => void) {
    this.#onChange = onChange;
    const open = this.#open;
    this.#close = function (this: Stream): void {
      if (!open.delete(this)) return;
      onChange(-1);
      Object.getPrototypeOf(this).close.call(this);
    };
  }

  get size(): number {
    return this.#open.size;
  }

  /** Keeps the stream until it is closed, and gives it back. */
  track(stream: Stream, detail: Detail): Stream {
    this.#open.set(stream, detail);
    this.#onChange(1);
    stream.close = this.#close;
    stream[Symbol.dispose] = this.#close;
    return stream;
  }

  /** Closes those whose detail is chosen, and tells how many they were. */
  closeWhere(isChosen: (detail: Detail) => boolean): number {
    let closed = 0;
    for (const [stream, detail] of this.#open) {
      if (!isChosen(detail)) continue;
      stream.close();
      closed++;
    }
    return closed;
  }
}
