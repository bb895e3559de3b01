/** Golden packets made by another program from what is known of each dialect, and what holds for all of them. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { CulvertError } from "../errors.ts";
import { parseIp } from "../ip.ts";
import { fold, ipv4HeaderSum, sumBytes, swap16 } from "../packet/checksum.ts";
import { PacketSlab } from "../packet/packet_slab.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { formatFlags, parseFlags } from "./flags.ts";
import type { FlowEnds } from "./header_template.ts";
import { type LookName, lookNames } from "./look_name.ts";
import { type LookOptions, MAX_HEADER_BYTES, tcpLook } from "./look.ts";
import { SegmentReader } from "./segment_reader.ts";

const UNIX_MS = 1_787_788_800_123;
const PAYLOAD = Uint8Array.of(1, 2, 3, 4, 5);
const AT = 128;
const V4 = ["192.0.2.1", "198.51.100.2"] as const;
const V4_BACK = [V4[1], V4[0]] as const;
const V6 = ["2001:db8::1", "2001:db8::2"] as const;

const goldens: readonly {
  name: string;
  look: LookName;
  side: LookOptions["side"];
  ends: FlowEnds;
  /** Which of the packets to that place. */
  packet: number;
  flags?: readonly string[];
  golden: string;
}[] = [
  {
    name: "paqet, the first",
    look: "paqet",
    side: "client",
    ends: ends(V4, 40_001, 9999),
    packet: 1,
    golden: "45b800390000400040064dd0c0000201c63364029c41270f408430fb408436728018fffff3e00000" +
      "0101080a4084307b408430480102030405",
  },
  {
    name: "paqet, over IPv6",
    look: "paqet",
    side: "client",
    ends: ends(V6, 40_001, 9999),
    packet: 1,
    golden: "6b8000000025064020010db800000000000000000000000120010db8000000000000000000000002" +
      "9c41270f408430fb408436728018ffff84a300000101080a4084307b408430480102030405",
  },
  {
    name: "paqet, the second of flags in turn",
    look: "paqet",
    side: "client",
    ends: ends(V4, 40_001, 9999),
    packet: 2,
    flags: ["PA", "A"],
    golden: "45b800390000400040064dd0c0000201c63364029c41270f4084317b408436f18010fffff2ea0000" +
      "0101080a4084307b408430470102030405",
  },
  {
    name: "paqet, a SYN",
    look: "paqet",
    side: "client",
    ends: ends(V4, 40_001, 9999),
    packet: 3,
    flags: ["S"],
    golden: "45b800410000400040064dc8c0000201c63364029c41270f0000000400000000a002ffff1e690000" +
      "020405b40402080a4084307b00000000010303080102030405",
  },
  {
    name: "paqet, a SYN that acknowledges",
    look: "paqet",
    side: "client",
    ends: ends(V4, 40_001, 9999),
    packet: 4,
    flags: ["PA", "SA"],
    golden: "45b800410000400040064dc8c0000201c63364029c41270f0000000500000006a012ffff1e520000" +
      "020405b40402080a4084307b00000000010303080102030405",
  },
  {
    name: "GFK in Python, the client",
    look: "gfk-py",
    side: "client",
    ends: ends(V4, 40_000, 45_000),
    packet: 3,
    golden: "450000390001000040068e87c0000201c63364029c40afc80000000000000000801820000a6a0000" +
      "0204050003030804020000000102030405",
  },
  {
    name: "GFK in Python, the server",
    look: "gfk-py",
    side: "server",
    ends: ends(V4_BACK, 45_000, 40_000),
    packet: 3,
    golden: "450000390001000040068e87c6336402c0000201afc89c400000000100000000801820000a690000" +
      "0204050003030804020000000102030405",
  },
  {
    name: "GFK in Go",
    look: "gfk-go",
    side: "client",
    ends: ends(V4, 40_003, 45_007),
    packet: 3,
    golden: "4500002d0000400040064e94c0000201c63364029c43afcf00000001000000015018ffff6e750000" +
      "0102030405",
  },
];

for (const { name, look, side, ends, packet, flags, golden } of goldens) {
  Deno.test(`a golden packet: ${name}`, () => {
    const slab = new PacketSlab(65_536);
    const flow = lookOf(look, { side, ...flags && { flags: flags.map(parseFlags) } }).flow(ends);
    slab.bytes.set(PAYLOAD, AT);
    let start = 0;
    for (let count = 0; count < packet; count++) start = flow.wrap(slab, AT, AT + PAYLOAD.length, 0);
    assertEquals(encodeHex(slab.bytes.subarray(start, AT + PAYLOAD.length)), golden);
  });
}

for (const name of lookNames) {
  Deno.test(`${name}: checksums and lengths are right for any payload, and what is written is read`, () => {
    const slab = new PacketSlab(65_536), reader = new SegmentReader();
    const flows = [ends(V4, 40_000, 443), ends(V6, 40_000, 443)].map((each) => lookOf(name).flow(each));
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 1500 }), fc.boolean(), fc.nat(), (payload, isV6, nowMs) => {
        slab.bytes.set(payload, AT);
        const end = AT + payload.length, start = flows[isV6 ? 1 : 0]!.wrap(slab, AT, end, nowMs);
        assert(AT - start <= MAX_HEADER_BYTES);
        assert(reader.read(slab, start, end));
        assertEquals([reader.isV6, reader.payloadAt, reader.payloadEnd], [isV6, AT, end]);
        assertEquals([reader.sourcePort, reader.destinationPort], [40_000, 443]);
        assertEquals(tcpSum(slab, reader, end), 0xffff);
        if (!isV6) assertEquals(ipv4HeaderSum(slab, start), 0xffff);
        assertEquals(slab.bytes.slice(AT, end), payload);
      }),
    );
  });

  Deno.test(`${name}: what one end sends the other takes`, () => {
    const slab = new PacketSlab(65_536), reader = new SegmentReader();
    const start = lookOf(name, { side: "client" }).flow(ends(V4, 1, 2)).wrap(slab, AT, AT + 9, 0);
    assert(reader.read(slab, start, AT + 9));
    assert(lookOf(name, { side: "server" }).accepts(reader.flags));
  });
}

