import { assert, assertEquals, assertThrows } from "@std/assert";
import { Slab } from "../protocol/slab.ts";
import { Iovec, MAX_PIECES } from "./iovec.ts";
import { IOVEC, putU64 } from "./layout.ts";
import { addressOf } from "./libc.ts";

/** The pieces as the kernel reads them. */
function entries(iovec: Iovec): { base: bigint; length: bigint }[] {
  const view = new DataView(iovec.entries.buffer);
  return Array.from({ length: iovec.count }, (_, index) => ({
    base: view.getBigUint64(index * IOVEC.size + IOVEC.base, true),
    length: view.getBigUint64(index * IOVEC.size + IOVEC.length, true),
  }));
}

Deno.test("pieces of several slabs lie at their addresses, and clearing forgets them", () => {
  const [one, other] = [new Slab(100), new Slab(200)];
  const iovec = new Iovec(3);
  assert(iovec.add(one, 3, 10) && iovec.add(other, 199, 1) && iovec.add(one, 100, 0));
  assertEquals(entries(iovec), [
    { base: addressOf(one.bytes) + 3n, length: 10n },
    { base: addressOf(other.bytes) + 199n, length: 1n },
    { base: addressOf(one.bytes) + 100n, length: 0n },
  ]);
  assertEquals(iovec.bytes, 11);
  iovec.clear();
  assertEquals([iovec.count, iovec.bytes], [0, 0]);
});

Deno.test("a piece outside its slab, or one too many, is refused", () => {
  const slab = new Slab(100), iovec = new Iovec(1);
  for (const [offset, length] of [[-1, 5], [0, 101], [96, 5], [0, -1], [NaN, 1], [0, NaN]] as const) {
    assert(!iovec.add(slab, offset, length), `${offset}, ${length}`);
  }
  assert(iovec.add(slab, 0, 100));
  assert(!iovec.add(slab, 0, 1));
  assertThrows(() => new Iovec(MAX_PIECES + 1), RangeError, "its capacity must be 1 to 1024");
});

Deno.test("the front of the first piece can be left out, as far as it goes", () => {
  const slab = new Slab(100), iovec = new Iovec();
  assert(!iovec.dropFront(1));
  iovec.add(slab, 8, 12);
  assert(!iovec.dropFront(13));
  assert(iovec.dropFront(10));
  assertEquals(entries(iovec), [{ base: addressOf(slab.bytes) + 18n, length: 2n }]);
  assertEquals(iovec.bytes, 2);
});

Deno.test("numbers up to 2^53 are written as 64 bits", () => {
  const view = new DataView(new ArrayBuffer(8));
  for (const value of [0, 1, 0xffff_ffff, 0x1_0000_0000, 0x7fff_1234_5678, 2 ** 53 - 1]) {
    putU64(view, 0, value);
    assertEquals(view.getBigUint64(0, true), BigInt(value));
  }
});
