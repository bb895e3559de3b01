import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes } from "../../testing/fuzz.ts";
import { counterOf, messageType, receiverOf, senderOf, writeTransportHeader } from "./messages.ts";

const LENGTHS = [{ type: 1, bytes: 148 }, { type: 2, bytes: 92 }, { type: 3, bytes: 64 }] as const;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

Deno.test("a message has a type only at the length of its type", () => {
  const view = viewOf(new Uint8Array(300));
  for (let type = 0; type < 256; type++) {
    view.setUint32(8, type, true);
    for (let length = 0; length <= 290; length++) {
      const isRight = type === 4 ? length >= 32 : LENGTHS.some((row) => row.type === type && row.bytes === length);
      assertEquals(messageType(view, 8, length), isRight ? type : 0, `type ${type}, ${length} bytes`);
    }
  }
});

Deno.test("the three bytes after the type must be zero", () => {
  const view = viewOf(new Uint8Array(64));
  for (const at of [1, 2, 3]) {
    view.setUint32(0, 4, true);
    view.setUint8(at, 1);
    assertEquals(messageType(view, 0, 64), 0, `byte ${at}`);
  }
});

Deno.test("any bytes have a type or none, and reading goes no further than their length", () => {
  fc.assert(fc.property(anyBytes(200), (bytes) => {
    const view = viewOf(bytes);
    const type = messageType(view, 0, bytes.length);
    if (type === 0) return;
    receiverOf(view, 0, type);
    senderOf(view, 0);
    counterOf(view, 0);
  }));
});

Deno.test("what is written in front of a packet is read again", () => {
  const index = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(fc.property(index, fc.maxSafeNat(), fc.nat(20), (receiver, counter, offset) => {
    const bytes = new Uint8Array(60).fill(0xee);
    const view = viewOf(bytes);
    writeTransportHeader(view, offset, receiver, counter);
    assertEquals(messageType(view, offset, 32), 4);
    assertEquals(receiverOf(view, offset, 4), receiver);
    assertEquals(counterOf(view, offset), counter);
    assert(bytes.every((byte, at) => (at >= offset && at < offset + 16) || byte === 0xee));
  }));
});

Deno.test("indexes are where each message has them", () => {
  const view = viewOf(Uint8Array.from({ length: 148 }, (_, at) => at));
  assertEquals(senderOf(view, 0), 0x07060504);
  assertEquals(receiverOf(view, 0, 2), 0x0b0a0908);
  assertEquals(receiverOf(view, 0, 3), 0x07060504);
  assertEquals(receiverOf(view, 0, 4), 0x07060504);
});

Deno.test("a counter beyond what a number counts exactly is beyond every limit", () => {
  const view = viewOf(new Uint8Array(32).fill(0xff));
  assert(counterOf(view, 0) >= 2 ** 63);
});
