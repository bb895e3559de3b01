import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../testing/fuzz.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import type { Bytes } from "./primitives.ts";
import {
  FALSE,
  INCOMPLETE,
  MAX_RECORD_BYTES,
  MAX_TEXT_BYTES,
  RECORD_OVERHEAD_BYTES,
  recordBytes,
  RecordOpener,
  RecordSealer,
  textAt,
} from "./sealed_stream.ts";
import { Slab } from "./slab.ts";
import { portableWireGuardCrypto as suite } from "./wireguard/crypto.ts";

const random = new SeededRandom(11);

function newKey(): Bytes {
  return random.fill(new Uint8Array(32));
}

/** Both ends of one direction. */
function direction(): { sealer: RecordSealer; opener: RecordOpener } {
  const key = newKey();
  return { sealer: new RecordSealer(suite, key.slice()), opener: new RecordOpener(suite, key) };
}

/** The record of a text. */
function sealed(sealer: RecordSealer, text: Uint8Array): Uint8Array {
  const slab = new Slab(text.length + RECORD_OVERHEAD_BYTES);
  return slab.bytes.slice(0, sealer.seal(text, slab, 0));
}

/** What is made of bytes that have come: the text, or why there is none. */
function opened(opener: RecordOpener, bytes: Uint8Array): Uint8Array | number {
  const slab = new Slab(bytes.length);
  slab.bytes.set(bytes);
  const length = opener.open(slab, 0, bytes.length);
  return length < 0 ? length : slab.bytes.slice(textAt(0), textAt(0) + length);
}

Deno.test("texts of any length come out as they went in, one record after another", () => {
  const { sealer, opener } = direction();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (text) => {
    assertEquals(opened(opener, sealed(sealer, text)), text);
  }));
  for (const length of [0, 1, MAX_TEXT_BYTES - 1, MAX_TEXT_BYTES]) {
    const record = sealed(sealer, new Uint8Array(length));
    assertEquals(record.length, length + RECORD_OVERHEAD_BYTES);
    assertEquals((opened(opener, record) as Uint8Array).length, length);
  }
});

Deno.test("records lie next to each other at any place of a slab", () => {
  const { sealer, opener } = direction();
  const slab = new Slab(2000);
  const texts = [5, 0, 77, 1, 300].map((length) => random.fill(new Uint8Array(length)));
  let end = 3;
  for (const text of texts) end = sealer.seal(text, slab, end);
  let at = 3;
  for (const text of texts) {
    const length = opener.open(slab, at, end);
    assertEquals(slab.bytes.slice(textAt(at), textAt(at) + length), text);
    at += length + RECORD_OVERHEAD_BYTES;
  }
  assertEquals(at, end);
});

Deno.test("every prefix of a record asks for more and changes nothing", () => {
  const { sealer, opener } = direction();
  const record = sealed(sealer, Uint8Array.of(1, 2, 3));
  for (let end = 0; end < record.length; end++) assertEquals(opened(opener, record.subarray(0, end)), INCOMPLETE);
  assertEquals(opened(opener, record), Uint8Array.of(1, 2, 3));
});

Deno.test("a length that no record has is false before anything of it has come", () => {
  for (const length of [0, 1, 15, MAX_RECORD_BYTES - 1, 0xffff]) {
    const slab = new Slab(4);
    slab.bytes.set([length >>> 8, length]);
    assertEquals(recordBytes(slab, 0, 2), FALSE, `${length}`);
  }
});

Deno.test("a record with any bit changed, out of turn, or of the other direction is false", () => {
  const record = sealed(direction().sealer, Uint8Array.of(1, 2, 3));
  const key = newKey();
  const make = () => new RecordOpener(suite, key.slice());
  const sealer = new RecordSealer(suite, key.slice());
  const [first, second] = [sealed(sealer, Uint8Array.of(7)), sealed(sealer, Uint8Array.of(8))];
  for (let bit = 0; bit < first.length * 8; bit++) {
    const changed = first.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert(typeof opened(make(), changed) === "number", `bit ${bit}`);
  }
  assertEquals(opened(make(), second), FALSE);
  assertEquals(opened(make(), record), FALSE);
  const opener = make();
  assertEquals(opened(opener, first), Uint8Array.of(7));
  assertEquals(opened(opener, first), FALSE);
});

Deno.test("keys are replaced on both sides at the same record, and the old one opens nothing after", () => {
  const key = newKey();
  const sealer = new RecordSealer(suite, key.slice());
  const opener = new RecordOpener(suite, key.slice());
  const slab = new Slab(64);
  for (let record = 0; record < 65_536; record++) {
    const end = sealer.seal(Uint8Array.of(1), slab, 0);
    assertEquals(opener.open(slab, 0, end), 1);
  }
  const end = sealer.seal(Uint8Array.of(9), slab, 0);
  using old = suite.aead(key);
  const copy = new Slab(slab.bytes.buffer.slice(0));
  assert(!old.open(copy, textAt(0), end - textAt(0), 65_536));
  assertEquals(opener.open(slab, 0, end), 1);
  assertEquals(slab.bytes[textAt(0)], 9);
});

Deno.test("an opener survives any bytes and mutated records", () => {
  const check = (bytes: Uint8Array) => {
    const { opener } = direction();
    assert(typeof opened(opener, bytes) === "number");
  };
  fc.assert(fc.property(anyBytes(), check));
  const record = fc.uint8Array({ maxLength: 50 }).map((text) => sealed(direction().sealer, text));
  fc.assert(fc.property(mutationsOf(record), check));
});
