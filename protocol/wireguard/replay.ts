/**
 * Which counters of one key were seen, so that a datagram is taken once (RFC 6479; whitepaper §5.4.6).
 *
 * A ring of 8192 bits, one per counter. The newest counter's word and the ones behind it are in use; moving on clears
 * the words it passes, never shifts them. One word is the slack that makes this work, so a counter may be as much as
 * `REPLAY_WINDOW` behind the newest. Ask only after the datagram has proven authentic: asking is taking.
 */

import { REJECT_AFTER_MESSAGES, REPLAY_WINDOW } from "./constants.ts";

const RING_WORDS = 8192 / 32;

export class ReplayWindow {
  readonly #seen = new Uint32Array(RING_WORDS);
  #newest = -1;

  /** Takes a counter: false if it was taken before, is too old to know, or beyond what a key may count to. */
  accept(counter: number): boolean {
    if (!(counter < REJECT_AFTER_MESSAGES) || counter < this.#newest - REPLAY_WINDOW) return false;
    if (counter > this.#newest) this.#moveTo(counter);
    // The operators below cut a counter to its low 32 bits, of which the ring is an even part.
    const word = (counter >>> 5) & (RING_WORDS - 1);
    const bit = 1 << (counter & 31);
    if ((this.#seen[word]! & bit) !== 0) return false;
    this.#seen[word]! |= bit;
    return true;
  }

  #moveTo(counter: number): void {
    if (counter - this.#newest > REPLAY_WINDOW) {
      this.#seen.fill(0);
    } else {
      const last = counter >>> 5;
      for (let word = this.#newest >>> 5; ((word ^ last) & (RING_WORDS - 1)) !== 0;) {
        this.#seen[++word & (RING_WORDS - 1)] = 0;
      }
    }
    this.#newest = counter;
  }
}
