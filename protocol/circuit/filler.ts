/**
 * Random bytes for the ends of cells, drawn many at a time: a draw costs more than the few bytes a cell needs.
 */

import type { Bytes } from "../primitives.ts";
import type { Random } from "../random.ts";

const DRAWN_BYTES = 8192;

export class Filler {
  readonly #random: Random;
  #drawn: Bytes | undefined;
  #used = DRAWN_BYTES;

  /** Must be unpredictable. */
  constructor(random: Random) {
    this.#random = random;
  }

  /** Fills `bytes` from `from` to `to`. No drawn byte is used twice. */
  fill(bytes: Uint8Array, from: number, to: number): void {
    let used = this.#used;
    const drawn = this.#drawn ??= new Uint8Array(DRAWN_BYTES);
    for (let at = from; at < to; at++) {
      if (used === DRAWN_BYTES) {
        this.#random.fill(drawn);
        used = 0;
      }
      bytes[at] = drawn[used++]!;
    }
    this.#used = used;
  }
}
