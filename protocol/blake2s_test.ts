import { assertEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { blake2s as nobleBlake2s } from "@noble/hashes/blake2.js";
import { piecesOf } from "../testing/fuzz.ts";
import { Blake2s } from "./blake2s.ts";

function digest(input: Uint8Array, outputBytes: number, key?: Uint8Array): string {
  const into = new Uint8Array(outputBytes);
  new Blake2s().start(outputBytes, key).update(input).finish(into);
  return encodeHex(into);
}

Deno.test("BLAKE2s-256 of abc is that of RFC 7693 appendix B", () => {
  assertEquals(
    encodeHex(new Blake2s().hash(new TextEncoder().encode("abc"))),
    "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
  );
});

Deno.test("the grand hash of RFC 7693 appendix E comes out", () => {
  const grand = new Blake2s().start(32);
  for (const outputBytes of [16, 20, 28, 32]) {
    for (const inputBytes of [0, 3, 64, 65, 255, 1024]) {
      const input = sequence(inputBytes, inputBytes);
      const into = new Uint8Array(outputBytes);
      new Blake2s().start(outputBytes).update(input).finish(into);
      grand.update(into);
      new Blake2s().start(outputBytes, sequence(outputBytes, outputBytes)).update(input).finish(into);
      grand.update(into);
    }
  }
  const into = new Uint8Array(32);
  grand.finish(into);
  assertEquals(encodeHex(into), "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe");
});

/** The appendix's way to make input: a Fibonacci generator. */
function sequence(length: number, seed: number): Uint8Array {
  let a = Math.imul(0xdead4bad, seed) >>> 0;
  let b = 1;
  return Uint8Array.from({ length }, () => {
    const next = (a + b) >>> 0;
    a = b;
    b = next;
    return next >>> 24;
  });
}

Deno.test("every length of input, output and key gives what noble gives", () => {
  for (let length = 0; length <= 300; length++) {
    const input = sequence(length, 7);
    const outputBytes = 1 + length % 32;
    const key = sequence(1 + length % 32, 9);
    assertEquals(digest(input, outputBytes), encodeHex(nobleBlake2s(input, { dkLen: outputBytes })), `${length}`);
    const keyed = encodeHex(nobleBlake2s(input, { dkLen: outputBytes, key }));
    assertEquals(digest(input, outputBytes, key), keyed, `${length}, keyed`);
  }
});

Deno.test("input may come in any pieces, and a hasher can be used again", () => {
  const hasher = new Blake2s();
  const arbitrary = piecesOf(fc.uint8Array({ maxLength: 400, size: "max" }));
  fc.assert(fc.property(arbitrary, (pieces) => {
    const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
    hasher.start(32);
    for (const piece of pieces) hasher.update(piece);
    const into = new Uint8Array(40);
    hasher.finish(into, 4);
    assertEquals(encodeHex(into), "00000000" + encodeHex(nobleBlake2s(whole)) + "00000000");
  }));
});

Deno.test("a part of a larger buffer is hashed as if it were alone", () => {
  const buffer = sequence(200, 3);
  const into = new Uint8Array(32);
  new Blake2s().start(32).update(buffer, 13, 150).finish(into);
  assertEquals(encodeHex(into), digest(buffer.slice(13, 150), 32));
});
