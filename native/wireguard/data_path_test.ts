import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { parseCidr, parseIp } from "../../protocol/ip.ts";
import { Coalescer } from "../../protocol/packet/coalesce.ts";
import {
  ACK,
  faultOf,
  makeOffloaded,
  makePacket,
  type PacketFields,
  virtio,
} from "../../protocol/packet/fixtures/packets.ts";
import { PacketSlab } from "../../protocol/packet/packet_slab.ts";
import type { Slab } from "../../protocol/slab.ts";
import { portableWireGuardCrypto as crypto } from "../../protocol/wireguard/crypto.ts";
import { Machine } from "../../protocol/wireguard/machine.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { type DatagramSource, RECEIVE_LANE_BYTES, Receiving } from "./receiving.ts";
import { LANE_BYTES, Sending } from "./sending.ts";

// Two ends joined by their batches, without a kernel: what `Sending` queues at one end `Receiving` takes at the other.

const READ_AT = 2;
const READ_BYTES = 66_000;
const LANES = 2;
const LANES_OUT_AT = 66_016;
const LANES_IN_AT = LANES_OUT_AT + LANES * LANE_BYTES;

interface Batch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly segmentBytes: number;
  readonly to: Endpoint;
}

class End implements Disposable {
  readonly batches: Batch[] = [];
  /** Packets that came out, as TUN would get them, without their virtio headers. */
  readonly packets: Uint8Array<ArrayBuffer>[] = [];
  readonly machine: Machine;
  readonly endpoint: Endpoint;
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly slab = new PacketSlab(LANES_IN_AT + LANES * RECEIVE_LANE_BYTES);
  readonly #sending: Sending;
  readonly #receiving: Receiving;
  #queued: Batch[] = [];

  constructor(readonly number: number) {
    const random = new SeededRandom(number);
    this.endpoint = { address: parseIp(`192.0.2.${number}`)!, port: 1000 + number };
    const outlet = {
      send: (packet: Slab, offset: number, length: number, to: Endpoint) => {
        this.batches.push({ bytes: packet.bytes.slice(offset, offset + length), segmentBytes: length, to });
        return true;
      },
    };
    this.machine = new Machine({ crypto, random, outlet, wallNow: () => 1e12 + number, nowMs: 0 });
    const privateKey = random.fill(new Uint8Array(32));
    this.publicKey = crypto.x25519PublicKey(privateKey);
    this.machine.configure({ privateKey });
    const { slab, machine } = this;
    const sink = {
      queue: (from: PacketSlab, offset: number, length: number, segmentBytes: number, to: Endpoint) => {
        this.#queued.push({ bytes: from.bytes.subarray(offset, offset + length), segmentBytes, to });
        return true;
      },
      flush: () => {
        for (const batch of this.#queued) this.batches.push({ ...batch, bytes: batch.bytes.slice() });
        this.#queued = [];
        return true;
      },
    };
    this.#sending = new Sending({ slab, machine, sink, lanesAt: LANES_OUT_AT, lanes: LANES });
    const coalescer = new Coalescer(slab, {
      sink: {
        write: ({ count, offsets, lengths }) => {
          const pieces = Array.from({ length: count }, (_, at) => [offsets[at]!, offsets[at]! + lengths[at]!] as const);
          const whole = pieces.flatMap(([from, to]) => [...slab.bytes.subarray(from, to)]);
          this.packets.push(Uint8Array.from(whole.slice(virtio(0, 0).length)));
        },
      },
      udp: true,
    });
    this.#receiving = new Receiving({ slab, machine, coalescer, lanesAt: LANES_IN_AT, lanes: LANES });
  }

  knows(other: End): void {
    const cidr = parseCidr(`10.0.0.${other.number}/32`)!;
    this.machine.configure({
      peers: [{ publicKey: other.publicKey, endpoint: other.endpoint, allowedIps: [{ cidr }] }],
    });
  }

  /** One read of TUN. */
  read(bytes: Uint8Array): void {
    assertLessOrEqual(bytes.length, READ_BYTES);
    this.slab.bytes.set(bytes, READ_AT);
    this.#sending.take(READ_AT, bytes.length);
  }

  flush(): void {
    this.#sending.flush();
  }

  /** Takes batches of one source, one receive each. */
  receive(batches: readonly Batch[], source: Endpoint): void {
    for (const { bytes, segmentBytes } of batches) {
      let isThere = true;
      const socket: DatagramSource = {
        segmentBytes,
        receive: (slab, offset) => {
          if (!isThere) return -1;
          isThere = false;
          slab.bytes.set(bytes, offset);
          return bytes.length;
        },
        source: () => source,
      };
      assert(this.#receiving.take(socket));
      assert(!this.#receiving.take(socket));
    }
    this.#receiving.flush();
    this.machine.pump(100);
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }
}

/** Carries everything both ways until nobody has anything to say. */
function settle(ends: readonly End[]): void {
  for (let moved = true; moved;) {
    moved = false;
    for (const from of ends) {
      for (const batch of from.batches.splice(0)) {
        moved = true;
        ends.find(({ endpoint }) => endpoint === batch.to)!.receive([batch], from.endpoint);
      }
    }
  }
}

function ends(count: number): Disposable & { all: End[] } {
  const all = Array.from({ length: count }, (_, index) => new End(index + 1));
  for (const one of all) for (const other of all) if (one !== other) one.knows(other);
  return { all, [Symbol.dispose]: () => all.forEach((end) => end[Symbol.dispose]()) };
}

/** The same ends with sessions between the first and each of the others. */
function joinedEnds(count: number): Disposable & { all: End[] } {
  const joined = ends(count);
  for (const other of joined.all.slice(1)) {
    joined.all[0]!.read(plain({ destination: other.number, payload: bytesOf(1) }));
  }
  settle(joined.all);
  for (const end of joined.all) end.packets.length = 0;
  return joined;
}

type Some = Partial<PacketFields> & { readonly payload: Uint8Array };

function fieldsOf(some: Some): PacketFields {
  return { version: 4, protocol: "udp", source: 1, destination: 2, flags: ACK, ...some };
}

function plain(some: Some): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...virtio(0, 0), ...makePacket(fieldsOf(some))]);
}