Deno.test("flags that the far end has chosen take turns from the first on, and none are our own again", () => {
  const slab = new PacketSlab(65_536), reader = new SegmentReader();
  const flow = lookOf("paqet").flow(ends(V4, 1, 2));
  const next = () => {
    assert(reader.read(slab, flow.wrap(slab, AT, AT + 4, 0), AT + 4));
    return reader.flags;
  };
  const [pushed, finished] = [parseFlags("PA"), parseFlags("FA")];
  assertEquals(next(), pushed);
  flow.useFlags!([finished, pushed]);
  assertEquals([next(), next(), next()], [finished, pushed, finished]);
  flow.useFlags!([]);
  assertEquals([next(), next()], [pushed, pushed]);
});

Deno.test("no flags have a reset: none of our own, and none that the far end wishes for", () => {
  for (const flags of [["R"], ["PA", "RA"], []]) {
    const options = { side: "client", random: new SeededRandom(1), unixMs: 0, flags: flags.map(parseFlags) } as const;
    assertThrows(() => tcpLook("paqet", options), CulvertError, "none with R");
  }
  const slab = new PacketSlab(4096), reader = new SegmentReader();
  const flow = lookOf("paqet").flow(ends(V4, 1, 2));
  const next = () => {
    assert(reader.read(slab, flow.wrap(slab, AT, AT + 4, 0), AT + 4));
    return formatFlags(reader.flags);
  };
  flow.useFlags!(["R", "FA", "RPA", "A"].map(parseFlags));
  assertEquals([next(), next(), next()], ["FA", "A", "FA"]);
  flow.useFlags!([parseFlags("R")]);
  assertEquals([next(), next()], ["PA", "PA"]);
});

Deno.test("ours: the sequence rises by what was sent, the acknowledgement follows what came and never goes back", () => {
  const slab = new PacketSlab(65_536), reader = new SegmentReader();
  const flow = lookOf("ours").flow(ends(V4, 1, 2));
  const next = (bytes: number, nowMs = 0) => {
    assert(reader.read(slab, flow.wrap(slab, AT, AT + bytes, nowMs), AT + bytes));
    return { ...reader, time: slab.view.getUint32(reader.timestampAt(slab)) };
  };
  const first = next(1000), second = next(7, 250), third = next(1);
  assertEquals([second.sequence - first.sequence, third.sequence - second.sequence], [1000, 7]);
  assertEquals(second.time - first.time, 250);
  flow.heard!((first.acknowledgement + 5000) >>> 0, 77);
  assertEquals(next(1).acknowledgement, (first.acknowledgement + 5000) >>> 0);
  assertEquals(slab.view.getUint32(reader.timestampAt(slab) + 4), 77);
  flow.heard!((first.acknowledgement + 4000) >>> 0, 76);
  assertEquals(next(1).acknowledgement, (first.acknowledgement + 5000) >>> 0);
  flow.heard!((first.acknowledgement + 2 ** 31) >>> 0, 1);
  assertEquals(next(1).acknowledgement, (first.acknowledgement + 2 ** 31) >>> 0, "one who has begun again is followed");
});

Deno.test("ours: a long packet has the sum of its pseudo header, and the next goes on after it", () => {
  const slab = new PacketSlab(131_072), reader = new SegmentReader();
  for (const addresses of [V4, V6]) {
    const flow = lookOf("ours").flow(ends(addresses, 1, 2)), end = AT + 60_000;
    const start = flow.wrapLong!(slab, AT, end, 1400, 0);
    assert(reader.read(slab, start, end));
    const { sequence, tcpAt, addressesAt } = reader;
    const pseudo = sumBytes(slab.bytes, addressesAt, tcpAt - addressesAt) + swap16(6) + swap16(end - tcpAt);
    assertEquals(slab.view.getUint16(tcpAt + 16, true), fold(pseudo));
    assert(reader.read(slab, flow.wrap(slab, AT, AT + 1, 0), AT + 1));
    assertEquals(reader.sequence, (sequence + 60_000) >>> 0);
  }
});

function lookOf(name: LookName, options: Partial<LookOptions> = {}) {
  return tcpLook(name, { side: "client", random: new SeededRandom(1), unixMs: UNIX_MS, ...options });
}

function ends([source, destination]: readonly [string, string], sourcePort: number, destinationPort: number): FlowEnds {
  return { source: parseIp(source)!, destination: parseIp(destination)!, sourcePort, destinationPort };
}

/** With the pseudo header: 0xffff when the checksum is right. */
function tcpSum({ bytes }: PacketSlab, { isV6, addressesAt, tcpAt }: SegmentReader, end: number): number {
  const pseudo = sumBytes(bytes, addressesAt, isV6 ? 32 : 8) + swap16(6) + swap16(end - tcpAt);
  return fold(pseudo + sumBytes(bytes, tcpAt, end - tcpAt));
}
