/**
 * Learns from the packets themselves how many data and parity shards a sender uses. Their numbers run on without gaps, so a
 * run of one type whose beginning and end have both been seen has the length in question.
 *
 *   … f2 | f1 f1 f1 f1 f1 | f2 f2 | f1 …      5 data, 2 parity; and the run of data begins at a multiple of 7
 *
 * A lost packet spoils the run it is in, so that it takes a whole stretch of data and one of parity, not in one piece.
 */

import type { FecShards } from "./fec_encoder.ts";
import { MAX_FEC_SHARDS } from "./fec_head.ts";

export class FecTuning {
  #lastNumber = -2;
  #lastIsData = false;
  /** Where the present run began; undefined when that has not been seen. */
  #runStart: number | undefined;
  #dataStart = 0;
  #dataShards = 0;
  #parityShards = 0;

  /** What the sender uses, as far as seen. */
  get shards(): FecShards | undefined {
    const total = this.#dataShards + this.#parityShards;
    const isKnown = this.#dataShards > 0 && this.#parityShards > 0 && total <= MAX_FEC_SHARDS &&
      this.#dataStart % total === 0;
    return isKnown ? { dataShards: this.#dataShards, parityShards: this.#parityShards } : undefined;
  }

  see(number: number, isData: boolean): void {
    if (number !== this.#lastNumber + 1) {
      this.#runStart = undefined;
    } else if (isData !== this.#lastIsData) {
      this.#endRun(number);
      this.#runStart = number;
    }
    this.#lastNumber = number;
    this.#lastIsData = isData;
  }

  #endRun(end: number): void {
    if (this.#runStart === undefined) return;
    if (this.#lastIsData) {
      this.#dataStart = this.#runStart;
      this.#dataShards = end - this.#runStart;
    } else {
      this.#parityShards = end - this.#runStart;
    }
  }
}
