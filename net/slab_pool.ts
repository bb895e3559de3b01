/**
 * Slabs that sealed streams take turns with: one that carries much borrows one for each direction, and a quiet one holds
 * none. There is always one to be had; beyond the few kept here, those given back are left to the garbage collector. So
 * the memory in use is bounded by how many streams are busy at once.
 */

import { MAX_RECORD_BYTES } from "../protocol/sealed_stream.ts";
import { Slab } from "../protocol/slab.ts";

/** Records that one read or write carries at most. */
export const RECORDS_PER_SLAB = 4;
const MAX_KEPT = 16;

export class SlabPool {
  readonly #kept: Slab[] = [];

  take(): Slab {
    return this.#kept.pop() ?? new Slab(RECORDS_PER_SLAB * MAX_RECORD_BYTES);
  }

  /** Gives a taken slab back; the giver must not touch it again. */
  give(slab: Slab): void {
    if (this.#kept.length < MAX_KEPT) this.#kept.push(slab);
  }
}
