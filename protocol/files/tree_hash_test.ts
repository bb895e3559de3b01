import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { mutationsOf } from "../../testing/fuzz.ts";
import { portablePrimitives } from "../primitives.ts";
import { sampleContent, treeVectors } from "./fixtures/tree_vectors.ts";
import { isProven, provePiece } from "./piece_proof.ts";
import {
  arePieces,
  type ContentTree,
  EMPTY_ROOT,
  HASH_BYTES,
  hashPiece,
  isPiece,
  LEAF_BYTES,
  PIECE_BYTES,
  pieceCount,
  pieceLength,
  TreeHasher,
} from "./tree_hash.ts";

const { sha256 } = portablePrimitives;

function treeOf(...parts: readonly Uint8Array[]): ContentTree {
  const hasher = new TreeHasher(sha256);
  for (const part of parts) hasher.update(part);
  return hasher.finish();
}

/** As BEP 52 says it: leaves, zeros up to a power of two, pairs. */
function slowRoot(content: Uint8Array): string {
  let row: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += LEAF_BYTES) row.push(sha256(content.subarray(at, at + LEAF_BYTES)));
  while (!Number.isInteger(Math.log2(row.length))) row.push(new Uint8Array(HASH_BYTES));
  while (row.length > 1) {
    const above: Uint8Array[] = [];
    for (let at = 0; at < row.length; at += 2) above.push(sha256(new Uint8Array([...row[at]!, ...row[at + 1]!])));
    row = above;
  }
  return row[0]!.toHex();
}

Deno.test("roots and layers of pieces are those of BitTorrent v2", () => {
  for (const { size, root, lastPiece } of treeVectors) {
    const tree = treeOf(sampleContent(size));
    assertEquals([tree.size, tree.root], [size, root]);
    assertEquals(tree.pieces.length, pieceCount(size) * HASH_BYTES);
    assertEquals(tree.pieces.slice(-HASH_BYTES).toHex(), lastPiece);
  }
});

Deno.test("an empty content has a root, and no pieces", () => {
  assertEquals(treeOf(), { root: EMPTY_ROOT, size: 0, pieces: new Uint8Array(0) });
  assertEquals(sha256(new Uint8Array(0)).toHex(), EMPTY_ROOT);
  assert(arePieces(new Uint8Array(0), { root: EMPTY_ROOT, size: 0 }, sha256));
  assert(!arePieces(new Uint8Array(0), { root: EMPTY_ROOT, size: 1 }, sha256));
});

Deno.test("a content has the same tree in whatever parts it is read, and it is the one of the slow way", () => {
  const whole = sampleContent(2 * PIECE_BYTES + 5);
  const sizes = fc.oneof(fc.integer({ min: 1, max: 5 * LEAF_BYTES }), fc.integer({ min: 1, max: whole.length }));
  const cuts = fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 6 });
  fc.assert(
    fc.property(sizes, cuts, (size, places) => {
      const ends = [...places.filter((at) => at < size).sort((one, other) => one - other), size];
      const parts = ends.map((end, index) => whole.subarray(ends[index - 1] ?? 0, end));
      const tree = treeOf(...parts);
      assertEquals(tree.size, size);
      assertEquals(tree.root, slowRoot(whole.subarray(0, size)));
    }),
    { numRuns: 20 },
  );
});

Deno.test("one hasher reads content after content, also after one that was left off", () => {
  const hasher = new TreeHasher(sha256);
  hasher.update(sampleContent(PIECE_BYTES + 3));
  hasher.reset();
  for (const size of [5, 0, LEAF_BYTES + 1, 2 * PIECE_BYTES, 7]) {
    hasher.update(sampleContent(size));
    assertEquals(hasher.finish(), treeOf(sampleContent(size)));
  }
});

Deno.test("each piece is checked by itself, and by its proof", () => {
  for (const size of [1, PIECE_BYTES, PIECE_BYTES + 1, 4 * PIECE_BYTES + 70_000]) {
    const content = sampleContent(size);
    const tree = treeOf(content);
    assert(arePieces(tree.pieces, tree, sha256));
    for (let index = 0; index < pieceCount(size); index++) {
      const piece = content.slice(index * PIECE_BYTES, index * PIECE_BYTES + pieceLength(size, index));
      assert(isPiece(piece, index, tree, sha256));
      const proof = provePiece(tree.pieces, index, sha256)!;
      const hash = hashPiece(piece, size, sha256);
      assert(isProven(hash, { index, proof }, tree, sha256));
      assert(!isProven(hash, { index: index + 1, proof }, tree, sha256));
      piece[piece.length - 1]! ^= 1;
      assert(!isPiece(piece, index, tree, sha256));
      assert(!isProven(hashPiece(piece, size, sha256), { index, proof }, tree, sha256));
    }
    assert(!isPiece(new Uint8Array(0), pieceCount(size), tree, sha256), "there is no piece after the last");
    assertEquals(provePiece(tree.pieces, pieceCount(size), sha256), undefined);
  }
});

Deno.test("hashes of pieces and proofs that somebody has changed are found out", () => {
  const tree = treeOf(sampleContent(3 * PIECE_BYTES));
  const isAsBefore = (bytes: Uint8Array, before: Uint8Array) => bytes.toHex() === before.toHex();
  fc.assert(
    fc.property(mutationsOf(fc.constant(tree.pieces)), (pieces) => {
      return arePieces(pieces, tree, sha256) === isAsBefore(pieces, tree.pieces);
    }),
    { numRuns: 200 },
  );
  const proof = provePiece(tree.pieces, 1, sha256)!;
  const hash = tree.pieces.slice(HASH_BYTES, 2 * HASH_BYTES);
  fc.assert(
    fc.property(mutationsOf(fc.constant(proof)), (changed) => {
      return isProven(hash, { index: 1, proof: changed }, tree, sha256) === isAsBefore(changed, proof);
    }),
    { numRuns: 200 },
  );
});
