import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { Coalescer, type Pieces } from "./coalesce.ts";
import {
  ACK,
  CWR,
  faultOf,
  FIN,
  makeOffloaded,
  makePacket,
  type PacketFields,
  payloadOf,
  PSH,
  SYN,
  virtio,
} from "./fixtures/packets.ts";
import { PacketSlab } from "./packet_slab.ts";
import { Segmenter } from "./segment.ts";

const TIMESTAMPS = Uint8Array.of(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8);

function bytesOf(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => ((at + seed) * 37) >> 2);
}

/** Adds packets as one batch, sixteen bytes apart; what the sink was given, each write gathered. */
function join(packets: readonly Uint8Array[], options: { udp?: boolean; packets?: number } = {}): Uint8Array[] {
  const total = packets.reduce((sum, packet) => sum + packet.length + 16, 16);
  const slab = new PacketSlab(total);
  const written: Uint8Array[] = [];
  const write = ({ count, offsets, lengths }: Pieces) => {
    const pieces = Array.from(
      { length: count },
      (_, index) => [...slab.bytes.subarray(offsets[index]!, offsets[index]! + lengths[index]!)],
    );
    written.push(Uint8Array.from(pieces.flat()));
  };
  const coalescer = new Coalescer(slab, { sink: { write }, ...options });
  let at = 16;
  for (const packet of packets) {
    slab.bytes.set(packet, at);
    coalescer.add(at, packet.length);
    at += packet.length + 16;
  }
  coalescer.flush();
  coalescer.flush();
  return written;
}

/** Packets as a sender cuts them: one after the other in sequence, and in id. */
function run(fields: Omit<PacketFields, "payload">, payloads: readonly number[]): PacketFields[] {
  let sequence = fields.sequence ?? 1000;
  let id = fields.id ?? 1;
  return payloads.map((length) => {
    const packet = { ...fields, sequence, id, payload: bytesOf(length, sequence) };
    sequence = (sequence + length) >>> 0;
    id = (id + 1) & 0xffff;
    return packet;
  });
}

function plain(packet: Uint8Array): Uint8Array {
  return Uint8Array.from([...virtio(0, 0), ...packet]);
}

/** Payload lengths of what was written. */
function lengthsOf(written: readonly Uint8Array[]): number[] {
  return written.map((each) => payloadOf(each.subarray(10)).length);
}

for (const version of [4, 6] as const) {
  for (const tcpOptions of [new Uint8Array(), TIMESTAMPS]) {
    Deno.test(`joined TCP is what TUN would have handed over: IPv${version}, ${tcpOptions.length} bytes of options`, () => {
      const fields = { version, protocol: "tcp", tcpOptions, sequence: 0xffffff00, id: 0xfffe } as const;
      const parts = run(fields, [1000, 1000, 1000, 700]);
      const whole = { ...parts[0]!, payload: Uint8Array.from(parts.flatMap((part) => [...part.payload])) };
      assertEquals(join(parts.map((part) => makePacket(part))), [makeOffloaded(whole, 1000)]);
    });
  }

  Deno.test(`joined UDP is what TUN would have handed over: IPv${version}`, () => {
    const parts = run({ version, protocol: "udp" }, [1200, 1200, 11]);
    const whole = { ...parts[0]!, payload: Uint8Array.from(parts.flatMap((part) => [...part.payload])) };
    assertEquals(join(parts.map((part) => makePacket(part)), { udp: true }), [makeOffloaded(whole, 1200)]);
  });
}

Deno.test("UDP is not joined where the kernel does not take it", () => {
  const packets = run({ version: 4, protocol: "udp" }, [100, 100]).map((each) => makePacket(each));
  assertEquals(join(packets), packets.map(plain));
});

Deno.test("a packet alone is written as it came", () => {
  const packet = makePacket({ version: 4, protocol: "tcp", payload: bytesOf(10) });
  assertEquals(join([packet]), [plain(packet)]);
  assertEquals(join([]), []);
});

