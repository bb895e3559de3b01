import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { blake2s } from "@noble/hashes/blake2.js";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { parseIp } from "../ip.ts";
import type { Bytes } from "../primitives.ts";
import { INITIATION_BYTES, RESPONSE_BYTES } from "./constants.ts";
import { MacChecker, MacStamper } from "./cookie.ts";
import { portableWireGuardCrypto as suite } from "./crypto.ts";
import { messageType } from "./messages.ts";
import type { Endpoint } from "./settings.ts";

const HOME = endpoint("192.0.2.1", 51820);
const ELSEWHERE = [
  { name: "another port", from: endpoint("192.0.2.1", 51821) },
  { name: "another port in the upper byte", from: endpoint("192.0.2.1", 51820 ^ 0x100) },
  { name: "another address", from: endpoint("192.0.2.2", 51820) },
  { name: "an IPv6 address", from: endpoint("2001:db8::1", 51820) },
];

function endpoint(address: string, port: number): Endpoint {
  return { address: parseIp(address)!, port };
}

class Rig {
  readonly random: SeededRandom;
  readonly publicKey: Bytes;
  readonly checker: MacChecker;
  readonly stamper: MacStamper;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.publicKey = this.random.fill(new Uint8Array(32));
    this.checker = new MacChecker({ crypto: suite, random: this.random }, this.publicKey);
    this.stamper = new MacStamper(suite, this.publicKey);
  }

  /** A stamped message of random content. */
  message(nowMs: number, length = INITIATION_BYTES): Bytes {
    const packet = this.random.fill(new Uint8Array(length));
    this.stamper.stamp(packet, nowMs);
    return packet;
  }

  hasMac2(packet: Bytes, nowMs: number, from = HOME): boolean {
    return this.checker.hasMac2({ packet, length: packet.length, from, nowMs });
  }

  reply(packet: Bytes, nowMs: number, from = HOME): Bytes {
    return this.checker.cookieReply({ packet, length: packet.length, from, nowMs });
  }

  /** Has the stamper take a cookie. */
  bake(nowMs: number): void {
    assert(this.stamper.takeReply(this.reply(this.message(nowMs), nowMs), nowMs));
  }
}

Deno.test("mac1 is the keyed hash of everything before it, and mac2 is zero without a cookie", () => {
  const rig = new Rig(1);
  for (const length of [INITIATION_BYTES, RESPONSE_BYTES]) {
    const packet = rig.message(0, length);
    const key = blake2s(new Uint8Array([...new TextEncoder().encode("mac1----"), ...rig.publicKey]));
    const mac1 = blake2s(packet.subarray(0, length - 32), { key, dkLen: 16 });
    assertEquals(encodeHex(packet.subarray(length - 32)), encodeHex(mac1) + "00".repeat(16));
    assert(rig.checker.hasMac1(packet, length));
    assert(!rig.hasMac2(packet, 0));
  }
});

Deno.test("a message in which any bit before mac2 differs has no mac1, and it lies in a longer buffer", () => {
  const rig = new Rig(2);
  const buffer = new Uint8Array(200).fill(0xcc);
  buffer.set(rig.message(0, RESPONSE_BYTES));
  assert(rig.checker.hasMac1(buffer, RESPONSE_BYTES));
  for (let bit = 0; bit < (RESPONSE_BYTES - 16) * 8; bit++) {
    buffer[bit >> 3]! ^= 1 << (bit & 7);
    assert(!rig.checker.hasMac1(buffer, RESPONSE_BYTES), `bit ${bit}`);
    buffer[bit >> 3]! ^= 1 << (bit & 7);
  }
  buffer[RESPONSE_BYTES - 1]! ^= 1;
  assert(rig.checker.hasMac1(buffer, RESPONSE_BYTES));
});

Deno.test("with a cookie messages have a mac2, from the same address and port only", () => {
  const rig = new Rig(3);
  const first = rig.message(0);
  const reply = rig.reply(first, 0);
  assertEquals(messageType(new DataView(reply.buffer), 0, reply.length), 3);
  assertEquals(reply.subarray(4, 8), first.subarray(4, 8));
  assert(rig.stamper.takeReply(reply, 0));
  for (const length of [INITIATION_BYTES, RESPONSE_BYTES]) {
    const packet = rig.message(1, length);
    assert(rig.checker.hasMac1(packet, length));
    assert(rig.hasMac2(packet, 1));
    for (const { name, from } of ELSEWHERE) assert(!rig.hasMac2(packet, 1, from), name);
    packet[length - 1]! ^= 1;
    assert(!rig.hasMac2(packet, 1));
  }
});

