import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { anyBytes, assertDecoderSurvives, mutationsOf, piecesOf } from "./fuzz.ts";

const message = Uint8Array.of(5, 1, 0, 3, 11, 22, 33, 44);

Deno.test("pieces joined are the whole, and cuts do happen", () => {
  let most = 0;
  fc.assert(fc.property(piecesOf(anyBytes(64)), (pieces) => {
    most = Math.max(most, pieces.length);
    return pieces.every((piece) => piece instanceof Uint8Array);
  }));
  assert(most > 5);
  fc.assert(fc.property(piecesOf(fc.constant(message)), (pieces) => {
    assertEquals(pieces.flatMap((piece) => [...piece]), [...message]);
  }));
});

Deno.test("mutations make messages shorter, longer and different, and leave the original alone", () => {
  const original = message.slice();
  const lengths = new Set<number>();
  const texts = new Set<string>();
  fc.assert(
    fc.property(mutationsOf(fc.constant(message)), (mutated) => {
      lengths.add(mutated.length);
      texts.add(mutated.join());
    }),
    { numRuns: 500 },
  );
  assert(Math.min(...lengths) < message.length && Math.max(...lengths) > message.length);
  assert(texts.size > 100);
  assertEquals(message, original);
});

Deno.test("mutations of an empty message are messages", () => {
  fc.assert(fc.property(mutationsOf(fc.constant(new Uint8Array(0))), (mutated) => mutated.length <= 64));
});

Deno.test("a decoder that throws, or writes to its input, is found out", () => {
  assertDecoderSurvives((bytes) => bytes.length > 3 ? bytes[3] : undefined, { valid: fc.constant(message) });
  assertThrows(() =>
    assertDecoderSurvives((bytes) => {
      if (bytes[0] === 5 && bytes[3] === 0xff) throw new Error("deep inside");
    }, { valid: fc.constant(message) })
  );
  assertThrows(() => assertDecoderSurvives((bytes) => bytes.fill(7)));
});