Deno.test("a push ends a joined packet and is kept", () => {
  const [first, second, third] = run({ version: 4, protocol: "tcp" }, [100, 100, 100]);
  const written = join([first!, { ...second!, flags: ACK | PSH }, third!].map((each) => makePacket(each)));
  assertEquals(lengthsOf(written), [200, 100]);
  assertEquals(written[0]![10 + 20 + 13], ACK | PSH);
});

Deno.test("a shorter packet ends a joined one, a longer one begins another", () => {
  const packets = run({ version: 4, protocol: "tcp" }, [100, 100, 50, 100, 120, 120]).map((each) => makePacket(each));
  assertEquals(lengthsOf(join(packets)), [250, 100, 240]);
});

Deno.test("a joined packet never grows beyond what a length field can say", () => {
  const packets = run({ version: 4, protocol: "tcp" }, new Array(60).fill(1380)).map((each) => makePacket(each));
  assertEquals(lengthsOf(join(packets)), [47 * 1380, 13 * 1380]);
});

Deno.test("UDP is joined to 64 datagrams at most", () => {
  const packets = run({ version: 4, protocol: "udp" }, new Array(70).fill(10)).map((each) => makePacket(each));
  assertEquals(lengthsOf(join(packets, { udp: true })), [640, 60]);
});

Deno.test("flows are joined apart, in the order they began", () => {
  const one = run({ version: 4, protocol: "tcp", sourcePort: 1 }, [100, 100, 100]);
  const two = run({ version: 6, protocol: "tcp", sourcePort: 2 }, [200, 200]);
  const three = run({ version: 4, protocol: "udp", sourcePort: 3 }, [50, 50]);
  const packets = [one[0]!, two[0]!, three[0]!, one[1]!, three[1]!, two[1]!, one[2]!].map((each) => makePacket(each));
  assertEquals(lengthsOf(join(packets, { udp: true })), [300, 400, 100]);
});

Deno.test("a full batch is flushed by itself", () => {
  const packets = run({ version: 4, protocol: "tcp" }, [10, 10, 10, 10, 10]).map((each) => makePacket(each));
  assertEquals(lengthsOf(join(packets, { packets: 2 })), [20, 20, 10]);
});

for (const packets of [0, 1025, 1.5, NaN]) {
  Deno.test(`a batch of ${packets} packets is not possible`, () => {
    const options = { sink: { write() {} }, packets };
    assertThrows(() => new Coalescer(new PacketSlab(0), options), RangeError, `got ${packets}`);
  });
}

const base: PacketFields = { version: 4, protocol: "tcp", payload: bytesOf(100) };
const next: PacketFields = { ...base, sequence: 1100, id: 2 };
for (
  const { name, first = base, second } of [
    { name: "a gap in sequence", second: { ...next, sequence: 1101 } },
    { name: "a repeated packet", second: { ...base } },
    { name: "another acknowledgement", second: { ...next, acknowledgement: 1 } },
    { name: "another window", second: { ...next, window: 1 } },
    { name: "another TTL", second: { ...next, ttl: 3 } },
    { name: "another TOS (a mark of congestion)", second: { ...next, tos: 3 } },
    { name: "another DF", second: { ...next, dontFragment: false } },
    { name: "other options", first: { ...base, tcpOptions: TIMESTAMPS }, second: { ...next, tcpOptions: bytesOf(12) } },
    { name: "options in one of them", second: { ...next, tcpOptions: TIMESTAMPS } },
    { name: "IPv4 options", second: { ...next, ipOptions: Uint8Array.of(1, 1, 1, 0) } },
    { name: "FIN", second: { ...next, flags: ACK | FIN } },
    { name: "a reduced window (CWR)", second: { ...next, flags: ACK | CWR } },
    {
      name: "an echo of congestion (ECE), even in both",
      first: { ...base, flags: ACK | 0x40 },
      second: { ...next, flags: ACK | 0x40 },
    },
    { name: "URG", second: { ...next, flags: ACK | 0x20 } },
    { name: "RST", second: { ...next, flags: ACK | 0x04 } },
    { name: "SYN", first: { ...base, flags: SYN }, second: next },
    { name: "no payload", second: { ...next, payload: new Uint8Array() } },
    { name: "another port", second: { ...next, sourcePort: 7 } },
    { name: "another address", second: { ...next, source: 9 } },
    { name: "another protocol", second: { ...next, protocol: "udp" as const } },
    {
      name: "an id out of turn where fragmenting is allowed",
      first: { ...base, dontFragment: false },
      second: { ...next, dontFragment: false, id: 9 },
    },
    {
      name: "an extension header",
      first: { ...base, version: 6 as const },
      second: { ...next, version: 6 as const, extensionHeader: true },
    },
    {
      name: "another traffic class",
      first: { ...base, version: 6 as const },
      second: { ...next, version: 6 as const, tos: 1 },
    },
  ]
) {
  Deno.test(`not joined: ${name}`, () => {
    const packets = [first, second].map((each) => makePacket(each));
    assertEquals(join(packets, { udp: true }), packets.map(plain));
  });
}

