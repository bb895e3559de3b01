import { assert, assertEquals } from "@std/assert";
import { decodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { Slab } from "../slab.ts";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { SegmentReader } from "./segment_reader.ts";

const V4 = "45b800390000400040064dd0c0000201c63364029c41270f408430fb408436728018fffff3e000000101080a4084307b40843048" +
  "0102030405";
const V6 =
  "6b8000000025064020010db800000000000000000000000120010db80000000000000000000000029c41270f408430fb4084367280" +
  "18ffff84a300000101080a4084307b408430480102030405";

const packets = [
  { name: "IPv4", hex: V4, expected: true },
  { name: "IPv6", hex: V6, expected: true },
  { name: "nothing", hex: "", expected: false },
  { name: "an IPv4 header alone", hex: V4.slice(0, 40), expected: false },
  { name: "half a TCP header", hex: V4.slice(0, 60), expected: false },
  { name: "a packet cut short", hex: V4.slice(0, -2), expected: false },
  { name: "UDP", hex: V4.slice(0, 18) + "11" + V4.slice(20), expected: false },
  { name: "a fragment", hex: V4.slice(0, 12) + "0001" + V4.slice(16), expected: false },
  { name: "a first fragment", hex: V4.slice(0, 12) + "2000" + V4.slice(16), expected: false },
  { name: "an IPv4 header of four words", hex: "44" + V4.slice(2), expected: false },
  { name: "a TCP header of four words", hex: V4.slice(0, 64) + "40" + V4.slice(66), expected: false },
  { name: "a TCP header beyond the packet", hex: V4.slice(0, 64) + "f0" + V4.slice(66), expected: false },
  { name: "IPv6 with a header in between", hex: V6.slice(0, 12) + "00" + V6.slice(14), expected: false },
  { name: "version 5", hex: "55" + V4.slice(2), expected: false },
];

for (const { name, hex, expected } of packets) {
  Deno.test(`a segment is read, or not: ${name}`, () => {
    const { slab, length } = laid(decodeHex(hex));
    const reader = new SegmentReader();
    assertEquals(reader.read(slab, 0, length), expected);
    if (!expected) return;
    assertEquals([reader.sourcePort, reader.destinationPort, reader.flags], [40_001, 9999, 0x18]);
    assertEquals(reader.payloadEnd - reader.payloadAt, 5);
    assertEquals(slab.view.getUint32(reader.timestampAt(slab)), 0x4084307b);
  });
}

Deno.test("what lies behind the packet, as on short Ethernet frames, is no payload", () => {
  const { slab, length } = laid(decodeHex(V4 + "000000"));
  const reader = new SegmentReader();
  assert(reader.read(slab, 0, length));
  assertEquals(reader.payloadEnd, length - 3);
});

Deno.test("a timestamp is found behind other options, and not where there is none", () => {
  const withOptions = (options: string) => {
    const offset = (5 + options.length / 8).toString(16) + "0";
    const total = (40 + options.length / 2).toString(16).padStart(4, "0");
    return V4.slice(0, 4) + total + V4.slice(8, 64) + offset + V4.slice(66, 80) + options;
  };
  const cases = [
    { options: "020405b40402080a1122334400000000" + "01030308", expected: 0x11223344 },
    { options: "0101080a" + "1122334400000000", expected: 0x11223344 },
    { options: "00000000", expected: -1 },
    { options: "02000000", expected: -1 },
    { options: "080a1122", expected: -1 },
    { options: "01010101", expected: -1 },
  ];
  const reader = new SegmentReader();
  for (const { options, expected } of cases) {
    const { slab, length } = laid(decodeHex(withOptions(options)));
    assert(reader.read(slab, 0, length), options);
    const at = reader.timestampAt(slab);
    assertEquals(at < 0 ? -1 : slab.view.getUint32(at), expected, options);
  }
});

Deno.test("any bytes, and packets with something done to them, are read within their bounds or not at all", () => {
  const valid = fc.constantFrom(decodeHex(V4), decodeHex(V6)).map((bytes) => new Uint8Array(bytes));
  const reader = new SegmentReader();
  fc.assert(fc.property(fc.oneof(anyBytes(), mutationsOf(valid)), (bytes) => {
    const { slab, length } = laid(bytes);
    if (!reader.read(slab, 0, length)) return;
    assert(reader.tcpAt + 20 <= reader.payloadAt && reader.payloadAt <= reader.payloadEnd);
    assert(reader.payloadEnd <= length);
    const at = reader.timestampAt(slab);
    assert(at === -1 || at + 8 <= reader.payloadAt);
  }));
});

function laid(bytes: Uint8Array): { slab: Slab; length: number } {
  const slab = new Slab(bytes.length);
  slab.bytes.set(bytes);
  return { slab, length: bytes.length };
}
