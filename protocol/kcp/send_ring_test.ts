import { assertEquals, assertGreater } from "@std/assert";
import { SegmentBlocks } from "./segment_blocks.ts";
import { SendRing } from "./send_ring.ts";

const SEGMENT_BYTES = 100;

/** Fills segments with their numbers, as many as there is room for. */
function fill(ring: SendRing, most: number): void {
  const room = ring.room(most);
  for (let at = 0; at < room.length; at += SEGMENT_BYTES) room[at] = ring.end + at / SEGMENT_BYTES;
  ring.filled(room.length);
}

for (const inFlight of [1, 2, 15, 16]) {
  Deno.test(`a ring with ${inFlight} in flight is as small as one with none, wherever they lie`, () => {
    const ring = new SendRing(new SegmentBlocks(SEGMENT_BYTES, 4));
    const { slots, sns } = ring;
    for (let sent = 0; sent < 200; sent++) {
      while (((ring.end - ring.una) | 0) < inFlight) fill(ring, 1);
      while (ring.next !== ring.end) ring.takeNext();
      assertEquals(ring.bytesOf(ring.slotOf(ring.una))[0], sent & 255);
      ring.touch(sent);
      ring.ack(ring.slotOf(ring.una));
      ring.advance();
      ring.shrink(10_000 + sent);
    }
    assertEquals([ring.slots, ring.sns], [slots, sns]);
  });
}

Deno.test("a ring grows with what is in flight, and loses nothing by it", () => {
  const ring = new SendRing(new SegmentBlocks(SEGMENT_BYTES, 4));
  const { slots } = ring;
  for (let sent = 0; sent < 300; sent++) {
    fill(ring, 16);
    while (ring.next !== ring.end) ring.takeNext();
    assertEquals(ring.bytesOf(ring.slotOf(ring.una))[0], sent & 255);
    ring.ack(ring.slotOf(ring.una));
    ring.advance();
  }
  assertGreater(ring.slots, slots);
});
