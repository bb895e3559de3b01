/**
 * A token bucket for each of very many keys, in a table of a fixed size. An entry says when its key is back to its full
 * burst; from then on it means nothing and its slot is free, so there is nothing to clean up. A key has a few slots it
 * may be in, chosen by a secret hash; when others hold them all it has to wait for one. Keys are told apart by another
 * 32 bits of hash, so two may on rare occasions share their tokens. Nothing is allocated per call.
 */

import { CulvertError } from "../errors.ts";
import { type Random, randomInt } from "../random.ts";

export interface BurstTableOptions {
  readonly perSecond: number;
  readonly burst: number;
  /** How many keys may be below their full burst at once: a power of two, 12 bytes each. Default 32,768. */
  readonly slots?: number;
}

const DEFAULT_SLOTS = 32_768;
const SLOTS_PER_KEY = 8;

export class BurstTable {
  readonly #marks: Uint32Array;
  readonly #fullAtMs: Float64Array;
  readonly #costMs: number;
  readonly #burstMs: number;
  readonly #slotMask: number;
  readonly #secrets: readonly [number, number];

  constructor(random: Random, options: BurstTableOptions) {
    const { perSecond, burst, slots = DEFAULT_SLOTS } = options;
    if (!(perSecond > 0 && perSecond < Infinity)) throw invalid("perSecond", "a number above 0", perSecond);
    if (!(burst >= 1 && burst < Infinity)) throw invalid("burst", "a number from 1", burst);
    if (!(slots >= SLOTS_PER_KEY && slots <= 2 ** 24 && Number.isInteger(Math.log2(slots)))) {
      throw invalid("slots", `a power of two from ${SLOTS_PER_KEY} to 2^24`, slots);
    }
    this.#marks = new Uint32Array(slots);
    this.#fullAtMs = new Float64Array(slots).fill(-Infinity);
    this.#costMs = 1000 / perSecond;
    this.#burstMs = burst * this.#costMs;
    this.#slotMask = slots - SLOTS_PER_KEY;
    this.#secrets = [randomInt(random, 2 ** 32), randomInt(random, 2 ** 32)];
  }

  /** Takes a token of that key and gives 0, or gives the milliseconds until there is one. `nowMs` never goes back. */
  take(key: string, nowMs: number): number {
    const mark = hash(key, this.#secrets[0]);
    const first = hash(key, this.#secrets[1]) & this.#slotMask;
    let free = -1;
    let soonestMs = Infinity;
    for (let slot = first; slot < first + SLOTS_PER_KEY; slot++) {
      const fullAtMs = this.#fullAtMs[slot]!;
      if (fullAtMs <= nowMs) free = slot;
      else if (this.#marks[slot] === mark) return this.#takeAt(slot, fullAtMs, nowMs);
      else soonestMs = Math.min(soonestMs, fullAtMs);
    }
    if (free < 0) return soonestMs - nowMs;
    this.#marks[free] = mark;
    return this.#takeAt(free, nowMs, nowMs);
  }

  #takeAt(slot: number, fullAtMs: number, nowMs: number): number {
    const thenFullAtMs = fullAtMs + this.#costMs;
    const missingMs = thenFullAtMs - nowMs - this.#burstMs;
    if (missingMs > 0) return missingMs;
    this.#fullAtMs[slot] = thenFullAtMs;
    return 0;
  }
}

/** A seeded mix of the text's UTF-16 units; enough to keep a stranger from choosing whose slots to fill. */
function hash(text: string, seed: number): number {
  let state = seed;
  for (let at = 0; at < text.length; at++) {
    state = Math.imul(state ^ text.charCodeAt(at), 0x85ebca6b);
    state ^= state >>> 15;
  }
  state = Math.imul(state ^ text.length ^ seed >>> 7, 0xc2b2ae35);
  state = Math.imul(state ^ state >>> 13, 0x27d4eb2f);
  return (state ^ state >>> 16) >>> 0;
}

function invalid(name: string, rule: string, value: number): CulvertError {
  return new CulvertError("invalid_option", `Cannot limit a rate: ${name} must be ${rule}, got ${value}`);
}
