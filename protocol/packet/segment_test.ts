import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import {
  ACK,
  big16,
  big32,
  CWR,
  faultOf,
  FIN,
  makeOffloaded,
  makePacket,
  type PacketFields,
  payloadOf,
  PSH,
  transportAt,
  virtio,
} from "./fixtures/packets.ts";
import { PacketSlab } from "./packet_slab.ts";
import { REFUSED, Segmenter, SPLIT, WHOLE } from "./segment.ts";

const READ_AT = 6;
const OUT = 96 * 1024;
const OUT_BYTES = 96 * 1024;
const LAYOUT = { lead: 16, tail: 16, padding: 16, mtu: 1420 };

function fixture(): { slab: PacketSlab; segmenter: Segmenter } {
  const slab = new PacketSlab(OUT + OUT_BYTES);
  return { slab, segmenter: new Segmenter(slab, LAYOUT) };
}

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31) >> 3);
}

/** All packets that come of one read, laid out in batches. */
function segmentsOf(
  { slab, segmenter }: ReturnType<typeof fixture>,
  read: Uint8Array,
  batch = { segments: 64, bytes: OUT_BYTES },
): Uint8Array[] {
  slab.bytes.set(read, READ_AT);
  assertEquals(segmenter.begin(READ_AT, read.length), SPLIT);
  const packets: Uint8Array[] = [];
  while (segmenter.next(OUT, batch.segments, batch.bytes) > 0) {
    for (let index = 0; index < segmenter.count; index++) {
      const at = OUT + index * segmenter.stride + LAYOUT.lead;
      const length = index === segmenter.count - 1 ? segmenter.lastLength : segmenter.firstLength;
      packets.push(slab.bytes.slice(at, at + length));
    }
  }
  return packets;
}

const cases: { name: string; fields: Omit<PacketFields, "payload">; payloadBytes: number; segmentBytes: number }[] = [
  { name: "TCP over IPv4", fields: { version: 4, protocol: "tcp" }, payloadBytes: 60_000, segmentBytes: 1380 },
  { name: "TCP over IPv6", fields: { version: 6, protocol: "tcp" }, payloadBytes: 60_000, segmentBytes: 1360 },
  { name: "UDP over IPv4", fields: { version: 4, protocol: "udp" }, payloadBytes: 30_000, segmentBytes: 1200 },
  { name: "UDP over IPv6", fields: { version: 6, protocol: "udp" }, payloadBytes: 30_000, segmentBytes: 1200 },
  {
    name: "TCP with timestamps",
    fields: { version: 4, protocol: "tcp", tcpOptions: Uint8Array.of(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8) },
    payloadBytes: 65_535 - 52,
    segmentBytes: 1368,
  },
  {
    name: "IPv4 with options",
    fields: { version: 4, protocol: "tcp", ipOptions: Uint8Array.of(1, 1, 1, 0) },
    payloadBytes: 5000,
    segmentBytes: 1376,
  },
  {
    name: "IPv6 with an extension header",
    fields: { version: 6, protocol: "tcp", extensionHeader: true },
    payloadBytes: 5000,
    segmentBytes: 1352,
  },
  { name: "an odd segment size", fields: { version: 4, protocol: "tcp" }, payloadBytes: 4001, segmentBytes: 333 },
  { name: "segments of one byte", fields: { version: 6, protocol: "udp" }, payloadBytes: 70, segmentBytes: 1 },
  { name: "one segment only", fields: { version: 4, protocol: "tcp" }, payloadBytes: 100, segmentBytes: 1380 },
  { name: "a jumbo MTU's segments", fields: { version: 4, protocol: "tcp" }, payloadBytes: 60_000, segmentBytes: 8880 },
];

for (const { name, fields, payloadBytes, segmentBytes } of cases) {
  Deno.test(`every segment is a right packet and the payloads are the original: ${name}`, () => {
    const payload = bytesOf(payloadBytes);
    const packets = segmentsOf(fixture(), makeOffloaded({ ...fields, payload }, segmentBytes));
    assertEquals(packets.map(faultOf).filter(Boolean), []);
    assertEquals(packets.length, Math.ceil(payloadBytes / segmentBytes));
    assertEquals(Uint8Array.from(packets.flatMap((packet) => [...payloadOf(packet)])), payload);
    assert(packets.slice(0, -1).every((packet) => payloadOf(packet).length === segmentBytes));
  });
}

