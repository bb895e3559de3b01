/**
 * Nonces drawn at random, a thousand at a time: asking the host's generator for each costs more than the packet.
 */

import type { Random } from "../random.ts";
import { Slab } from "../slab.ts";

const POOL_BYTES = 16 * 1024;

export class Nonces {
  readonly #random: Random;
  readonly #pool = new Slab(POOL_BYTES);
  #at = POOL_BYTES;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Writes a nonce of `length` bytes, a multiple of four and no more than the pool, at `at`. */
  write(slab: Slab, at: number, length: number): void {
    if (this.#at + length > POOL_BYTES) {
      this.#random.fill(this.#pool.bytes);
      this.#at = 0;
    }
    const from = this.#at >> 2;
    this.#at += length;
    if (at & 3) {
      slab.bytes.set(this.#pool.bytes.subarray(from << 2, this.#at), at);
      return;
    }
    const to = at >> 2;
    for (let word = 0; word < length >> 2; word++) slab.words[to + word] = this.#pool.words[from + word]!;
  }
}
