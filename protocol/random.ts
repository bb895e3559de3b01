/**
 * Chance as a parameter. `randomOf(crypto)` is unpredictable; `testing/seeded_random.ts` repeats itself.
 */

export interface Random {
  /** Fills `into` with random bytes and returns it. Fit for keys when made from `crypto`. */
  fill<T extends Uint8Array<ArrayBuffer>>(into: T): T;
  /** A number in [0, 1). For jitter and choice, never for keys. */
  next(): number;
}

/** The largest request WebCrypto grants at once. */
const MAX_FILL_BYTES = 65536;

/** Unpredictable randomness: `randomOf(crypto)`. */
export function randomOf(source: { getRandomValues<T extends Uint8Array<ArrayBuffer>>(into: T): T }): Random {
  const words = new Uint8Array(4);
  const view = new DataView(words.buffer);
  return {
    fill(into) {
      for (let at = 0; at < into.length; at += MAX_FILL_BYTES) {
        source.getRandomValues(into.subarray(at, at + MAX_FILL_BYTES));
      }
      return into;
    },
    next() {
      source.getRandomValues(words);
      return view.getUint32(0) / 2 ** 32;
    },
  };
}

/** A whole number in [0, below). */
export function randomInt(random: Random, below: number): number {
  return Math.floor(random.next() * below);
}
