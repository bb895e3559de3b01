/**
 * Cards that trackers pass on, checked once each: a list is asked for again and again, and mostly names the same peers.
 */

import { type PeerCard, refusalOfCard } from "../protocol/peers/card.ts";
import type { Primitives } from "../protocol/primitives.ts";

/** Some 500 bytes each. */
const MAX_REMEMBERED = 2048;

export class CardCheck {
  readonly #primitives: Primitives;
  /** Cards that were good, as text: what differs in anything is another. */
  readonly #good = new Set<string>();

  constructor(primitives: Primitives) {
    this.#primitives = primitives;
  }

  /** Whether the card is as its peer has signed it. */
  isGenuine(card: PeerCard): boolean {
    const text = JSON.stringify(card);
    if (this.#good.has(text)) return true;
    if (refusalOfCard(card, this.#primitives) !== undefined) return false;
    this.#good.add(text);
    if (this.#good.size > MAX_REMEMBERED) this.#good.delete(this.#good.values().next().value!);
    return true;
  }
}