function bytesOf(length: number, seed = 0): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => at * 7 + seed);
}

function datagramsOf({ bytes, segmentBytes }: Batch): number {
  return Math.ceil(bytes.length / segmentBytes);
}

Deno.test("packets that came before there was a session arrive in their order once there is one", () => {
  using joined = ends(2);
  const [a, b] = joined.all as [End, End];
  const sent = [200, 100, 300].map((length, seed) => makePacket(fieldsOf({ payload: bytesOf(length, seed) })));
  for (const packet of sent) a.read(Uint8Array.from([...virtio(0, 0), ...packet]));
  a.flush();
  settle(joined.all);
  assertEquals(b.packets, sent);
});

Deno.test("what TUN hands over unsplit before there is a session arrives as packets of the size it asks for", () => {
  using joined = ends(2);
  const [a, b] = joined.all as [End, End];
  const payload = bytesOf(5000);
  a.read(makeOffloaded(fieldsOf({ protocol: "tcp", payload }), 1000));
  a.flush();
  settle(joined.all);
  assertEquals(b.packets.map(faultOf), [undefined, undefined, undefined, undefined, undefined]);
  assertEquals(b.packets.flatMap((packet) => [...packet.subarray(40)]), [...payload]);
});

Deno.test("64 KiB of TCP go as few full batches and come out as one packet again", () => {
  using joined = joinedEnds(2);
  const [a, b] = joined.all as [End, End];
  const payload = bytesOf(47 * 1368);
  a.read(makeOffloaded(fieldsOf({ protocol: "tcp", tcpOptions: bytesOf(12), payload }), 1368));
  a.flush();
  assertEquals(a.batches.map(datagramsOf), [44, 3]);
  for (const { bytes } of a.batches) assertLessOrEqual(bytes.length, 65_000);
  b.receive(a.batches, a.endpoint);
  assertEquals(b.packets.flatMap((packet) => [...packet.subarray(52)]), [...payload]);
  assertLessOrEqual(b.packets.length, 2);
});

Deno.test("reads that continue a batch fill it", () => {
  using joined = joinedEnds(2);
  const [a] = joined.all as [End, End];
  const payload = bytesOf(30 * 1000);
  a.read(makeOffloaded(fieldsOf({ protocol: "tcp", payload }), 1000));
  a.read(makeOffloaded(fieldsOf({ protocol: "tcp", payload, sequence: payload.length }), 1000));
  a.flush();
  assertEquals(a.batches.map(datagramsOf), [60]);
});

