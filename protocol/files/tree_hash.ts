/**
 * The tree hash of a content: its name everywhere, and what each piece of it is checked against. It is the Merkle tree of
 * BitTorrent v2, so that a content has the same root here as in a torrent.
 *
 *   content ─▶ leaves of 16 KiB, SHA-256 each ─▶ pairs hashed together … ─▶ root
 *                       └ 64 leaves make a piece of 1 MiB: the layer of pieces, 32 bytes each, is what peers pass on
 *
 * Where leaves are missing to make a power of two, a hash of 32 zero bytes stands in for each. A content of one piece is padded
 * only as far as its own leaves need, so its piece's hash is the root. An empty content has no pieces, and SHA-256 of nothing
 * for its root: BEP 52 gives it none.
 *
 *   sender:    TreeHasher ─▶ { root, size, pieces }
 *   receiver:  root and size are known ─▶ `arePieces` checks the layer ─▶ `isPiece` checks each piece as it arrives
 *
 * One piece alone is checked with `piece_proof.ts`. Spec: BEP 52, "pieces root" and "piece layers".
 */

import type { Bytes, Primitives } from "../primitives.ts";

export const LEAF_BYTES = 16 * 1024;
export const PIECE_BYTES = 1024 * 1024;
export const HASH_BYTES = 32;
/** Two hashes of a tree are a content of this length with the same root as what is below them: the root alone says too little. */
export const PAIR_BYTES = 2 * HASH_BYTES;
/** The root of an empty content. */
export const EMPTY_ROOT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const LEAVES_PER_PIECE = PIECE_BYTES / LEAF_BYTES;
/** How often pairs are hashed together from leaves to a piece. */
const PIECE_LEVELS = Math.log2(LEAVES_PER_PIECE);

type Sha256 = Primitives["sha256"];

/** What is known of a content that has been read whole. */
export interface ContentTree {
  /** 64 hexadecimal digits. */
  readonly root: string;
  readonly size: number;
  /** The hashes of its pieces, one after the other. */
  readonly pieces: Bytes;
}

/** How many pieces a content of that size has. */
export function pieceCount(size: number): number {
  return Math.ceil(size / PIECE_BYTES);
}

/** How long one piece of a content is: the last may be shorter. */
export function pieceLength(size: number, index: number): number {
  return Math.max(0, Math.min(PIECE_BYTES, size - index * PIECE_BYTES));
}

/** The hash of one piece; `size` is that of the whole content. */
export function hashPiece(piece: Uint8Array, size: number, sha256: Sha256): Bytes {
  const leaves = new Uint8Array(Math.ceil(piece.length / LEAF_BYTES) * HASH_BYTES);
  for (let from = 0, at = 0; from < piece.length; from += LEAF_BYTES, at += HASH_BYTES) {
    leaves.set(sha256(piece.subarray(from, from + LEAF_BYTES)), at);
  }
  return foldPiece(leaves, size > PIECE_BYTES, sha256);
}

/** Whether these bytes are that piece of the content whose layer of pieces has been checked. */
export function isPiece(
  piece: Uint8Array,
  index: number,
  { size, pieces }: Pick<ContentTree, "size" | "pieces">,
  sha256: Sha256,
): boolean {
  if (piece.length === 0 || piece.length !== pieceLength(size, index)) return false;
  const at = index * HASH_BYTES;
  return isSame(hashPiece(piece, size, sha256), pieces.subarray(at, at + HASH_BYTES));
}

/** Whether these are the hashes of the content's pieces, as its root says. They may come from anybody. */
export function arePieces(
  pieces: Uint8Array,
  { root, size }: Pick<ContentTree, "root" | "size">,
  sha256: Sha256,
): boolean {
  return pieces.length === pieceCount(size) * HASH_BYTES && rootOfPieces(pieces, sha256) === root;
}

/** The root of the content whose pieces have these hashes. */
export function rootOfPieces(pieces: Uint8Array, sha256: Sha256): string {
  if (pieces.length === 0) return EMPTY_ROOT;
  if (pieces.length === HASH_BYTES) return pieces.toHex();
  const levels = Math.ceil(Math.log2(pieces.length / HASH_BYTES));
  return foldHashes(pieces, { levels, pad: pieceOfNothing(sha256) }, sha256).toHex();
}

/** The hash of a piece that has no leaves: it stands in where pieces are missing to make a power of two. */
export function pieceOfNothing(sha256: Sha256): Bytes {
  let pad = new Uint8Array(HASH_BYTES);
  for (let level = 0; level < PIECE_LEVELS; level++) pad = hashPair(pad, pad, sha256);
  return pad;
}

