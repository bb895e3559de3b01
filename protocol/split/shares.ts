/**
 * Shares that are exact, in an order that is left to chance: neither can what is shared out be in step with it, nor does one
 * side get more than its due for a while, as by drawing alone.
 *
 *   each draw:  everyone is owed its share more  →  drawn among those who are owed, by how much  →  who is drawn is owed one less
 *
 * Nobody is ever as much as one draw ahead of its share; of two, nobody is one behind either.
 */

import type { Random } from "../random.ts";

export class Shares {
  readonly #random: Random;
  readonly #shares: readonly number[];
  /** All together nothing, between two draws. */
  readonly #owed: number[];

  /** The weights are above 0. */
  constructor(weights: readonly number[], random: Random) {
    const sum = weights.reduce((sum, weight) => sum + weight, 0);
    this.#random = random;
    this.#shares = weights.map((weight) => weight / sum);
    this.#owed = weights.map(() => 0);
  }

  /** The index of the next. */
  next(): number {
    const owed = this.#owed;
    let all = 0;
    for (let at = 0; at < owed.length; at++) all += Math.max(0, owed[at]! += this.#shares[at]!);
    let left = this.#random.next() * all;
    let drawn = 0;
    for (let at = 0; at < owed.length && left >= 0; at++) {
      if (owed[at]! <= 0) continue;
      drawn = at;
      left -= owed[at]!;
    }
    owed[drawn]! -= 1;
    return drawn;
  }
}
