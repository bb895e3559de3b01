/**
 * Randomness that repeats: the same seed gives the same numbers. A test that uses it prints its seed when it fails;
 * `withSeed` does that.
 *
 * The generator is xoshiro128** 1.1 (Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c), its state filled
 * from the seed by splitmix32. Not for keys.
 */

import type { Random } from "../protocol/random.ts";

/** Chance that is the same each time, by its seed. */
export class SeededRandom implements Random {
  /** What all of it follows from. */
  readonly seed: number;
  readonly #state: Uint32Array;

  /** Begins anew from the seed. */
  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = new Uint32Array(4);
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
    return nextWord(this.#state);
  }
}

/** One step of xoshiro128**: a number of 32 bits; the four words of state move on. */
export function nextWord(state: Uint32Array): number {
  const [a, b, c, d] = state as unknown as [number, number, number, number];
  const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
  state[2] = c ^ a;
  state[3] = d ^ b;
  state[1] = b ^ state[2];
  state[0] = a ^ state[3];
  state[2] = state[2] ^ (b << 9);
  state[3] = rotateLeft(state[3], 11);
  return result;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** Runs something with a generator of that seed; the seed is in the message when it fails. */
export async function withSeed<T>(seed: number, run: (random: SeededRandom) => T | Promise<T>): Promise<T> {
  try {
    return await run(new SeededRandom(seed));
  } catch (error) {
    throw new Error(`With seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
