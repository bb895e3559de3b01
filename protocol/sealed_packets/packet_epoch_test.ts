import { chacha20 } from "@noble/ciphers/chacha.js";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, assertDecoderSurvives } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Slab } from "../slab.ts";
import { portableWireGuardCrypto as crypto } from "../wireguard/crypto.ts";
import { LEAST_PACKET_BYTES, PACKET_HEAD_BYTES, PacketEpoch, readCounter, readIndex } from "./packet_epoch.ts";
import { PacketMask } from "./packet_mask.ts";
import {
  decodeAnswerWords,
  decodeHelloWords,
  encodeAnswerWords,
  encodeHelloWords,
  LEAST_BODY_BYTES,
  Word,
  writeWord,
} from "./session_words.ts";

const START = 4;

/** Both ends of one hello's keys. */
function epochs(seed = 1) {
  const random = new SeededRandom(seed);
  const mask = new PacketMask(random.fill(new Uint8Array(32)));
  const [one, two] = [random.fill(new Uint8Array(32)), random.fill(new Uint8Array(32))];
  const near = { send: one.slice(), receive: two.slice() };
  const far = { send: two.slice(), receive: one.slice() };
  return {
    random,
    mask,
    near: new PacketEpoch({ crypto, mask, keys: near, localIndex: 11, remoteIndex: -22 }),
    far: new PacketEpoch({ crypto, mask, keys: far, localIndex: -22, remoteIndex: 11 }),
  };
}

/** A slab with a packet of that body in it, sealed. */
function sealed(epoch: PacketEpoch, body: Uint8Array): { slab: Slab; start: number; end: number } {
  const slab = new Slab(START + LEAST_PACKET_BYTES + body.length);
  const end = START + LEAST_PACKET_BYTES + body.length;
  slab.bytes.set(body, START + PACKET_HEAD_BYTES);
  epoch.seal(slab, START, end);
  return { slab, start: START, end };
}

Deno.test("the mask is the block of ChaCha20 that noble gives", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      (key, tag) => {
        const slab = new Slab(20);
        slab.bytes.set(tag, 4);
        const mask = new PacketMask(new Uint8Array(key));
        mask.choose(slab, 4);
        const counter = new DataView(tag.buffer, tag.byteOffset).getUint32(0, true);
        // noble counts blocks up to the last, of which it makes none.
        fc.pre(counter < 0xffffffff);
        const block = chacha20(key, tag.subarray(4), new Uint8Array(8), undefined, counter);
        const view = new DataView(block.buffer, block.byteOffset);
        assertEquals([mask.first, mask.second], [view.getInt32(0, true), view.getInt32(4, true)]);
      },
    ),
  );
});

Deno.test("what one end seals the other opens, once", () => {
  const { mask, near, far, random } = epochs();
  for (const length of [0, 1, 24, 500, 1400]) {
    const body = random.fill(new Uint8Array(length));
    const { slab, start, end } = sealed(near, body);
    assertEquals(readIndex(mask, slab, start, end), -22);
    const counter = readCounter(mask, slab, start);
    const again = new Slab(slab.bytes.slice().buffer);
    assert(far.open(slab, start, end, counter));
    assert(far.isNewest);
    assertEquals(slab.bytes.slice(start + PACKET_HEAD_BYTES, start + PACKET_HEAD_BYTES + length), body);
    assertEquals(readCounter(mask, again, start), counter);
    assert(!far.open(again, start, end, counter), "a copy is not opened");
  }
});

Deno.test("a packet that came late is opened and is not the newest", () => {
  const { mask, near, far } = epochs();
  const packets = Array.from({ length: 3 }, (_, number) => sealed(near, new Uint8Array(30).fill(number)));
  const opens = ({ slab, start, end }: typeof packets[number]) => {
    readIndex(mask, slab, start, end);
    return far.open(slab, start, end, readCounter(mask, slab, start)) && far.isNewest;
  };
  assertEquals([opens(packets[1]!), opens(packets[0]!), opens(packets[2]!)], [true, false, true]);
  assertEquals(far.newestCounter, 2);
});

Deno.test("no byte of a packet is the same twice, or counts up", () => {
  const { near } = epochs();
  const rounds = 600;
  const body = new Uint8Array(40);
  const packets = Array.from({ length: rounds }, () => {
    const { slab, start, end } = sealed(near, body);
    return slab.bytes.slice(start, end);
  });
  for (let at = 0; at < packets[0]!.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const ones = packets.filter((packet) => (packet[at]! >> bit & 1) === 1).length;
      assert(Math.abs(ones - rounds / 2) < 6 * Math.sqrt(rounds) / 2, `byte ${at}, bit ${bit}: ${ones} ones`);
    }
  }
});

Deno.test("a packet of which any bit was changed, and any bytes at all, are not opened", () => {
  const { mask, near, far, random } = epochs();
  const { slab, start, end } = sealed(near, random.fill(new Uint8Array(40)));
  const opens = (bytes: Uint8Array) => {
    const copy = new Slab(bytes.length);
    copy.bytes.set(bytes);
    if (bytes.length - start < LEAST_PACKET_BYTES) return false;
    const isOurs = readIndex(mask, copy, start, bytes.length) === far.localIndex;
    return isOurs && far.open(copy, start, bytes.length, readCounter(mask, copy, start));
  };
  for (let bit = 0; bit < 8 * (end - start); bit++) {
    const changed = slab.bytes.slice(0, end);
    changed[start + (bit >> 3)]! ^= 1 << (bit & 7);
    assert(!opens(changed), `bit ${bit}`);
  }
  fc.assert(fc.property(anyBytes(200), (bytes) => !opens(bytes)));
});

Deno.test("what is said in hellos, answers and words is read as it was written", () => {
  fc.assert(fc.property(fc.constantFrom(0, 1), fc.nat(), fc.nat(), (kind, index, ofServer) => {
    assertEquals(decodeHelloWords(encodeHelloWords({ kind, index, ofServer })), { kind, index, ofServer });
    assertEquals(decodeAnswerWords(encodeAnswerWords({ kind, index })), { kind, index });
  }));
  assertDecoderSurvives(decodeHelloWords);
  assertDecoderSurvives(decodeAnswerWords);
  const random = new SeededRandom(3);
  const slab = new Slab(64);
  const lengths = new Set<number>();
  for (let round = 0; round < 300; round++) {
    const length = writeWord(slab, 8, Word.CLOSED, random);
    assertEquals(slab.bytes[8], Word.CLOSED);
    assert(length >= 1 && length < LEAST_BODY_BYTES);
    lengths.add(length);
  }
  assertEquals(lengths.size, LEAST_BODY_BYTES - 1);
});
