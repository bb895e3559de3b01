import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { crc32 } from "node:zlib";
import { Slab } from "../slab.ts";
import { anyBytes } from "../../testing/fuzz.ts";
import { CASTAGNOLI_POLYNOMIAL, makeCrc32 } from "./crc32.ts";

/** Check values of "123456789": tests/vectors/README.md. */
Deno.test("CRC-32 by both polynomials gives their check values", () => {
  const slab = new Slab(12);
  slab.bytes.set(new TextEncoder().encode("123456789"));
  assertEquals(makeCrc32()(slab, 0, 9), 0xcbf43926);
  assertEquals(makeCrc32(CASTAGNOLI_POLYNOMIAL)(slab, 0, 9), 0xe3069283);
});

Deno.test("CRC-32 is zlib's for any bytes, wherever they lie", () => {
  const ours = makeCrc32();
  const slab = new Slab(2048);
  fc.assert(fc.property(anyBytes(1500), fc.nat(9), (bytes, start) => {
    slab.bytes.set(bytes, start);
    assertEquals(ours(slab, start, start + bytes.length), crc32(bytes));
  }));
});
