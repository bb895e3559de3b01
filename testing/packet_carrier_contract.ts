/**
 * What every PacketCarrier must do (protocol/packet_carrier.ts), as tests that any implementation is run against:
 *
 *   testPacketCarrierContract("UDP", { setUp: async () => ({ near, far, farHost, … }) });
 *
 * Nothing is lost on the way that the fixture makes, as long as few packets are under way.
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { PacketCarrier, PacketPlace } from "../protocol/packet_carrier.ts";
import type { Slab } from "../protocol/slab.ts";
import { Changes } from "./waiting.ts";

export interface CarrierFixture extends AsyncDisposable {
  readonly near: PacketCarrier;
  readonly far: PacketCarrier;
  /** Where `near` reaches `far`. */
  readonly farHost: string;
}

export interface PacketCarrierContractOptions {
  /** Both ends, not started. */
  setUp(): Promise<CarrierFixture>;
  /** Registers a test; `Deno.test` unless it needs something. */
  readonly test?: (name: string, run: () => Promise<void>) => void;
}

/** Registers the tests. */
export function testPacketCarrierContract(name: string, options: PacketCarrierContractOptions): void {
  const { setUp, test = Deno.test } = options;
  for (const [what, run] of Object.entries(cases)) {
    test(`${name}: ${what}`, async () => {
      await using fixture = await setUp();
      await run(fixture);
    });
  }
}

const cases: Readonly<Record<string, (fixture: CarrierFixture) => Promise<void>>> = {
  async "a datagram arrives whole, and its answer at the place it came from"(fixture) {
    const { near, far } = listenOn(fixture);
    far.onPacket = (bytes, from) => far.send(bytes.map((byte) => byte ^ 0xff), from);
    near.send(Uint8Array.of(1, 2, 3, 4, 5), farPlace(fixture));
    await near.until(1);
    assertEquals([...near.packets[0]!], [1, 2, 3, 4, 5].map((byte) => byte ^ 0xff));
    assertEquals(near.places[0]!.key, farPlace(fixture).key);
  },

  async "datagrams of every length arrive each on its own, unchanged and in four-byte places"(fixture) {
    const { near, far } = listenOn(fixture);
    const place = farPlace(fixture), most = fixture.near.maxPayloadBytes;
    const lengths = [1, 2, 3, 4, 5, 1000, 1000, 1001, 1001, 1001, 7, most, most, most, most - 1, 20, 20, 21, most];
    lengths.forEach((length, index) => near.write(patterned(length, index), place));
    fixture.near.flush();
    await far.until(lengths.length);
    far.packets.forEach((packet, index) => assertEquals(packet, patterned(lengths[index]!, index)));
    assert(far.starts.every((start) => start % 4 === 0));
    assertEquals(far.places.map(({ key }) => key), lengths.map(() => far.places[0]!.key));
  },

  async "what is read may be changed, and does not change what comes next"(fixture) {
    const { near, far } = listenOn(fixture);
    far.changes = true;
    for (let count = 0; count < 40; count++) near.write(patterned(333, count), farPlace(fixture));
    fixture.near.flush();
    await far.until(40);
    far.packets.forEach((packet, index) => assertEquals(packet, patterned(333, index)));
  },

  async "more than there is room for is sent in parts, by itself"(fixture) {
    const { near, far } = listenOn(fixture);
    const place = farPlace(fixture), length = 1200;
    // In steps that the far end has taken before the next: what nobody reads may get lost.
    const step = Math.ceil(fixture.near.slab.size / length / 4);
    for (let round = 1; round <= 6; round++) {
      for (let count = 0; count < step; count++) near.write(patterned(length, count), place);
      fixture.near.flush();
      await far.until(round * step);
    }
    assertEquals(fixture.near.counters.lostPackets, 0);
    assertEquals(fixture.near.counters.sentPackets, 6 * step);
    assertEquals(fixture.far.counters.receivedPackets, 6 * step);
  },

  async "a turn follows what has come, and what is answered in it goes"(fixture) {
    const { near, far } = listenOn(fixture);
    far.onTurn = () => far.packets.length === 3 && far.send(Uint8Array.of(9), far.places[0]!);
    for (let count = 0; count < 3; count++) near.send(Uint8Array.of(count), farPlace(fixture));
    await near.until(1);
    assertEquals([...near.packets[0]!], [9]);
  },

  "places of one address have one key, those of another another"({ near, farHost }) {
    assertEquals(near.place(farHost, 9).key, near.place(farHost, 9).key);
    assertEquals([near.place(farHost, 9).host, near.place(farHost, 9).port], [farHost, 9]);
    assertNotEquals(near.place(farHost, 9).key, near.place(farHost, 10).key);
    return Promise.resolve();
  },

  async "closing ends it once, last of all, and what is sent later is lost and no error"(fixture) {
    const { near } = listenOn(fixture);
    const place = farPlace(fixture);
    fixture.near.close();
    fixture.near.close();
    near.send(Uint8Array.of(1), place);
    await near.closed;
    assertEquals(near.closes, 1);
    await fixture.near[Symbol.asyncDispose]();
    assertEquals(near.closes, 1);
  },

  async "one that never began to receive is closed as well"({ near }) {
    await near[Symbol.asyncDispose]();
  },
};

function farPlace({ near, far, farHost }: CarrierFixture): PacketPlace {
  return near.place(farHost, far.localPorts[0]!);
}

function listenOn({ near, far }: CarrierFixture): { near: CarrierListener; far: CarrierListener } {
  return { near: new CarrierListener(near), far: new CarrierListener(far) };
}

function patterned(length: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 13) & 0xff);
}

/** Starts a carrier, keeps what comes, and sends. */
export class CarrierListener {
  readonly packets: Uint8Array<ArrayBuffer>[] = [];
  readonly places: PacketPlace[] = [];
  readonly starts: number[] = [];
  closes = 0;
  /** Whether what has been read is overwritten. */
  changes = false;
  readonly closed: Promise<unknown>;
  readonly #carrier: PacketCarrier;
  readonly #changes = new Changes();
  readonly #closed = Promise.withResolvers<unknown>();
  /** What is done with each, and in each turn. */
  onPacket: (bytes: Uint8Array<ArrayBuffer>, from: PacketPlace) => unknown = () => {};
  onTurn: () => unknown = () => {};

  constructor(carrier: PacketCarrier) {
    this.#carrier = carrier;
    this.closed = this.#closed.promise;
    carrier.start({
      onPacket: (slab, start, end, from) => this.#take(slab, start, end, from),
      onTurn: () => void this.onTurn(),
      onClose: (error) => this.#end(error),
    });
  }

  #end(error: unknown): void {
    this.closes++;
    this.#closed.resolve(error);
  }

  /** Until so many have come. */
  async until(count: number): Promise<void> {
    await this.#changes.until(() => this.packets.length >= count, `${count} packets`, () => `${this.packets.length}`);
  }

  write(bytes: Uint8Array, to: PacketPlace): void {
    const at = this.#carrier.reserve(bytes.length);
    this.#carrier.slab.bytes.set(bytes, at);
    this.#carrier.commit(bytes.length, to);
  }

  send(bytes: Uint8Array, to: PacketPlace): void {
    this.write(bytes, to);
    this.#carrier.flush();
  }

  #take(slab: Slab, start: number, end: number, from: PacketPlace): void {
    const bytes = slab.bytes.slice(start, end);
    this.packets.push(bytes);
    this.places.push(from);
    this.starts.push(start);
    if (this.changes) slab.bytes.fill(0xee, start, end);
    this.onPacket(bytes, from);
    this.#changes.tell();
  }
}
