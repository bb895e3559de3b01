/**
 * Finds the longest datagram that gets through, by trying: what to try next, out of what has been answered so far. Any
 * datagram may be lost by chance, so a length counts as too long only once it was lost several times.
 *
 *   const search = new MtuSearch({ atLeast: 500, atMost: 1448 });
 *   while (search.next !== undefined) … send so many bytes; search.passed(bytes) when answered, search.lost(bytes) when not
 *   search.found
 *
 * First the shortest, which tells whether anybody answers at all, then the longest, which is the rule, then the middle of
 * what is left. Answers may come late and in any order.
 */

import { CulvertError } from "./errors.ts";

export interface MtuSearchOptions {
  /** What is to get through for there to be any use in it. */
  readonly atLeast: number;
  readonly atMost: number;
  /** How often a length is tried before it is too long. Default 3. */
  readonly tries?: number;
  /** What is close enough. Default 1, exactly. */
  readonly withinBytes?: number;
}

export class MtuSearch {
  readonly #atLeast: number;
  readonly #atMost: number;
  readonly #tries: number;
  readonly #withinBytes: number;
  /** The longest that passed, and the shortest that did not. */
  #passes: number | undefined;
  #fails: number;
  #lostOfNext = 0;

  constructor({ atLeast, atMost, tries = 3, withinBytes = 1 }: MtuSearchOptions) {
    const isRange = Number.isInteger(atLeast) && Number.isInteger(atMost) && atLeast >= 1 && atLeast <= atMost;
    if (!isRange || tries < 1 || withinBytes < 1) {
      throw new CulvertError(
        "bad_option",
        `Cannot look for the longest datagram: the lengths must be whole and rise, got ${atLeast} to ${atMost}`,
      );
    }
    this.#atLeast = atLeast;
    this.#atMost = atMost;
    this.#tries = tries;
    this.#withinBytes = withinBytes;
    this.#fails = atMost + 1;
  }

  /** The length to try; undefined once it is found, or nothing gets through. */
  get next(): number | undefined {
    if (this.#passes === undefined) return this.#fails > this.#atLeast ? this.#atLeast : undefined;
    if (this.#fails - this.#passes <= this.#withinBytes) return undefined;
    if (this.#fails > this.#atMost) return this.#atMost;
    return this.#passes + ((this.#fails - this.#passes) >> 1);
  }

  /** The longest that passed; undefined as long as none did. */
  get found(): number | undefined {
    return this.#passes;
  }

  passed(bytes: number): void {
    const next = this.next;
    if (bytes >= this.#atLeast && bytes <= this.#atMost && bytes > (this.#passes ?? 0)) this.#passes = bytes;
    // It was only late.
    if (this.#passes !== undefined && this.#fails <= this.#passes) this.#fails = this.#passes + 1;
    if (this.next !== next) this.#lostOfNext = 0;
  }

  /** It was not answered in time; of lengths other than the one to be tried, nothing is learned. */
  lost(bytes: number): void {
    if (bytes !== this.next || ++this.#lostOfNext < this.#tries) return;
    this.#fails = bytes;
    this.#lostOfNext = 0;
  }
}