Deno.test("segments are the packets that a sender without offload would have sent", () => {
  const fields = {
    version: 4,
    protocol: "tcp",
    id: 0xffff,
    sequence: 0xfffffff0,
    flags: ACK | PSH | FIN | CWR,
  } as const;
  const payload = bytesOf(100);
  const packets = segmentsOf(fixture(), makeOffloaded({ ...fields, payload }, 40));
  const byHand = [
    { ...fields, flags: ACK | CWR, payload: payload.subarray(0, 40) },
    { ...fields, flags: ACK, id: 0, sequence: 0x18, payload: payload.subarray(40, 80) },
    { ...fields, flags: ACK | PSH | FIN, id: 1, sequence: 0x40, payload: payload.subarray(80) },
  ];
  assertEquals(packets, byHand.map((each) => makePacket(each)));
});

Deno.test("a run of segments stops at its bounds and goes on where it stopped", () => {
  const payload = bytesOf(65_495);
  const read = makeOffloaded({ version: 4, protocol: "tcp", payload }, 1380);
  const kit = fixture();
  kit.slab.bytes.set(read, READ_AT);
  kit.segmenter.begin(READ_AT, read.length);
  const runs: number[][] = [];
  while (kit.segmenter.next(OUT, 64, 65_000) > 0) {
    const { count, stride, firstLength, lastLength } = kit.segmenter;
    runs.push([count, stride, firstLength, lastLength]);
  }
  assertEquals(runs, [[44, 1452, 1420, 1420], [4, 1452, 1420, 40 + 65_495 - 47 * 1380]]);
  assertEquals(segmentsOf(kit, read, { segments: 7, bytes: 5000 }), segmentsOf(kit, read));
});

Deno.test("nothing is laid out when not one segment fits", () => {
  const { slab, segmenter } = fixture();
  const read = makeOffloaded({ version: 4, protocol: "tcp", payload: bytesOf(3000) }, 1000);
  slab.bytes.set(read, READ_AT);
  segmenter.begin(READ_AT, read.length);
  assertEquals(segmenter.next(OUT, 64, 16 + 1040 + 15), 0);
  assertEquals(segmenter.next(slab.size - 100, 64, 65_000), 0);
  assertEquals(segmenter.next(OUT, 64, 16 + 1040 + 16), 1);
});

for (
  const [packetLength, mtu, datagramBytes] of [
    [1, 1420, 48],
    [16, 1420, 48],
    [17, 1420, 64],
    [1420, 1420, 1452],
    [
      1409,
      1420,
      1452,
    ],
    [1500, 1420, 1532],
    [1280, 1280, 1312],
  ] as const
) {
  Deno.test(`a packet of ${packetLength} bytes at MTU ${mtu} takes ${datagramBytes}`, () => {
    const segmenter = new Segmenter(new PacketSlab(0), { ...LAYOUT, mtu });
    assertEquals(segmenter.datagramBytes(packetLength), datagramBytes);
  });
}

for (const version of [4, 6] as const) {
  for (const protocol of ["tcp", "udp"] as const) {
    Deno.test(`a single packet's checksum is finished where it lies: ${protocol} over IPv${version}`, () => {
      const { slab, segmenter } = fixture();
      const fields = { version, protocol, payload: bytesOf(77) };
      const packet = makePacket(fields, "partial");
      const start = transportAt(packet);
      slab.bytes.set([...virtio(1, 0, 0, 0, start, protocol === "tcp" ? 16 : 6), ...packet], READ_AT);
      assertEquals(segmenter.begin(READ_AT, 10 + packet.length), WHOLE);
      const { packetAt, packetLength } = segmenter;
      assertEquals(slab.bytes.slice(packetAt, packetAt + packetLength), makePacket(fields));
      assertEquals(segmenter.next(OUT, 64, 65_000), 0);
    });
  }
}

Deno.test("a packet without work to do is left alone", () => {
  const { slab, segmenter } = fixture();
  const packet = makePacket({ version: 4, protocol: "udp", payload: bytesOf(9) });
  slab.bytes.set([...virtio(0, 0), ...packet], READ_AT);
  assertEquals(segmenter.begin(READ_AT, 10 + packet.length), WHOLE);
  assertEquals(slab.bytes.slice(READ_AT + 10, READ_AT + 10 + packet.length), packet);
});

