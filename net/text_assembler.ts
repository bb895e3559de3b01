/**
 * The texts of a WebSocket, put together from the pieces they come in. A text that comes in one piece is not copied; of
 * one that does not, what has come is held, at most as much as a text may have.
 */

const FIRST_HOLD_BYTES = 512;
/** It keeps nothing from one text to the next. */
const decoder = new TextDecoder("utf-8", { fatal: true });

export type TextFault = "too_large" | "not_utf8";

export class TextAssembler {
  /** The beginning of a text whose end has not come. */
  #held: Uint8Array | undefined;
  #heldBytes = 0;

  /** Whether a text has begun and not ended. */
  get isHolding(): boolean {
    return this.#held !== undefined;
  }

  /** Takes a piece; hands on the text that it ends, or gives what is wrong with it. */
  take(piece: Uint8Array, last: boolean, maxBytes: number, onText: (text: string) => void): TextFault | undefined {
    if (this.#heldBytes + piece.length > maxBytes) return "too_large";
    if (!last || this.#held) this.#hold(piece);
    if (!last) return undefined;
    const text = decode(this.#held ? this.#held.subarray(0, this.#heldBytes) : piece);
    this.drop();
    if (text === undefined) return "not_utf8";
    onText(text);
    return undefined;
  }

  /** Lets go of what is held. */
  drop(): void {
    this.#held = undefined;
    this.#heldBytes = 0;
  }

  #hold(piece: Uint8Array): void {
    const wanted = this.#heldBytes + piece.length;
    if (!this.#held || wanted > this.#held.length) {
      const larger = new Uint8Array(Math.max(wanted * 2, FIRST_HOLD_BYTES));
      if (this.#held) larger.set(this.#held);
      this.#held = larger;
    }
    this.#held.set(piece, this.#heldBytes);
    this.#heldBytes = wanted;
  }
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
