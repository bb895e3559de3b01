import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { complement, fold, ipv4HeaderSum, sumBytes, swap16, swapWords } from "./checksum.ts";
import { MAX_SUM_BYTES, PacketSlab } from "./packet_slab.ts";

Deno.test("the example of RFC 1071 §3 sums to ddf2, in the other byte order here", () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assertEquals(swap16(sumBytes(bytes, 0, bytes.length)), 0xddf2);
});

Deno.test("an IPv4 header with a right checksum sums to ones", () => {
  // From Wikipedia's article "Internet checksum": the checksum is b861.
  const header = "45000073000040004011b861c0a80001c0a800c7".match(/../g)!.map((byte) => parseInt(byte, 16));
  const slab = new PacketSlab(64);
  slab.bytes.set(header, 4);
  assertEquals(ipv4HeaderSum(slab, 4), 0xffff);
  slab.view.setUint16(4 + 10, 0);
  assertEquals(swap16(complement(ipv4HeaderSum(slab, 4))), 0xb861);
});

Deno.test("numbers count in a sum as their bytes do", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    assertEquals(fold(swapWords(value)), sumBytes(bytes, 0, 4));
  }));
});

Deno.test("the vector sum equals its slow twin at every length and alignment", () => {
  const slab = new PacketSlab(4096);
  for (let at = 0; at < slab.size; at++) slab.bytes[at] = (at * 2654435761) >>> 13;
  for (let length = 0; length < 300; length++) {
    for (let at = 0; at < 8; at++) assertEquals(slab.sum(at, length), sumBytes(slab.bytes, at, length));
  }
});

Deno.test("copying and summing copies exactly the region and sums it", () => {
  const slab = new PacketSlab(4096);
  const region = fc.record({
    bytes: fc.uint8Array({ maxLength: 400 }),
    from: fc.integer({ min: 0, max: 9 }),
    to: fc.integer({ min: 1000, max: 1009 }),
  });
  fc.assert(fc.property(region, ({ bytes, from, to }) => {
    slab.bytes.fill(0xaa);
    slab.bytes.set(bytes, from);
    assertEquals(slab.copySum(to, from, bytes.length), sumBytes(bytes, 0, bytes.length));
    assertEquals(slab.bytes.slice(to, to + bytes.length), bytes);
    assertEquals(slab.bytes[to - 1], 0xaa);
    assertEquals(slab.bytes[to + bytes.length], 0xaa);
  }));
});

Deno.test("ones throughout the longest region do not overflow the sum", () => {
  const slab = new PacketSlab(MAX_SUM_BYTES);
  slab.bytes.fill(0xff);
  assertEquals(slab.sum(0, MAX_SUM_BYTES), 0xffff);
});
