import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { isV4Mapped, parseIp } from "../ip.ts";
import type { Bytes } from "../primitives.ts";
import { anyAddress } from "../wireguard/fixtures/arbitraries.ts";
import { answerReflection, encodeReflectionRequest, readReflection } from "./reflection.ts";

const anyId = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((id): Bytes => id.slice());
const anyPlace = fc.record({
  address: anyAddress.filter((address) => !isV4Mapped(address)),
  port: fc.integer({ min: 1, max: 65535 }),
}, { noNullPrototype: true });
const anyAnswer = fc.tuple(anyId, anyPlace).map(([id, at]) => answerReflection(encodeReflectionRequest(id), at)!);

Deno.test("a question and its answer are these bytes", () => {
  const id = Uint8Array.fromHex("0102030405060708");
  const request = encodeReflectionRequest(id);
  assertEquals(request.toHex(), "c1000000" + "0102030405060708" + "00".repeat(20));
  const rows = [
    { from: "192.0.2.7", family: "04", address: "c0000207" + "00".repeat(12) },
    { from: "::ffff:192.0.2.7", family: "04", address: "c0000207" + "00".repeat(12) },
    { from: "2001:db8::9", family: "06", address: "20010db8" + "00".repeat(11) + "09" },
  ];
  for (const { from, family, address } of rows) {
    const answer = answerReflection(request, { address: parseIp(from)!, port: 0x1234 });
    assertEquals(answer?.toHex(), `c2${family}1234` + "0102030405060708" + address + "00000000", from);
  }
});

Deno.test("who asks reads where it was seen, and its own id", () => {
  fc.assert(fc.property(anyId, anyPlace, (id, at) => {
    assertEquals(readReflection(answerReflection(encodeReflectionRequest(id), at)!), { id, at });
  }));
});

Deno.test("an answer has one form: what reads as one is written the same again", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.constantFrom(4, 6), (bytes, family) => {
    bytes.set([0xc2, family]);
    const read = readReflection(bytes);
    if (read) assertEquals(answerReflection(encodeReflectionRequest(read.id), read.at), bytes.slice());
  }));
});

Deno.test("what is not a question is not answered", () => {
  const from = { address: parseIp("192.0.2.7")!, port: 1 };
  const request = encodeReflectionRequest(new Uint8Array(8));
  assertEquals(answerReflection(request.subarray(0, 31), from), undefined);
  assertEquals(answerReflection(new Uint8Array(33), from), undefined);
  for (const at of [0, 1, 2, 3, 12, 31]) {
    const changed = request.slice();
    changed[at]! ^= 1;
    assertEquals(answerReflection(changed, from), undefined, `byte ${at}`);
  }
  assertThrows(() => encodeReflectionRequest(new Uint8Array(7)), RangeError, "8 bytes, got 7");
});

Deno.test("an answer to an answer is not given: two relays cannot be set on each other", () => {
  fc.assert(
    fc.property(anyAnswer, anyPlace, (answer, from) => assertEquals(answerReflection(answer, from), undefined)),
  );
});

Deno.test("any bytes are an answer or none", () => {
  assertDecoderSurvives(readReflection, { valid: anyAnswer, maxLength: 64 });
  const from = { address: parseIp("192.0.2.7")!, port: 1 };
  assertDecoderSurvives((bytes) => answerReflection(bytes, from), {
    valid: anyId.map(encodeReflectionRequest),
    maxLength: 64,
  });
});