const tcp = makeOffloaded({ version: 4, protocol: "tcp", payload: bytesOf(100) }, 50);
const changed = (changes: Record<number, number>) => tcp.map((byte, at) => changes[at] ?? byte);
for (
  const { name, read } of [
    { name: "nothing but the virtio header", read: tcp.subarray(0, 10) },
    { name: "no version anyone knows", read: changed({ 10: 0x55 }) },
    { name: "a segment size of zero", read: changed({ 4: 0, 5: 0 }) },
    { name: "the older UDP fragmentation", read: changed({ 1: 3 }) },
    { name: "TCP over the other IP", read: changed({ 1: 4 }) },
    { name: "to be split, but not to be summed", read: changed({ 0: 0 }) },
    { name: "a checksum start other than the header's end", read: changed({ 6: 24 }) },
    { name: "a checksum behind the packet's end", read: changed({ 1: 0, 8: 0xff }) },
    { name: "a TCP header that is too short", read: changed({ 42: 0x40 }) },
    { name: "a TCP header beyond the packet", read: changed({ 42: 0xf0 }).subarray(0, 10 + 50) },
    { name: "headers only", read: tcp.subarray(0, 10 + 40) },
  ]
) {
  Deno.test(`refused: ${name}`, () => {
    const { slab, segmenter } = fixture();
    slab.bytes.set(read, READ_AT);
    assertEquals(segmenter.begin(READ_AT, read.length), REFUSED);
    assertEquals(segmenter.next(OUT, 64, 65_000), 0);
  });
}

Deno.test("whatever was read, nothing throws and nothing is written outside the region", () => {
  const kit = fixture();
  const valid = fc.constantFrom<Uint8Array>(
    ...cases.map(({ fields, segmentBytes }) => makeOffloaded({ ...fields, payload: bytesOf(2000) }, segmentBytes)),
  );
  fc.assert(
    fc.property(fc.oneof(anyBytes(200), mutationsOf(valid)), (read) => {
      kit.slab.bytes.fill(0x5a);
      kit.slab.bytes.set(read, READ_AT);
      if (kit.segmenter.begin(READ_AT, read.length) === SPLIT) {
        while (kit.segmenter.next(OUT, 8, 4000) > 0) {
          assert(
            (kit.segmenter.count - 1) * kit.segmenter.stride + kit.segmenter.datagramBytes(kit.segmenter.lastLength) <=
              4000,
          );
        }
      }
      assert(kit.slab.bytes.subarray(READ_AT + read.length, OUT).every((byte) => byte === 0x5a));
      assert(kit.slab.bytes.subarray(OUT + 4000).every((byte) => byte === 0x5a));
    }),
    { numRuns: 300 },
  );
});

for (const padding of [0, 12, 1.5]) {
  Deno.test(`packets are not padded to a multiple of ${padding}`, () => {
    assertThrows(() => new Segmenter(new PacketSlab(0), { ...LAYOUT, padding }), RangeError, `got ${padding}`);
  });
}

Deno.test("what the next segment takes is known before it is laid out", () => {
  const { slab, segmenter } = fixture();
  const read = makeOffloaded({ version: 4, protocol: "tcp", payload: bytesOf(1500) }, 1000);
  slab.bytes.set(read, READ_AT);
  segmenter.begin(READ_AT, read.length);
  assertEquals(segmenter.nextDatagramBytes, 16 + 1040 + 16);
  segmenter.next(OUT, 1, 65_000);
  assertEquals(segmenter.nextDatagramBytes, 16 + 544 + 16);
});

Deno.test("sequence numbers and ids go on from batch to batch", () => {
  const read = makeOffloaded({ version: 4, protocol: "tcp", sequence: 5, id: 7, payload: bytesOf(100) }, 10);
  const packets = segmentsOf(fixture(), read, { segments: 3, bytes: OUT_BYTES });
  assertEquals(packets.map((packet) => big32(packet, 24)), [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]);
  assertEquals(packets.map((packet) => big16(packet, 4)), [7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
});
