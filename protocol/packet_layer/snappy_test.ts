import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Slab } from "../slab.ts";
import {
  compressSnappy,
  decompressSnappy,
  MAX_SNAPPY_BLOCK_BYTES,
  MAX_SNAPPY_COMPRESSED_BYTES,
  SnappyTable,
} from "./snappy_block.ts";
import { SnappyReader, SnappyScratch, SnappyWriter } from "./snappy_frames.ts";

const table = new SnappyTable();
const scratch = new SnappyScratch();

function compress(text: Uint8Array): Uint8Array {
  const from = new Slab(MAX_SNAPPY_BLOCK_BYTES);
  from.bytes.fill(0x55);
  from.bytes.set(text);
  const into = new Slab(MAX_SNAPPY_COMPRESSED_BYTES);
  return into.bytes.slice(0, compressSnappy(from, text.length, into, 0, table));
}

function decompress(block: Uint8Array): Uint8Array | undefined {
  const into = new Uint8Array(MAX_SNAPPY_BLOCK_BYTES);
  const length = decompressSnappy(block, 0, block.length, into);
  return length === undefined ? undefined : into.slice(0, length);
}

/** Text with repetitions near and far, and of one byte. */
const someText = fc.array(
  fc.oneof(
    anyBytes(40),
    fc.tuple(fc.nat(255), fc.nat(300)).map(([byte, count]) => new Uint8Array(count).fill(byte)),
    fc.constantFrom("GET / HTTP/1.1\r\n", "abcdefgh", "the same again, ").map((text) => new TextEncoder().encode(text)),
  ),
  { maxLength: 200 },
).map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])));

/** Written by hand after the format's description. */
const BLOCKS = [
  { name: "nothing", block: "00", text: "" },
  { name: "a literal", block: "0308616263", text: "616263" },
  { name: "a short copy that repeats itself", block: "0900611101", text: "61".repeat(9) },
  { name: "a copy with an offset of 16 bits", block: "0604" + "6162" + "0e0200", text: "616261626162" },
  { name: "a copy with an offset of 32 bits", block: "0604" + "6162" + "0f02000000", text: "616261626162" },
  { name: "a literal with its length in a byte", block: "3df03c" + "7a".repeat(61), text: "7a".repeat(61) },
];

for (const { name, block, text } of BLOCKS) {
  Deno.test(`A snappy block is read: ${name}`, () => {
    assertEquals(encodeHex(decompress(decodeHex(block))!), text);
  });
}

const NO_BLOCKS = [
  { name: "empty", block: "" },
  { name: "a length that does not end", block: "808080" },
  { name: "a length beyond 64 KiB", block: "818004" },
  { name: "less text than announced", block: "0408616263" },
  { name: "more text than announced", block: "0208616263" },
  { name: "a literal cut short", block: "03086162" },
  { name: "a copy from before the beginning", block: "0500611502" },
  { name: "a copy from nowhere", block: "0500610d00" },
  { name: "an offset cut short", block: "0600610e01" },
  { name: "a literal of four gigabytes", block: "03fcffffffff616263" },
];

for (const { name, block } of NO_BLOCKS) {
  Deno.test(`A snappy block is refused: ${name}`, () => assertEquals(decompress(decodeHex(block)), undefined));
}

Deno.test("Any text comes back from a snappy block", () => {
  fc.assert(fc.property(fc.oneof(someText, anyBytes(3000)), (text) => {
    const block = compress(text);
    assert(block.length <= MAX_SNAPPY_COMPRESSED_BYTES);
    assertEquals(decompress(block), new Uint8Array(text));
  }));
  const long = new SeededRandom(3).fill(new Uint8Array(MAX_SNAPPY_BLOCK_BYTES));
  assertEquals(decompress(compress(long)), long);
  const repeated = new TextEncoder().encode("all work and no play ".repeat(3000));
  assertEquals(decompress(compress(repeated)), repeated);
  assert(compress(repeated).length < repeated.length / 15);
});

Deno.test("No block breaks the decompressor", () => {
  fc.assert(fc.property(fc.oneof(anyBytes(200), mutationsOf(someText.map(compress))), (block) => {
    const text = decompress(block);
    assert(text === undefined || text.length <= MAX_SNAPPY_BLOCK_BYTES);
  }));
});

/** Writes all of the text through a writer, taken in pieces of that size. */
function frame(text: Uint8Array, pieceBytes = 1306, fillBytes = Infinity): Uint8Array {
  let given = 0;
  const writer = new SnappyWriter(scratch, {
    fill(into) {
      const count = Math.min(into.length, text.length - given, fillBytes);
      into.set(text.subarray(given, given + count));
      given += count;
      return count;
    },
  });
  const pieces: number[] = [];
  const piece = new Uint8Array(pieceBytes);
  for (let length = writer.fill(piece); length > 0; length = writer.fill(piece)) {
    for (let at = 0; at < length; at++) pieces.push(piece[at]!);
  }
  assert(!writer.isHolding);
  return Uint8Array.from(pieces);
}

