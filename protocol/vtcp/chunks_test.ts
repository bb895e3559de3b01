import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, piecesOf } from "../../testing/fuzz.ts";
import { CHUNK_HEAD_BYTES, ChunkReader, END_CHUNK, MAX_CHUNK_BYTES, putChunkHead } from "./chunks.ts";

function chunked(parts: readonly Uint8Array[]): Uint8Array {
  const all: number[] = [];
  for (const part of parts.filter(({ length }) => length > 0)) {
    const head = new Uint8Array(CHUNK_HEAD_BYTES);
    putChunkHead(head, part.length);
    all.push(...head, ...part);
  }
  return Uint8Array.from([...all, ...END_CHUNK]);
}

Deno.test("what is put into chunks comes out, wherever it is cut", () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
  const cut = parts.chain((list) => fc.tuple(fc.constant(list), piecesOf(fc.constant(chunked(list)))));
  fc.assert(fc.property(cut, ([list, pieces]) => {
    const reader = new ChunkReader();
    const got = pieces.flatMap((piece) => [...piece.subarray(0, reader.take(piece, piece.length))]);
    assertEquals(got, list.flatMap((part) => [...part]));
    assertEquals([reader.hasEnded, reader.isBad], [true, false]);
  }));
});

Deno.test("what follows the end, and a chunk that is too long, are bad", () => {
  const long = new Uint8Array(CHUNK_HEAD_BYTES + 1);
  putChunkHead(long, MAX_CHUNK_BYTES + 1);
  for (const bytes of [Uint8Array.from([...END_CHUNK, 1]), long]) {
    const reader = new ChunkReader();
    assertEquals(reader.take(bytes, bytes.length), 0);
    assertEquals(reader.isBad, true);
  }
});

Deno.test("any bytes are survived, and never more comes out than went in", () => {
  fc.assert(fc.property(fc.array(anyBytes(200), { maxLength: 5 }), (pieces) => {
    const reader = new ChunkReader();
    for (const piece of pieces) if (reader.take(piece, piece.length) > piece.length) return false;
    return true;
  }));
});