Deno.test("without DF, ids that count on are joined", () => {
  const packets = run({ version: 4, protocol: "tcp", dontFragment: false, id: 0xffff }, [9, 9]);
  assertEquals(lengthsOf(join(packets.map((each) => makePacket(each)))), [18]);
});

for (const damaged of [0, 1, 2]) {
  for (const { where, at } of [{ where: "payload", at: 60 }, { where: "IPv4 header", at: 10 }]) {
    Deno.test(`a packet damaged in its ${where} is left to the kernel to refuse: number ${damaged}`, () => {
      const packets = run({ version: 4, protocol: "tcp" }, [100, 100, 100]).map((each) => makePacket(each));
      packets[damaged]![at]! ^= 1;
      const written = join(packets);
      const alone = written.find((each) => faultOf(each.subarray(10)) && each[0] === 0);
      assertEquals(alone, plain(packets[damaged]!));
      assertEquals(lengthsOf(written), [[100, 200], [100, 100, 100], [200, 100]][damaged]);
    });
  }
}

Deno.test("nothing overtakes a fragment, or a packet of its own flow without payload", () => {
  const [first, second, third] = run({ version: 4, protocol: "tcp" }, [100, 100, 100]).map((each) => makePacket(each));
  const fragment = makePacket({ version: 4, protocol: "udp", payload: bytesOf(64) });
  fragment[6] = 0x20;
  const ack = makePacket({ ...base, payload: new Uint8Array() });
  const between = (packet: Uint8Array) => join([first!, second!, packet, third!]).map((each) => each.length);
  assertEquals(between(fragment), [250, 10 + 92, 150]);
  assertEquals(between(ack), [250, 10 + 40, 150]);
});

Deno.test("UDP without a checksum is not joined, to what came before nor to what comes after", () => {
  const packets = run({ version: 4, protocol: "udp" }, [100, 100, 100]).map((each) => makePacket(each));
  packets[1]!.fill(0, 26, 28);
  assertEquals(join(packets, { udp: true }), packets.map(plain));
});

Deno.test("a ping between two packets of a flow does not keep them apart", () => {
  const [first, second] = run({ version: 4, protocol: "tcp" }, [100, 100]).map((each) => makePacket(each));
  const ping = makePacket({ version: 4, protocol: "udp", payload: bytesOf(56) });
  ping[9] = 1;
  assertEquals(join([first!, ping, second!]).map((each) => each.length), [250, 10 + 84]);
});

const anyRun = fc.record({
  version: fc.constantFrom<4 | 6>(4, 6),
  protocol: fc.constantFrom<"tcp" | "udp">("tcp", "udp"),
  segmentBytes: fc.integer({ min: 1, max: 1400 }),
  payloadBytes: fc.integer({ min: 1, max: 20_000 }),
  sequence: fc.integer({ min: 0, max: 0xffffffff }),
  id: fc.integer({ min: 0, max: 0xffff }),
  push: fc.boolean(),
  dontFragment: fc.boolean(),
});

