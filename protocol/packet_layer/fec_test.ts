import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { anyBytes } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { CulvertError } from "../errors.ts";
import { type Random, randomInt } from "../random.ts";
import { openReedSolomon } from "../reed_solomon.ts";
import { Slab } from "../slab.ts";
import { FecBlocks, FecDecoder, type FecDecoderOptions } from "./fec_decoder.ts";
import { FecEncoder, type FecEncoderOptions } from "./fec_encoder.ts";
import { FEC_HEAD_BYTES, fecNumbersEnd, FecType } from "./fec_head.ts";

const codes = openReedSolomon();
const MOST_BYTES = 1330;

/** What a sender puts on the wire, each datagram in a slab of its own. */
class Sender {
  readonly #encoder: FecEncoder;
  readonly #slab = new Slab(2048);
  nowMs = 0;

  constructor(options: Partial<FecEncoderOptions> = {}) {
    this.#encoder = new FecEncoder({ codes, dataShards: 10, parityShards: 3, mostBytes: MOST_BYTES, ...options });
  }

  /** The datagram and the parity after it. `start` is where it lies while it is made. */
  send(payload: Uint8Array, start = 0): Uint8Array[] {
    const end = start + FEC_HEAD_BYTES + payload.length;
    this.#slab.bytes.set(payload, start + FEC_HEAD_BYTES);
    const due = this.#encoder.protect(this.#slab, start, end, this.nowMs);
    const datagrams = [this.#slab.bytes.slice(start, end)];
    for (let index = 0; index < due; index++) {
      const length = this.#encoder.writeParity(index, this.#slab, start);
      datagrams.push(this.#slab.bytes.slice(start, start + length));
    }
    return datagrams;
  }
}

interface Received {
  readonly payload: string;
  readonly isRecovered: boolean;
}

class Receiver {
  readonly packets: Received[] = [];
  readonly decoder: FecDecoder;
  readonly #slab = new Slab(2048);

  constructor(options: Partial<FecDecoderOptions> = {}) {
    this.decoder = new FecDecoder({ codes, ...options }, {
      onPacket: (slab, start, end, isRecovered) => {
        this.packets.push({ payload: encodeHex(slab.bytes.subarray(start, end)), isRecovered });
        // The bytes are the receiver's until it returns.
        slab.bytes.fill(0xee, start, end);
      },
    });
  }

  receive(datagram: Uint8Array, start = 0): void {
    this.#slab.bytes.set(datagram, start);
    this.decoder.receive(this.#slab, start, start + datagram.length);
  }

  get payloads(): Set<string> {
    return new Set(this.packets.map(({ payload }) => payload));
  }
}

function payloadOf(random: Random): Uint8Array<ArrayBuffer> {
  return random.fill(new Uint8Array(1 + randomInt(random, MOST_BYTES - FEC_HEAD_BYTES)));
}

/** The parity that kcptun was seen to send for 10 data and 3 parity shards, by the place of the one data byte that is 1. */
const KCPTUN_ROWS = ["8196afb8d2c4fee80302", "9681b8afc4d2e8fe0203", "bfd6620a066fdfb70504"];

Deno.test("Heads and parity are those of kcptun", () => {
  const rows: number[][] = [[], [], []];
  for (let one = 0; one < 10; one++) {
    const sender = new Sender();
    const wire = Array.from({ length: 10 }, (_, at) => sender.send(Uint8Array.of(at === one ? 1 : 0))).flat();
    assertEquals(encodeHex(wire[0]!), `00000000f1000300${one === 0 ? "01" : "00"}`);
    assertEquals(encodeHex(wire[9]!), `09000000f1000300${one === 9 ? "01" : "00"}`);
    assertEquals(wire.slice(10).map((datagram) => encodeHex(datagram.subarray(0, 6))), [
      "0a000000f200",
      "0b000000f200",
      "0c000000f200",
    ]);
    wire.slice(10).forEach((datagram, row) => rows[row]!.push(datagram[8]!));
  }
  assertEquals(rows.map((row) => encodeHex(Uint8Array.from(row))), KCPTUN_ROWS);
});

Deno.test("Parity is as long as the longest of its own group", () => {
  const sender = new Sender({ dataShards: 2, parityShards: 1 });
  const wire = [900, 5, 7, 6].flatMap((length) => sender.send(new Uint8Array(length)));
  assertEquals(wire.map(({ length }) => length), [908, 13, 908, 15, 14, 15]);
});

Deno.test("Whatever is lost of a group comes back, as long as there is parity for it", () => {
  const random = new SeededRandom(7);
  const sender = new Sender();
  const receiver = new Receiver({ shards: { dataShards: 10, parityShards: 3 } });
  const sent: string[] = [];
  let lostData = 0;
  for (let group = 0; group < 200; group++) {
    const wire: Uint8Array[] = [];
    for (let at = 0; at < 10; at++) {
      const payload = payloadOf(random);
      sent.push(encodeHex(payload));
      wire.push(...sender.send(payload, randomInt(random, 9)));
    }
    const lost = new Set(Array.from({ length: randomInt(random, 4) }, () => randomInt(random, 13)));
    lostData += [...lost].filter((at) => at < 10).length;
    const arriving = wire.filter((_, at) => !lost.has(at));
    arriving.sort(() => random.next() - 0.5);
    for (const datagram of arriving) receiver.receive(datagram, randomInt(random, 9));
  }
  const missing = sent.filter((payload) => !receiver.payloads.has(payload));
  assertEquals([missing.length, receiver.payloads.size], [0, sent.length]);
  // Those that were overtaken by enough of the others are recovered as well, and then come by themselves.
  assert(receiver.decoder.counters.recoveredPackets >= lostData);
  assertEquals(receiver.decoder.counters.lostGroups, 0);
});

Deno.test("What is lost beyond the parity stays lost, and nothing is made up", () => {
  const random = new SeededRandom(8);
  const sender = new Sender({ dataShards: 4, parityShards: 1 });
  const receiver = new Receiver({ shards: { dataShards: 4, parityShards: 1 } });
  const sent = new Set<string>();
  for (let packet = 0; packet < 2000; packet++) {
    const payload = payloadOf(random);
    sent.add(encodeHex(payload));
    for (const datagram of sender.send(payload)) if (random.next() < 0.7) receiver.receive(datagram);
  }
  for (const { payload } of receiver.packets) assert(sent.has(payload));
  assertEquals(receiver.payloads.size, receiver.packets.length);
  assert(receiver.packets.length > 1400 && receiver.decoder.counters.recoveredPackets > 50);
  assert(receiver.decoder.counters.lostGroups > 50);
});

for (
  const { name, shards } of [
    { name: "none believed in", shards: undefined },
    { name: "others believed in", shards: { dataShards: 10, parityShards: 3 } },
  ]
) {
  Deno.test(`The sender's shards are learnt, with ${name}, through loss`, () => {
    const random = new SeededRandom(9);
    const sender = new Sender({ dataShards: 5, parityShards: 2 });
    const receiver = new Receiver(shards ? { shards } : {});
    const sent = new Set<string>();
    for (let packet = 0; packet < 500; packet++) {
      const payload = payloadOf(random);
      sent.add(encodeHex(payload));
      for (const datagram of sender.send(payload)) if (random.next() < 0.9) receiver.receive(datagram);
    }
    for (const payload of receiver.payloads) assert(sent.has(payload), "something was made up");
    assertEquals(receiver.decoder.shards, { dataShards: 5, parityShards: 2 });
    const { recoveredPackets, tunings } = receiver.decoder.counters;
    assert(recoveredPackets > 20, `${recoveredPackets} recovered`);
    assertEquals(tunings, 1);
  });
}

Deno.test("A sender that changes its shards is followed", () => {
  const random = new SeededRandom(10);
  const receiver = new Receiver();
  let expected = 0;
  for (const shards of [{ dataShards: 3, parityShards: 1 }, { dataShards: 8, parityShards: 4 }]) {
    const sender = new Sender(shards);
    for (let packet = 0; packet < 100; packet++) sender.send(payloadOf(random)).forEach((d) => receiver.receive(d));
    assertEquals(receiver.decoder.shards, shards);
    assertEquals(receiver.packets.filter(({ isRecovered }) => isRecovered).length, expected);
    expected += 4;
    const before = receiver.decoder.counters.recoveredPackets;
    for (let packet = 100; packet < 132; packet++) {
      const [first, ...rest] = sender.send(payloadOf(random));
      if (packet % 8 !== 3) receiver.receive(first!);
      rest.forEach((datagram) => receiver.receive(datagram));
    }
    assert(receiver.decoder.counters.recoveredPackets > before);
  }
});

Deno.test("Numbers begin again at the last multiple of a group", () => {
  const shards = { dataShards: 10, parityShards: 3 };
  const end = fecNumbersEnd(13);
  assertEquals([end % 13, end + 13 > 0xffffffff], [0, true]);
  const sender = new Sender({ firstNumber: end - 13 });
  const receiver = new Receiver({ shards });
  const sent: string[] = [];
  for (let packet = 0; packet < 30; packet++) {
    const payload = Uint8Array.of(packet, 1, 2);
    sent.push(encodeHex(payload));
    const [first, ...rest] = sender.send(payload);
    if (packet % 10 !== 4) receiver.receive(first!);
    rest.forEach((datagram) => receiver.receive(datagram));
  }
  assertEquals([...receiver.payloads].sort(), sent.sort());
  assertEquals(receiver.decoder.counters.recoveredPackets, 3);
});

Deno.test("A group that ends after a long silence goes without parity, and its numbers are passed over", () => {
  const sender = new Sender({ dataShards: 2, parityShards: 1, quietMs: 500 });
  const numbers = (wire: Uint8Array[]) => wire.map((datagram) => `${datagram[0]}:${datagram[4] === 0xf2}`);
  const wire: Uint8Array[] = [];
  for (const waitMs of [0, 499, 0, 500, 0, 0]) {
    sender.nowMs += waitMs;
    wire.push(...sender.send(Uint8Array.of(1)));
  }
  assertEquals(numbers(wire), ["0:false", "1:false", "2:true", "3:false", "4:false", "6:false", "7:false", "8:true"]);
});

Deno.test("A sender that begins again at nought is heard again", () => {
  const receiver = new Receiver({ shards: { dataShards: 2, parityShards: 1 } });
  for (const firstNumber of [3_000_000, 0]) {
    const sender = new Sender({ dataShards: 2, parityShards: 1, firstNumber });
    const [first] = sender.send(Uint8Array.of(1));
    const [, parity] = sender.send(Uint8Array.of(2));
    receiver.receive(first!);
    receiver.receive(parity!);
  }
  assertEquals(receiver.packets.map(({ payload, isRecovered }) => `${payload} ${isRecovered}`), [
    "01 false",
    "02 true",
    "01 false",
    "02 true",
  ]);
});

/** Two groups of two data and one parity, the second so many groups later. */
function groups(later: number): Uint8Array[][] {
  const shards = { dataShards: 2, parityShards: 1 };
  return [0, later].map((group) => {
    const sender = new Sender({ ...shards, firstNumber: 3 * group });
    return [1, 2].flatMap((payload) => sender.send(Uint8Array.of(payload)));
  });
}

Deno.test("A latecomer of a group that is over does not take the place of one that is not", () => {
  const receiver = new Receiver({ shards: { dataShards: 2, parityShards: 1 } });
  const [old, now] = groups(64);
  receiver.receive(now![0]!);
  for (const datagram of old!) receiver.receive(datagram);
  receiver.receive(now![2]!);
  assertEquals(receiver.packets.map(({ isRecovered }) => isRecovered), [false, false, false, true]);
});

Deno.test("A datagram that comes twice counts once", () => {
  const receiver = new Receiver({ shards: { dataShards: 2, parityShards: 1 } });
  const [first, , parity] = groups(0)[0]!;
  for (const datagram of [first!, first!, first!, parity!]) receiver.receive(datagram);
  assertEquals(receiver.packets.filter(({ isRecovered }) => isRecovered).map(({ payload }) => payload), ["02"]);
});

Deno.test("Parity that is a lie makes up nothing longer than its group", () => {
  const random = new SeededRandom(11);
  const receiver = new Receiver({ shards: { dataShards: 2, parityShards: 1 } });
  for (let group = 0; group < 2000; group++) {
    const [first, , parity] = groups(group)[1]!;
    parity!.set(random.fill(new Uint8Array(parity!.length - 6)), 6);
    receiver.receive(first!);
    receiver.receive(parity!);
  }
  for (const { payload } of receiver.packets) assertEquals(payload.length, 2);
});

Deno.test("Groups that never fill take the memory of eight, and of sixteen at most is kept for others", () => {
  let out = 0;
  class Counted extends FecBlocks {
    override take(bytes: number): Slab {
      out++;
      return super.take(bytes);
    }
    override give(block: Slab): void {
      out--;
      super.give(block);
    }
  }
  const blocks = new Counted();
  const receiver = new Receiver({ shards: { dataShards: 10, parityShards: 3 }, blocks });
  let most = 0;
  for (let group = 0; group < 1000; group++) {
    receiver.receive(new Sender({ firstNumber: 13 * group }).send(Uint8Array.of(1))[0]!);
    most = Math.max(most, out);
  }
  assertEquals(most, 8);
  const given = Array.from({ length: 20 }, () => new Slab(64));
  for (const slab of given) blocks.give(slab);
  const taken = new Set(Array.from({ length: 20 }, () => blocks.take(64)));
  assertEquals(given.map((slab) => taken.has(slab)), given.map((_, index) => index >= 4));
});

Deno.test("A datagram without a head is handed on as it is, one twice over only by itself", () => {
  const receiver = new Receiver();
  const sender = new Sender();
  receiver.receive(Uint8Array.of(1, 2, 3, 4, 81, 0, 1, 1));
  receiver.receive(Uint8Array.of(1));
  const [datagram] = sender.send(Uint8Array.of(7));
  receiver.receive(datagram!);
  receiver.receive(datagram!);
  assertEquals(receiver.packets.map(({ payload }) => payload), ["0102030451000101", "01", "07", "07"]);
});

Deno.test("No datagram of any kind breaks a decoder", () => {
  const hostile = fc.tuple(
    fc.oneof(fc.nat(60), fc.constantFrom(0xffffffff, 0x7fffffff, fecNumbersEnd(13) - 1), fc.nat(0xffffffff)),
    fc.constantFrom(FecType.data, FecType.parity, 0x0051),
    anyBytes(1600),
  );
  fc.assert(fc.property(fc.array(hostile, { maxLength: 80 }), fc.boolean(), (datagrams, isTold) => {
    const receiver = new Receiver(isTold ? { shards: { dataShards: 3, parityShards: 2 } } : {});
    for (const [number, type, rest] of datagrams) {
      const datagram = new Uint8Array(6 + rest.length);
      new DataView(datagram.buffer).setUint32(0, number, true);
      new DataView(datagram.buffer).setUint16(4, type, true);
      datagram.set(rest, 6);
      receiver.receive(datagram);
    }
    assert(receiver.packets.length <= datagrams.length * 3);
  }));
});

Deno.test("Shards that no code is for are refused", () => {
  for (const [dataShards, parityShards] of [[0, 3], [10, 0], [30, 3], [1.5, 1]] as const) {
    assertThrows(() => new Sender({ dataShards, parityShards }), CulvertError, `got ${dataShards} and ${parityShards}`);
  }
  assertThrows(() => new Sender().send(new Uint8Array(MOST_BYTES)), RangeError, "Cannot protect a datagram");
});
