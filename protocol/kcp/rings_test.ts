/** The rings of both directions where their numbers wrap, and what they keep once they are empty. */

import { assertEquals, assertLess } from "@std/assert";
import { ReceiveRing } from "./receive_ring.ts";
import { SegmentBlocks } from "./segment_blocks.ts";
import { SendRing } from "./send_ring.ts";

/** Gives out blocks, and knows how many are out. */
class CountedBlocks extends SegmentBlocks {
  out = 0;

  override take(): ReturnType<SegmentBlocks["take"]> {
    this.out++;
    return super.take();
  }

  override give(block: Parameters<SegmentBlocks["give"]>[0]): void {
    this.out--;
    super.give(block);
  }
}

/** Segments of one byte, its number. */
function fill(ring: SendRing, segments: number): void {
  for (let left = segments; left > 0;) {
    const room = ring.room(left);
    for (let at = 0; at < room.length; at++) room[at] = ring.end + at & 255;
    ring.filled(room.length);
    left -= room.length;
  }
}

for (const first of [2 ** 31 - 40, -40, 2 ** 31 - 1, -1]) {
  Deno.test(`numbers wrap in both rings: from ${first >>> 0} on`, () => {
    const blocks = new CountedBlocks(1, 100);
    const sending = new SendRing(blocks);
    sending.una = sending.next = sending.end = first | 0;
    const receiving = new ReceiveRing(blocks);
    receiving.read = first | 0;
    for (let round = 0; round < 10; round++) {
      fill(sending, 30);
      const slots = Array.from({ length: 30 }, () => sending.takeNext());
      for (const slot of slots.toReversed()) {
        const sn = sending.sns[slot]!;
        assertEquals([sn, sending.bytesOf(slot)[0]], [sn | 0, sn & 255]);
        receiving.keep(sn, sending.bytesOf(slot), 0, 1);
        sending.ack(slot);
      }
      for (let left = 30; left > 0; left--) {
        assertEquals([receiving.has(receiving.read), receiving.first()[0]], [true, receiving.read & 255]);
        receiving.advance();
        sending.advance();
      }
      assertEquals([sending.una, sending.next], [sending.end, sending.end]);
      assertEquals([sending.una, sending.end, receiving.read, receiving.held], [
        sending.end,
        receiving.read,
        first + 30 * (round + 1) | 0,
        0,
      ]);
    }
    assertEquals(blocks.out, 0);
  });
}

Deno.test("a send ring that was large is small again once it has been quiet for a while, and holds no memory", () => {
  const blocks = new CountedBlocks(1, 0);
  const ring = new SendRing(blocks);
  const { slots } = ring;
  fill(ring, 1000);
  for (let left = 1000; left > 0; left--) ring.ack(ring.takeNext());
  ring.touch(1000);
  while (!ring.isEmpty) ring.advance();
  assertLess(slots, ring.slots);
  ring.shrink(5999);
  assertLess(slots, ring.slots);
  ring.shrink(6000);
  assertEquals([ring.slots, blocks.out], [slots, 0]);
});

Deno.test("a send ring that is asked for room and given nothing holds no memory", () => {
  const blocks = new CountedBlocks(1, 0);
  const ring = new SendRing(blocks);
  ring.room(5);
  ring.filled(0);
  assertEquals(blocks.out, 0);
  fill(ring, 16);
  ring.room(5); // the first of another block
  ring.filled(0);
  assertEquals(blocks.out, 1);
});

Deno.test("a receive ring that was large is small again when it is empty, and holds no memory", () => {
  const blocks = new CountedBlocks(1, 0);
  const ring = new ReceiveRing(blocks);
  const one = new Uint8Array(1);
  for (let sn = 999; sn >= 0; sn--) ring.keep(sn, one, 0, 1);
  for (let sn = 0; sn < 1000; sn++) ring.advance();
  assertEquals([ring.held, blocks.out], [0, 0]);
  ring.keep(1000, one, 0, 1);
  assertEquals([ring.has(1000), ring.has(1000 + 100), blocks.out], [true, false, 1]);
  ring.clear();
  assertEquals(blocks.out, 0);
});