Deno.test("what is split and joined again is the packet it was", () => {
  fc.assert(
    fc.property(anyRun, ({ segmentBytes, payloadBytes, push, ...fields }) => {
      const limit = fields.protocol === "udp" ? segmentBytes * 64 : segmentBytes * 400;
      const payload = bytesOf(Math.max(segmentBytes + 1, Math.min(payloadBytes, limit)));
      const flags = push && fields.protocol === "tcp" ? ACK | PSH : ACK;
      const original = makeOffloaded({ ...fields, flags, payload }, segmentBytes);
      assertEquals(join(split(original), { udp: true }), [original]);
    }),
    { numRuns: 60 },
  );
});

function split(read: Uint8Array): Uint8Array[] {
  const slab = new PacketSlab(256 * 1024);
  const segmenter = new Segmenter(slab, { lead: 16, tail: 16, padding: 16, mtu: 1480 });
  slab.bytes.set(read, 6);
  segmenter.begin(6, read.length);
  const packets: Uint8Array[] = [];
  while (segmenter.next(128 * 1024, 64, 65_000) > 0) {
    for (let index = 0; index < segmenter.count; index++) {
      const at = 128 * 1024 + index * segmenter.stride + 16;
      const length = index === segmenter.count - 1 ? segmenter.lastLength : segmenter.firstLength;
      packets.push(slab.bytes.slice(at, at + length));
    }
  }
  return packets;
}

Deno.test("whatever a peer sends, nothing throws, every byte comes out once and the joined are right packets", () => {
  const valid = fc.constantFrom<Uint8Array>(
    ...run({ version: 4, protocol: "tcp" }, [64, 64, 64]).map((each) => makePacket(each)),
    ...run({ version: 6, protocol: "tcp", tcpOptions: TIMESTAMPS }, [64, 64, 64]).map((each) => makePacket(each)),
    ...run({ version: 6, protocol: "udp" }, [64, 64, 10]).map((each) => makePacket(each)),
  );
  const hostile = fc.oneof({ weight: 6, arbitrary: valid }, mutationsOf(valid), anyBytes(120));
  fc.assert(
    fc.property(fc.array(hostile, { maxLength: 12 }), (packets) => {
      const written = join(packets, { udp: true });
      const joined = written.filter((each) => each[0] === 1);
      assert(
        joined.every((each) => faultOf(split(each)[0]!) === undefined && faultOf(split(each).at(-1)!) === undefined),
      );
      const alone = written.filter((each) => each[0] === 0).map((each) => each.subarray(10));
      const parts = [...alone, ...joined.flatMap(split)];
      const sorted = (all: readonly Uint8Array[]) => all.map((each) => each.join()).sort();
      const idless = (all: readonly Uint8Array[]) => all.map((each) => each[0] === 0x45 ? withoutId(each) : each);
      assertEquals(sorted(idless(parts)), sorted(idless(packets)));
    }),
    { numRuns: 400 },
  );
});

/** With DF set the id may change; and with it the header's checksum. */
function withoutId(packet: Uint8Array): Uint8Array {
  return packet.map((byte, at) => at === 4 || at === 5 || at === 10 || at === 11 ? 0 : byte);
}

Deno.test("without a kernel that takes joined packets every packet goes as it came", () => {
  const slab = new PacketSlab(65536);
  const written: number[] = [];
  const sink = { write: ({ count, lengths }: Pieces) => void written.push(count, lengths[0]!) };
  const coalescer = new Coalescer(slab, { sink, tcp: false });
  for (const sequence of [0, 100, 200]) {
    const packet = makePacket({ version: 4, protocol: "tcp", payload: new Uint8Array(100), sequence });
    slab.bytes.set(packet, 1000 + sequence * 10);
    coalescer.add(1000 + sequence * 10, packet.length);
  }
  coalescer.flush();
  assertEquals(written, [1, 150, 1, 150, 1, 150]);
});