Deno.test("cookies of the same address and time are the same, sealed with another nonce each", () => {
  const rig = new Rig(4);
  const packet = rig.message(0);
  const [one, other] = [rig.reply(packet, 0), rig.reply(packet, 1)];
  assertNotEquals(one.subarray(8), other.subarray(8));
  assert(rig.stamper.takeReply(one, 0));
  const stamped = rig.message(2);
  assert(rig.hasMac2(stamped, 2));
});

Deno.test("a cookie is used for 115 seconds, and its secret forgotten after 120", () => {
  const rig = new Rig(5);
  rig.bake(1_000);
  const stamped = rig.message(115_999);
  assert(stamped.subarray(-16).some((byte) => byte !== 0));
  assert(rig.message(116_000).subarray(-16).every((byte) => byte === 0));
  assert(rig.hasMac2(stamped, 120_999));
  assert(!rig.hasMac2(stamped, 121_000));
  rig.reply(rig.message(121_000), 121_000); // a new secret
  assert(!rig.hasMac2(stamped, 121_001));
  rig.bake(121_002);
  assert(rig.hasMac2(rig.message(121_003), 121_003));
});

Deno.test("only an answer to the last message is taken, and only once", () => {
  const rig = new Rig(6);
  const early = rig.message(0);
  const earlyReply = rig.reply(early, 0);
  assert(!new MacStamper(suite, rig.publicKey).takeReply(earlyReply, 0), "nothing was sent");
  const late = rig.message(1);
  assert(!rig.stamper.takeReply(earlyReply, 1), "an answer to the message before");
  const reply = rig.reply(late, 1);
  assert(rig.stamper.takeReply(reply, 1));
  assert(!rig.stamper.takeReply(reply, 1), "the second time");
});

Deno.test("false replies change nothing, whatever they are", () => {
  const rig = new Rig(7);
  rig.bake(0);
  const packet = rig.message(1);
  const reply = rig.reply(packet, 1);
  const isSame = (bytes: Uint8Array) => encodeHex(bytes.slice(8)) === encodeHex(reply.slice(8));
  fc.assert(fc.property(fc.oneof(anyBytes(80), mutationsOf(fc.constant(reply))), (bytes) => {
    if (isSame(bytes) && bytes.length === reply.length) return; // type and index are checked by others
    assert(!rig.stamper.takeReply(new Uint8Array(bytes), 1));
  }));
  assert(rig.stamper.takeReply(reply, 1));
  assert(rig.hasMac2(rig.message(2), 2));
});

Deno.test("a checker of another device knows neither mac", () => {
  const rig = new Rig(8);
  rig.bake(0);
  const packet = rig.message(1);
  const other = new MacChecker({ crypto: suite, random: rig.random }, new Uint8Array(32));
  other.cookieReply({ packet, length: packet.length, from: HOME, nowMs: 0 });
  assert(!other.hasMac1(packet, packet.length));
  assert(!other.hasMac2({ packet, length: packet.length, from: HOME, nowMs: 1 }));
});

Deno.test("once disposed of, a checker knows no cookie and a stamper has none", () => {
  const rig = new Rig(9);
  rig.bake(0);
  const packet = rig.message(1);
  rig.checker[Symbol.dispose]();
  assert(!rig.hasMac2(packet, 1));
  rig.stamper[Symbol.dispose]();
  assert(rig.message(2).subarray(-16).every((byte) => byte === 0));
});

Deno.test("checking macs makes no garbage", () => {
  const rig = new Rig(10);
  rig.bake(0);
  const packet = rig.message(1);
  const received = { packet, length: packet.length, from: HOME, nowMs: 1 };
  const check = (times: number) => {
    for (let time = 0; time < times; time++) {
      assert(rig.checker.hasMac1(packet, packet.length));
      assert(rig.checker.hasMac2(received));
    }
  };
  check(20_000);
  const before = Deno.memoryUsage().heapUsed;
  check(20_000);
  const perMessage = (Deno.memoryUsage().heapUsed - before) / 20_000;
  assert(perMessage < 16, `${perMessage} bytes per message`);
});
