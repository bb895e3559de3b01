/**
 * Slabs for cells on their way through: small ones for circuits that move little or have come to a stop, and a bounded
 * number of large ones for those in full flow, so that what thousands of stalled circuits hold is what their windows are.
 */

import { CELL_BYTES } from "../../protocol/circuit/cell.ts";
import { Slab } from "../../protocol/slab.ts";

const SMALL_CELLS = 8;
const LARGE_CELLS = 32;
/** Large ones out at once. */
const MAX_LARGE = 128;
/** Kept for the next. */
const MAX_KEPT = 16;

export class CellSlabs {
  readonly #small: Slab[] = [];
  readonly #large: Slab[] = [];
  #largeOut = 0;

  /** A slab for up to so many cells: perhaps fewer than wished, but some. */
  take(cells: number): Slab {
    if (cells <= SMALL_CELLS || this.#largeOut >= MAX_LARGE) {
      return this.#small.pop() ?? new Slab(SMALL_CELLS * CELL_BYTES);
    }
    this.#largeOut++;
    return this.#large.pop() ?? new Slab(LARGE_CELLS * CELL_BYTES);
  }

  /** Gives a taken slab back; the giver must not touch it again. */
  give(slab: Slab): void {
    const isLarge = slab.size > SMALL_CELLS * CELL_BYTES;
    if (isLarge) this.#largeOut--;
    const kept = isLarge ? this.#large : this.#small;
    if (kept.length < MAX_KEPT) kept.push(slab);
  }
}

/** Whole cells that fit in a slab. */
export function cellsOf(slab: Slab): number {
  return Math.floor(slab.size / CELL_BYTES);
}
