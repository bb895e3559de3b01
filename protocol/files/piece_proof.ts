/**
 * Proof that a piece belongs to a content, for whoever knows the content's root and size but not the hashes of all its pieces:
 * the hashes beside the way from the piece up to the root, the lowest first.
 *
 *            root            proof of piece 2 = hash of 3, then hash of (0, 1)
 *          ┌──┴──┐
 *        (0,1) (2,3)
 *        ┌┴┐    ┌┴┐
 *        0 1    2 3          BEP 52 calls them uncle hashes.
 */

import type { Bytes, Primitives } from "../primitives.ts";
import { type ContentTree, HASH_BYTES, hashPair, pieceCount, pieceOfNothing } from "./tree_hash.ts";

type Sha256 = Primitives["sha256"];

/** The proof of one of the pieces; undefined when there is no such piece. */
export function provePiece(pieces: Uint8Array, index: number, sha256: Sha256): Bytes | undefined {
  const count = pieces.length / HASH_BYTES;
  if (!Number.isInteger(index) || index < 0 || index >= count) return undefined;
  let row = Array.from({ length: count }, (_, at) => pieces.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES));
  let pad = pieceOfNothing(sha256);
  let place = index;
  const proof: Bytes[] = [];
  while (row.length > 1) {
    proof.push(row[place ^ 1] ?? pad);
    row = pairsOf(row, pad, sha256);
    pad = hashPair(pad, pad, sha256);
    place >>>= 1;
  }
  return joined(proof);
}

/** Whether a piece of this hash has that place in the content. The proof may come from anybody. */
export function isProven(
  hash: Uint8Array,
  { index, proof }: { readonly index: number; readonly proof: Uint8Array },
  { root, size }: Pick<ContentTree, "root" | "size">,
  sha256: Sha256,
): boolean {
  const count = pieceCount(size);
  if (!Number.isInteger(index) || index < 0 || index >= count || hash.length !== HASH_BYTES) return false;
  if (proof.length !== Math.ceil(Math.log2(count)) * HASH_BYTES) return false;
  let sum = new Uint8Array(hash);
  let place = index;
  for (let at = 0; at < proof.length; at += HASH_BYTES) {
    const beside = proof.subarray(at, at + HASH_BYTES);
    sum = place % 2 === 0 ? hashPair(sum, beside, sha256) : hashPair(beside, sum, sha256);
    place >>>= 1;
  }
  return sum.toHex() === root;
}

function pairsOf(row: readonly Bytes[], pad: Bytes, sha256: Sha256): Bytes[] {
  const above: Bytes[] = [];
  for (let at = 0; at < row.length; at += 2) above.push(hashPair(row[at]!, row[at + 1] ?? pad, sha256));
  return above;
}

function joined(hashes: readonly Bytes[]): Bytes {
  const all = new Uint8Array(hashes.length * HASH_BYTES);
  hashes.forEach((hash, index) => all.set(hash, index * HASH_BYTES));
  return all;
}
