import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { anyBytes } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Slab } from "../slab.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { TICKET_BYTES } from "./datagram.ts";
import { EPOCH_MS, EpochKeys, epochOf } from "./epoch_keys.ts";
import { placeOf } from "./fixtures/routed_network.ts";
import { putAddress, takeAddress, ticketId, TicketReader, TicketSealer } from "./ticket.ts";

const relayKey = new SeededRandom(1).fill(new Uint8Array(32));
const WALL_MS = Date.UTC(2026, 4, 5, 6, 7, 8);

function keysOf(): EpochKeys {
  return new EpochKeys(relayKey, portableWireGuardCrypto);
}

const anyPort = fc.integer({ min: 1, max: 65_535 });
const anyAddress = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
).map((bytes) => new Uint8Array(bytes));
const anyPlace = fc.record({ address: anyAddress, port: anyPort });

Deno.test("what a ticket was made of is what is read, for any two places and at any offset", () => {
  using keys = keysOf();
  const sealer = new TicketSealer(keys, new SeededRandom(2)), reader = new TicketReader(keys);
  fc.assert(fc.property(
    fc.record({ a: anyPlace, b: anyPlace, account: fc.nat(1023), at: fc.nat(200) }),
    ({ a, b, account, at }) => {
      const slab = new Slab(300);
      sealer.seal(slab, at, { a, b, account, lifetimeMs: 60_000 }, WALL_MS);
      assert(reader.read(slab, at, WALL_MS));
      const open = new Uint8Array(reader.words.slice().buffer);
      assertEquals(mapped(takeAddress(open, reader.aWordAt * 4)), mapped(a.address));
      assertEquals(mapped(takeAddress(open, reader.bWordAt * 4)), mapped(b.address));
      assertEquals([reader.aPort, reader.bPort, reader.account], [a.port, b.port, account]);
      assert(!reader.isExpired(WALL_MS + 59_000) && reader.isExpired(WALL_MS + 61_000));
    },
  ));
});

Deno.test("a ticket has 64 bytes, shows nothing of its places, and no two are alike", () => {
  using keys = keysOf();
  const sealer = new TicketSealer(keys, new SeededRandom(2));
  const fields = { a: placeOf("192.0.2.1:4000"), b: placeOf("192.0.2.2:4000"), account: 0, lifetimeMs: 60_000 };
  const seen = new Set<number>();
  const slab = new Slab(TICKET_BYTES + 16);
  for (let count = 0; count < 1000; count++) {
    sealer.seal(slab, 8, fields, WALL_MS);
    seen.add(ticketId(slab.bytes, 8));
  }
  assertEquals(seen.size, 1000);
  assert(slab.bytes.subarray(0, 8).every((byte) => byte === 0) && slab.bytes.subarray(72).every((byte) => byte === 0));
  assert(!slab.bytes.toHex().includes(fields.b.address.toHex()));
});

Deno.test("two processes with one key do not use one nonce twice", () => {
  using keys = keysOf();
  const fields = { a: placeOf("192.0.2.1:4000"), b: placeOf("192.0.2.2:4000"), account: 0, lifetimeMs: 60_000 };
  const ids = [2, 3].map((seed) => {
    const slab = new Slab(TICKET_BYTES);
    new TicketSealer(keys, new SeededRandom(seed)).seal(slab, 0, fields, WALL_MS);
    return ticketId(slab.bytes, 0);
  });
  assertNotEquals(ids[0], ids[1]);
});

Deno.test("a reader takes no bytes for a ticket, and the last one read is not mistaken for another", () => {
  using keys = keysOf();
  const reader = new TicketReader(keys);
  fc.assert(fc.property(anyBytes(TICKET_BYTES), (bytes) => {
    const slab = new Slab(TICKET_BYTES);
    slab.bytes.set(bytes);
    assert(!reader.read(slab, 0, WALL_MS));
  }));
  const slab = new Slab(TICKET_BYTES);
  const fields = { a: placeOf("192.0.2.1:4000"), b: placeOf("192.0.2.2:4000"), account: 5, lifetimeMs: EPOCH_MS };
  new TicketSealer(keys, new SeededRandom(2)).seal(slab, 0, fields, WALL_MS);
  for (let round = 0; round < 3; round++) assert(reader.read(slab, 0, WALL_MS));
  slab.bytes[63]! ^= 1;
  assert(!reader.read(slab, 0, WALL_MS));
  slab.bytes[63]! ^= 1;
  assert(reader.read(slab, 0, WALL_MS));
  // What is known by heart goes with its epoch.
  assert(!reader.read(slab, 0, WALL_MS + 2 * EPOCH_MS));
});

Deno.test("keys of the hour before, of this one and of the next open, and no others", () => {
  using keys = keysOf();
  const epoch = epochOf(WALL_MS);
  for (let step = -6; step <= 6; step++) {
    const found = keys.find((epoch + step) & 3, WALL_MS);
    const isNear = step >= -1 && step <= 1;
    assertEquals(found?.epoch === epoch + step, isNear, `${step}`);
  }
  assertThrows(
    () => new EpochKeys(new Uint8Array(16), portableWireGuardCrypto),
    RangeError,
    "must be 32 bytes, got 16",
  );
});

function mapped(address: Uint8Array<ArrayBuffer>): Uint8Array {
  const bytes = new Uint8Array(16);
  putAddress(bytes, 0, address);
  return bytes;
}
