/**
 * A bounded sample of values without bound: of all that came, each is in it with the same chance (Vitter 1985, algorithm R).
 * Quantiles and rank tests of it are those of all, but for chance.
 */

import { type Random, randomInt } from "../random.ts";

export class Sample {
  readonly #random: Random;
  readonly #capacity: number;
  readonly #kept: number[] = [];
  #count = 0;

  constructor(random: Random, capacity: number) {
    this.#random = random;
    this.#capacity = capacity;
  }

  /** How many came. */
  get count(): number {
    return this.#count;
  }

  add(value: number): void {
    this.#count++;
    if (this.#kept.length < this.#capacity) {
      this.#kept.push(value);
      return;
    }
    const place = randomInt(this.#random, this.#count);
    if (place < this.#capacity) this.#kept[place] = value;
  }

  /** The least first. */
  sorted(): number[] {
    return this.#kept.toSorted((one, other) => one - other);
  }
}

/** Of sorted values, the one that the share `at` of them does not exceed; undefined when there is none. */
export function quantileOf(sorted: readonly number[], at: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * at) - 1))];
}
