/**
 * Which session or which unanswered initiation a four-byte index of ours means. Indices are random, so that a stranger
 * cannot name one. They are signed words, see `keypair.ts`.
 */

import type { Random } from "../random.ts";
import type { Keypair } from "./keypair.ts";
import type { Peer } from "./peer.ts";

export class IndexTable {
  readonly #random: Random;
  readonly #sessions = new Map<number, Keypair>();
  readonly #initiations = new Map<number, Peer>();
  readonly #word = new Uint8Array(4);
  readonly #wordView = new DataView(this.#word.buffer);

  constructor(random: Random) {
    this.#random = random;
  }

  /** How many indices are taken. */
  get size(): number {
    return this.#sessions.size + this.#initiations.size;
  }

  /** An index that means nothing yet. */
  unused(): number {
    for (;;) {
      this.#random.fill(this.#word);
      const index = this.#wordView.getInt32(0);
      if (!this.#sessions.has(index) && !this.#initiations.has(index)) return index;
    }
  }

  session(index: number): Keypair | undefined {
    return this.#sessions.get(index);
  }

  /** Whose unanswered initiation it is. */
  initiation(index: number): Peer | undefined {
    return this.#initiations.get(index);
  }

  addSession(keypair: Keypair): void {
    this.#sessions.set(keypair.localIndex, keypair);
  }

  addInitiation(index: number, peer: Peer): void {
    this.#initiations.set(index, peer);
  }

  remove(index: number): void {
    if (!this.#sessions.delete(index)) this.#initiations.delete(index);
  }
}
