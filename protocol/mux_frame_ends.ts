/**
 * Where the frames of a stream end that have not been read, for those who take a frame for a datagram. Of more than 4096 at
 * once the later ones run together.
 */

import { Fifo } from "./fifo.ts";

const MAX_FRAMES = 4096;

export class FrameEnds {
  /** As counts of all bytes received. */
  readonly #ends = new Fifo<number>();

  /** A frame of so many bytes begins after `received` others, of which `consumed` have been read. */
  begin(bytes: number, received: number, consumed: number): void {
    this.#drop(consumed);
    if (this.#ends.length < MAX_FRAMES) this.#ends.push(received + bytes);
  }

  /** How much of the first unread frame is left, once all of it has been received. */
  next(received: number, consumed: number): number | undefined {
    this.#drop(consumed);
    const end = this.#ends.first;
    return end === undefined || end > received ? undefined : end - consumed;
  }

  #drop(consumed: number): void {
    while (this.#ends.length > 0 && this.#ends.first! <= consumed) this.#ends.shift();
  }
}
