/**
 * Randomness that repeats: the same seed gives the same numbers. A test that uses it prints its seed when it fails.
 * The generator is xoshiro128** (Blackman and Vigna, 2018), seeded by splitmix32.
 */

import type { Random } from "../protocol/random.ts";

export class SeededRandom implements Random {
  readonly seed: number;
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    this.seed = seed >>> 0;
    let mix = this.seed;
    for (let at = 0; at < 4; at++) {
      mix = (mix + 0x9e3779b9) >>> 0;
      let word = mix;
      word = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
      word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
      this.#state[at] = word ^ (word >>> 15);
    }
  }

  fill<T extends Uint8Array<ArrayBuffer>>(into: T): T {
    for (let at = 0; at < into.length; at += 4) {
      let word = this.#word();
      for (let byte = at; byte < at + 4 && byte < into.length; byte++, word >>>= 8) into[byte] = word & 0xff;
    }
    return into;
  }

  next(): number {
    return this.#word() / 2 ** 32;
  }

  #word(): number {
    const state = this.#state;
    const [a, b, c, d] = state as unknown as [number, number, number, number];
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    state[2] = c ^ a;
    state[3] = d ^ b;
    state[1] = b ^ state[2];
    state[0] = a ^ state[3];
    state[2] = state[2] ^ (b << 9);
    const last = state[3];
    state[3] = (last << 11) | (last >>> 21);
    return result;
  }
}