Deno.test("a batch ends with its first smaller datagram, and before a larger one", () => {
  using joined = joinedEnds(2);
  const [a, b] = joined.all as [End, End];
  const lengths = [500, 500, 100, 500, 900, 900, 20];
  for (const [id, length] of lengths.entries()) a.read(plain({ id, payload: bytesOf(length, id) }));
  a.flush();
  assertEquals(a.batches.map(datagramsOf), [3, 1, 3]);
  b.receive(a.batches, a.endpoint);
  const sent = lengths.flatMap((length, id) => [...bytesOf(length, id)]);
  assertEquals(b.packets.flatMap((packet) => [...packet.subarray(28)]), sent);
});

Deno.test("what is to be split into smaller packets than the batch before adds one to it and begins another", () => {
  using joined = joinedEnds(2);
  const [a, b] = joined.all as [End, End];
  const payload = bytesOf(30 * 500);
  a.read(plain({ payload: bytesOf(1300) }));
  a.read(makeOffloaded(fieldsOf({ protocol: "tcp", payload }), 500));
  a.flush();
  assertEquals(a.batches.map(datagramsOf), [2, 29]);
  b.receive(a.batches, a.endpoint);
  assertEquals(b.packets.slice(1).flatMap((packet) => [...packet.subarray(40)]), [...payload]);
});

Deno.test("packets for several peers each go to theirs, in their order", () => {
  using joined = joinedEnds(4);
  const [a, ...others] = joined.all as [End, ...End[]];
  const random = new SeededRandom(9);
  const wanted = new Map(others.map(({ number }) => [number, [] as number[]]));
  for (let id = 0; id < 300; id++) {
    const destination = 2 + Math.floor(random.next() * 3);
    wanted.get(destination)!.push(id & 0xff);
    // Checksums of their own keep packets of one flow apart: no joining, so order shows.
    a.read(plain({ destination, sourcePort: 1000 + id, payload: Uint8Array.of(id) }));
  }
  a.flush();
  settle(joined.all);
  for (const { number, packets } of others) {
    assertEquals(packets.map((packet) => packet[28]), wanted.get(number));
  }
});

Deno.test("more than the lanes hold is sent on the way", () => {
  using joined = joinedEnds(2);
  const [a, b] = joined.all as [End, End];
  const payload = bytesOf(40 * 1400);
  for (let round = 0; round < 3 * LANES; round++) a.read(makeOffloaded(fieldsOf({ protocol: "tcp", payload }), 1400));
  assert(a.batches.length >= LANES);
  a.flush();
  assertEquals(a.batches.reduce((sum, batch) => sum + datagramsOf(batch), 0), 40 * 3 * LANES);
  b.receive(a.batches, a.endpoint);
  assertEquals(b.packets.reduce((sum, packet) => sum + packet.length - 40 * 1, 0), payload.length * 3 * LANES);
});

Deno.test("a batch in which one datagram was tampered with loses that one only", () => {
  using joined = joinedEnds(2);
  const [a, b] = joined.all as [End, End];
  for (let id = 0; id < 10; id++) a.read(plain({ sourcePort: 2000 + id, payload: bytesOf(100, id) }));
  a.flush();
  const [batch] = a.batches as [Batch];
  batch.bytes[3 * batch.segmentBytes + 40]! ^= 1;
  b.receive([batch], a.endpoint);
  assertEquals(b.packets.length, 9);
  assertEquals(b.machine.counters.unauthentic, 1);
  b.receive([batch], a.endpoint);
  assertEquals(b.packets.length, 9);
  assertEquals(b.machine.counters.replayed, 9);
});

Deno.test("a packet for nobody, and one that is none, cost nothing but a count", () => {
  using joined = joinedEnds(2);
  const [a] = joined.all as [End, End];
  a.read(plain({ destination: 99, payload: bytesOf(10) }));
  a.read(new Uint8Array(12));
  a.read(Uint8Array.from([...virtio(1, 1, 54, 0, 20, 16), ...makePacket(fieldsOf({ payload: bytesOf(100) }))]));
  a.flush();
  assertEquals(a.batches, []);
});
