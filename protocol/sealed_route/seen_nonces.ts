/**
 * The nonces of questions that were answered lately, in a table of fixed size. A nonce has a few slots it may be in, chosen
 * by a secret hash, and takes the one of them that has been held longest.
 */

import { type Random, randomInt } from "../random.ts";

/** As long as a question's time would let it pass. */
export const LINGER_MS = 60_000;
const SLOTS = 16_384;
const SLOTS_PER_NONCE = 8;

export class SeenNonces {
  readonly #low = new Uint32Array(SLOTS);
  readonly #high = new Uint32Array(SLOTS);
  readonly #atMs = new Float64Array(SLOTS).fill(-Infinity);
  readonly #secret: number;

  constructor(random: Random) {
    this.#secret = randomInt(random, 2 ** 32);
  }

  /** Whether it has not been seen; from now on it has. */
  isNew(nonce: Uint8Array, nowMs: number): boolean {
    const low = wordAt(nonce, 0), high = wordAt(nonce, 4);
    const first = this.#hash(low, high) & (SLOTS - SLOTS_PER_NONCE);
    let oldest = first;
    for (let slot = first; slot < first + SLOTS_PER_NONCE; slot++) {
      const isHeld = nowMs - this.#atMs[slot]! <= 2 * LINGER_MS;
      if (isHeld && this.#low[slot] === low && this.#high[slot] === high) return false;
      if (this.#atMs[slot]! < this.#atMs[oldest]!) oldest = slot;
    }
    this.#low[oldest] = low;
    this.#high[oldest] = high;
    this.#atMs[oldest] = nowMs;
    return true;
  }

  #hash(low: number, high: number): number {
    let hash = Math.imul(low ^ this.#secret, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15) ^ high, 0xc2b2ae35);
    return (hash ^ (hash >>> 13)) >>> 0;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}
