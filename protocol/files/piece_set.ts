/**
 * Which pieces of a content there are: a set of whole numbers below a bound, one bit each.
 */

export class PieceSet {
  readonly pieces: number;
  readonly #bits: Uint32Array;
  #size = 0;

  constructor(pieces: number) {
    this.pieces = pieces;
    this.#bits = new Uint32Array(Math.ceil(pieces / 32));
  }

  /** How many are in it. */
  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size === this.pieces;
  }

  clone(): PieceSet {
    const copy = new PieceSet(this.pieces);
    copy.#bits.set(this.#bits);
    copy.#size = this.#size;
    return copy;
  }

  has(piece: number): boolean {
    return (this.#bits[piece >>> 5]! & (1 << (piece & 31))) !== 0;
  }

  /** False when it was there already. */
  add(piece: number): boolean {
    if (piece >= this.pieces || this.has(piece)) return false;
    this.#bits[piece >>> 5]! |= 1 << (piece & 31);
    this.#size++;
    return true;
  }

  /** False when it was not there. */
  delete(piece: number): boolean {
    if (piece >= this.pieces || !this.has(piece)) return false;
    this.#bits[piece >>> 5]! &= ~(1 << (piece & 31));
    this.#size--;
    return true;
  }

  /** The first from `from` on that is not in it; `pieces` when all of those are. */
  firstMissing(from = 0): number {
    let at = from;
    while (at < this.pieces) {
      const missing = ~this.#bits[at >>> 5]! & (-1 << (at & 31));
      if (missing !== 0) return Math.min(this.pieces, (at & ~31) + lowestBit(missing));
      at = (at & ~31) + 32;
    }
    return this.pieces;
  }

  /** The first from `from` on that is in it, none of those at or above `below`, which stands for none. */
  firstHad(from: number, below = this.pieces): number {
    let at = from;
    while (at < below) {
      const had = this.#bits[at >>> 5]! & (-1 << (at & 31));
      if (had !== 0) return Math.min(below, (at & ~31) + lowestBit(had));
      at = (at & ~31) + 32;
    }
    return below;
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