/** The hash above two others. */
export function hashPair(left: Uint8Array, right: Uint8Array, sha256: Sha256): Bytes {
  const pair = new Uint8Array(2 * HASH_BYTES);
  pair.set(left);
  pair.set(right, HASH_BYTES);
  return sha256(pair);
}

/** Reads a content from its beginning to its end, in parts of any length, and holds no more of it than one leaf. */
export class TreeHasher {
  readonly #sha256: Sha256;
  /** Of the piece that is being read. */
  readonly #leaves = new Uint8Array(LEAVES_PER_PIECE * HASH_BYTES);
  #leafCount = 0;
  /** The beginning of a leaf whose end has not come yet. */
  readonly #begun = new Uint8Array(LEAF_BYTES);
  #begunBytes = 0;
  #pieces: Bytes[] = [];
  #size = 0;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  update(bytes: Uint8Array): void {
    this.#size += bytes.length;
    let from = this.#begunBytes > 0 ? this.#goOn(bytes) : 0;
    for (; bytes.length - from >= LEAF_BYTES; from += LEAF_BYTES) {
      this.#addLeaf(bytes.subarray(from, from + LEAF_BYTES));
    }
    if (from === bytes.length) return;
    this.#begun.set(bytes.subarray(from));
    this.#begunBytes = bytes.length - from;
  }

  /** What was read. What is added from now on is another content. */
  finish(): ContentTree {
    if (this.#begunBytes > 0) this.#addLeaf(this.#begun.subarray(0, this.#begunBytes));
    if (this.#leafCount > 0) this.#addPiece();
    const pieces = new Uint8Array(this.#pieces.length * HASH_BYTES);
    this.#pieces.forEach((piece, index) => pieces.set(piece, index * HASH_BYTES));
    const tree = { root: rootOfPieces(pieces, this.#sha256), size: this.#size, pieces };
    this.reset();
    return tree;
  }

  /** Forgets what was read. */
  reset(): void {
    this.#begunBytes = this.#leafCount = this.#size = 0;
    this.#pieces = [];
  }

  /** Completes the leaf that was begun; how many bytes that took. */
  #goOn(bytes: Uint8Array): number {
    const taken = Math.min(LEAF_BYTES - this.#begunBytes, bytes.length);
    this.#begun.set(bytes.subarray(0, taken), this.#begunBytes);
    this.#begunBytes += taken;
    if (this.#begunBytes === LEAF_BYTES) {
      this.#begunBytes = 0;
      this.#addLeaf(this.#begun);
    }
    return taken;
  }

  #addLeaf(leaf: Uint8Array): void {
    // A whole piece is hashed once there is more: only then is it known whether the content has others.
    if (this.#leafCount === LEAVES_PER_PIECE) this.#addPiece();
    this.#leaves.set(this.#sha256(leaf), this.#leafCount++ * HASH_BYTES);
  }

  #addPiece(): void {
    const leaves = this.#leaves.subarray(0, this.#leafCount * HASH_BYTES);
    this.#pieces.push(foldPiece(leaves, this.#size > PIECE_BYTES, this.#sha256));
    this.#leafCount = 0;
  }
}

/** The hash of a piece by those of its leaves: of one among several, or of the only one. */
function foldPiece(leaves: Uint8Array, isOneOfSeveral: boolean, sha256: Sha256): Bytes {
  const levels = isOneOfSeveral ? PIECE_LEVELS : Math.ceil(Math.log2(leaves.length / HASH_BYTES));
  return foldHashes(leaves, { levels, pad: new Uint8Array(HASH_BYTES) }, sha256);
}

interface Fold {
  readonly levels: number;
  /** Stands in for what is missing on the lowest level. */
  readonly pad: Bytes;
}

/** Hashes pairs together, level after level, until one hash is left. */
function foldHashes(hashes: Uint8Array, { levels, pad: lowest }: Fold, sha256: Sha256): Bytes {
  let row = new Uint8Array(hashes);
  let pad = lowest;
  for (let level = 0; level < levels; level++) {
    const count = Math.ceil(row.length / (2 * HASH_BYTES));
    const above = new Uint8Array(count * HASH_BYTES);
    for (let pair = 0; pair < count; pair++) {
      const from = pair * 2 * HASH_BYTES;
      const middle = from + HASH_BYTES;
      const isWhole = middle < row.length;
      const hash = isWhole
        ? sha256(row.subarray(from, middle + HASH_BYTES))
        : hashPair(row.subarray(from, middle), pad, sha256);
      above.set(hash, pair * HASH_BYTES);
    }
    row = above;
    if (level + 1 < levels) pad = hashPair(pad, pad, sha256);
  }
  return row;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
