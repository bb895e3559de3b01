import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { encodeBase32 } from "../encoding.ts";
import { Slab } from "../slab.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { REPLAY_WINDOW } from "../wireguard/constants.ts";
import { fragmentBytesFor, legKey, LegOpener, LegSealer, MAX_BODY_BYTES, REFUSED } from "./leg_seal.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, at) => at);
const RELAY = encodeBase32(new Uint8Array(16).fill(0x11));
const OTHER = encodeBase32(new Uint8Array(16).fill(0x12));

function pair() {
  const sealer = new LegSealer(portableWireGuardCrypto, KEY);
  const opener = new LegOpener(portableWireGuardCrypto, KEY);
  return {
    sealer,
    opener,
    [Symbol.dispose]() {
      sealer[Symbol.dispose]();
      opener[Symbol.dispose]();
    },
  };
}

// Our own: HMAC-BLAKE2s by Python's hashlib and hmac.
Deno.test("the key of a leg is that of its vector, and another for another leg or relay", () => {
  assertEquals(
    encodeHex(legKey(KEY, { leg: 258, relayId: RELAY })),
    "d26c9668dfbca411f992446fed36fad9c78b8e531916a730631a71330c8733a4",
  );
  assertNotEquals(legKey(KEY, { leg: 0, relayId: RELAY }), legKey(KEY, { leg: 0, relayId: OTHER }));
  assertNotEquals(legKey(KEY, { leg: 0, relayId: RELAY }), legKey(KEY, { leg: 1, relayId: RELAY }));
});

Deno.test("a fragment has the size of its class", () => {
  const rows = [[0, 512], [488, 512], [489, 2048], [2024, 2048], [2025, 8192], [8169, 32768], [32744, 32768]] as const;
  for (const [body, size] of rows) assertEquals(fragmentBytesFor(body), size, `${body}`);
  assertEquals(fragmentBytesFor(MAX_BODY_BYTES + 1), undefined);
});

Deno.test("bodies of any length come out as they went in, with zeros behind, at any place of a slab", () => {
  using legs = pair();
  const slab = new Slab(33_000);
  const body = fc.uint8Array({ maxLength: 3000, size: "max" });
  let number = 0;
  fc.assert(fc.property(body, fc.nat(50), (bytes, offset) => {
    slab.bytes.fill(0xaa);
    slab.bytes.set(bytes, offset + 8);
    const length = legs.sealer.seal(slab, offset, bytes.length);
    assertEquals(length, fragmentBytesFor(bytes.length));
    assertEquals(encodeHex(slab.bytes.subarray(offset, offset + 4)), "01000000");
    assert(slab.bytes.subarray(0, offset).every((byte) => byte === 0xaa));
    assert(slab.bytes.subarray(offset + length).every((byte) => byte === 0xaa));
    const opened = legs.opener.open(slab, offset, length);
    assertEquals(opened, length - 24);
    assertEquals(legs.opener.lastNumber, number++);
    assertEquals(slab.bytes.slice(offset + 8, offset + 8 + bytes.length), new Uint8Array(bytes));
    assert(slab.bytes.subarray(offset + 8 + bytes.length, offset + 8 + opened).every((byte) => byte === 0));
  }));
  assertEquals(legs.sealer.nextNumber, number);
});

Deno.test("a fragment in which anything is changed is refused, and the true one is taken then, once", () => {
  using legs = pair();
  const sealed = new Slab(512);
  sealed.bytes.fill(7, 8, 100);
  legs.sealer.seal(sealed, 0, 92);
  const slab = new Slab(512);
  for (let bit = 0; bit < 512 * 8; bit += 7) {
    slab.bytes.set(sealed.bytes);
    slab.bytes[bit >> 3]! ^= 1 << (bit & 7);
    assertEquals(legs.opener.open(slab, 0, 512), REFUSED, `bit ${bit}`);
  }
  slab.bytes.set(sealed.bytes);
  assertEquals(legs.opener.open(slab, 0, 512), 488);
  slab.bytes.set(sealed.bytes);
  assertEquals(legs.opener.open(slab, 0, 512), REFUSED);
});

Deno.test("fragments may come in any order within the window, each is taken once", () => {
  using legs = pair();
  const random = new SeededRandom(5);
  const fragments = Array.from({ length: 200 }, () => {
    const slab = new Slab(512);
    legs.sealer.seal(slab, 0, 0);
    return slab.bytes;
  });
  const order = fragments.flatMap((_, at) => [at, at]).sort(() => random.next() - 0.5);
  const taken = new Set<number>();
  const slab = new Slab(512);
  for (const at of order) {
    slab.bytes.set(fragments[at]!);
    assertEquals(legs.opener.open(slab, 0, 512), taken.has(at) ? REFUSED : 488, `${at}`);
    taken.add(at);
  }
  assertEquals(taken.size, 200);
});

Deno.test("one that comes after the window has moved on is refused", () => {
  using legs = pair();
  const slab = new Slab(512);
  legs.sealer.seal(slab, 0, 0);
  const first = slab.bytes.slice();
  for (let number = 1; number <= REPLAY_WINDOW + 1; number++) legs.sealer.seal(slab, 0, 0);
  assertEquals(legs.opener.open(slab, 0, 512), 488);
  slab.bytes.set(first);
  assertEquals(legs.opener.open(slab, 0, 512), REFUSED);
});

Deno.test("any bytes of any length are refused", () => {
  using legs = pair();
  const lengths = fc.constantFrom(0, 1, 7, 8, 24, 100, 511, 512, 513, 2048);
  fc.assert(fc.property(lengths, fc.nat(0xffffffff), (length, seed) => {
    const slab = new Slab(2100);
    new SeededRandom(seed).fill(slab.bytes);
    slab.bytes[0] = 1;
    slab.bytes[1] = 0;
    assertEquals(legs.opener.open(slab, 0, length), REFUSED);
  }));
  assertEquals(legs.opener.open(new Slab(100), 0, 512), REFUSED);
  assertEquals(legs.opener.open(new Slab(600), -1, 512), REFUSED);
});

Deno.test("a body that fits no fragment or no slab is a mistake of ours", () => {
  using legs = pair();
  assertThrows(() => legs.sealer.seal(new Slab(40_000), 0, MAX_BODY_BYTES + 1), RangeError);
  assertThrows(() => legs.sealer.seal(new Slab(508), 0, 10), RangeError);
  assertEquals(legs.sealer.nextNumber, 0);
});