function unframe(bytes: Uint8Array, pieceBytes = 1306): { text: Uint8Array; fault: string | undefined } {
  const pieces: number[] = [];
  const reader = new SnappyReader(scratch, (text) => {
    for (const byte of text) pieces.push(byte);
  });
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    if (!reader.receive(bytes.subarray(at, at + pieceBytes))) break;
  }
  return { text: Uint8Array.from(pieces), fault: reader.fault };
}

Deno.test("A stream begins with the identifier, once there is something to say", () => {
  assertEquals(frame(new Uint8Array(0)).length, 0);
  // Ten bytes of identifier, then a chunk as it is; its checksum by Python's crc32c, masked.
  assertEquals(
    encodeHex(frame(new TextEncoder().encode("123456789"))),
    "ff060000734e61507059" + "010d0000" + "e5b08ac7313233343536373839",
  );
});

Deno.test("Any text comes back from chunks, in whatever pieces they are taken and given", () => {
  const pieces = fc.integer({ min: 1, max: 5000 });
  fc.assert(fc.property(fc.oneof(someText, anyBytes(9000)), pieces, pieces, pieces, (text, taken, given, filled) => {
    assertEquals(unframe(frame(text, taken, filled), given), { text: new Uint8Array(text), fault: undefined });
  }));
});

const IDENTIFIER = "ff060000734e61507059";
const FAULTS = [
  { name: "no identifier", bytes: "010d0000", fault: "no_identifier" },
  { name: "another identifier", bytes: "ff060000734e61507058", fault: "no_identifier" },
  { name: "an identifier of another length", bytes: "ff070000", fault: "bad_length" },
  { name: "a chunk that may not be passed over", bytes: `${IDENTIFIER}02010000`, fault: "unknown_chunk" },
  { name: "a chunk too short for its checksum", bytes: `${IDENTIFIER}00030000`, fault: "bad_length" },
  { name: "a chunk beyond 64 KiB", bytes: `${IDENTIFIER}01050001`, fault: "bad_length" },
  { name: "a block that is none", bytes: `${IDENTIFIER}000500000000000008`, fault: "bad_block" },
  { name: "a wrong checksum", bytes: `${IDENTIFIER}010500000000000061`, fault: "bad_checksum" },
  { name: "chunks to be passed over", bytes: `${IDENTIFIER}80020000aabbfe01000000${IDENTIFIER}`, fault: undefined },
];

for (const { name, bytes, fault } of FAULTS) {
  Deno.test(`A stream of chunks with ${name}: ${fault ?? "taken"}`, () => {
    for (const pieceBytes of [1, 7, 1000]) assertEquals(unframe(decodeHex(bytes), pieceBytes).fault, fault);
  });
}

Deno.test("No stream of chunks breaks the reader", () => {
  const valid = someText.map((text) => frame(text));
  fc.assert(
    fc.property(fc.oneof(anyBytes(500), mutationsOf(valid)), fc.integer({ min: 1, max: 600 }), (bytes, piece) => {
      unframe(bytes, piece);
    }),
  );
});

/** Length, and elements, that are no block; the room behind what is asked for must stay as it was. */
const badBlocks: Record<string, number[]> = {
  "a literal longer than the text": [3, 3 << 2, 1, 2, 3, 4],
  "a literal that is not all there": [4, 3 << 2, 1, 2, 3],
  "a literal whose length is not all there": [4, 61 << 2, 3],
  "a literal of 4 GiB": [4, 63 << 2, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4],
  "a copy longer than the text": [3, 0, 1, 63 << 2 | 2, 1, 0],
  "a copy of nothing before it": [5, 0 << 2, 7, 0 << 2 | 1, 0],
  "a copy from before the beginning": [5, 0 << 2, 7, 0 << 2 | 1, 2],
  "a copy from far before the beginning": [5, 0 << 2, 7, 3 << 2 | 3, 0xff, 0xff, 0xff, 0xff],
  "a copy whose offset is not all there": [5, 0 << 2, 7, 3 << 2 | 2, 1],
  "less than it says": [5, 0 << 2, 7],
  "a length beyond 64 KiB": [0x81, 0x80, 0x04, 0 << 2, 7],
  "a length that does not end": [0x81, 0x80, 0x80, 0x80, 0x00, 0 << 2, 7],
  "more text than 64 KiB": [0xf0, 0xa2, 0x04, 0, 7, ...Array(1093).fill([63 << 2 | 2, 1, 0]).flat(), 46 << 2 | 2, 1, 0],
  "nothing": [],
};
for (const [name, block] of Object.entries(badBlocks)) {
  Deno.test(`No block: ${name}`, () => {
    const into = new Uint8Array(64 * 1024).fill(0xee);
    // What follows the block in its memory is of no account.
    const from = Uint8Array.of(9, ...block, 0, 0, 0, 0);
    assertEquals(decompressSnappy(from, 1, 1 + block.length, into), undefined);
    assertEquals(into.subarray(block[0] ?? 0).every((byte) => byte === 0xee), true);
  });
}
