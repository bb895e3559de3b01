import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { bareSeal } from "../../protocol/packet_layer/checked_seal.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import { Slab } from "../../protocol/slab.ts";
import { packetText, readPacket } from "./packet_text.ts";

/** 10.0.0.1:1000 > 10.0.0.2:2000, PA, with a PUSH of four bytes and an ACK. */
const TCP_V4 = "4500005c000040004006000" + "00a0000010a000002" + "03e807d0000000010000000250180800000000" + "00" +
  "b201037f51008000000000000c0000000900000004000000" + "01020304" + "b201037f52008000070000000c0000000900000000000000";
/** [2001:db8::1]:1000 > [2001:db8::2]:2000, four bytes. */
const UDP_V6 = "60000000000c1140" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" +
  "03e807d0000c0000" + "01020304";

function slabOf(hex: string): Slab {
  const bytes = Uint8Array.fromHex(hex);
  const slab = new Slab(bytes.length);
  slab.bytes.set(bytes);
  return slab;
}

Deno.test("a packet is told as tcpdump would, and what is in it", () => {
  const tcp = slabOf(TCP_V4);
  const length = TCP_V4.length / 2;
  const head = "10.0.0.1:1000 > 10.0.0.2:2000 TCP PA seq 1 ack 2 win 2048, 52 bytes";
  assertEquals(packetText(readPacket(tcp, 0, length)!), head);
  assertEquals(
    packetText(readPacket(tcp, 0, length, bareSeal)!),
    `${head}, opened: KCP 7f0301b2 PUSH sn 12 una 9 wnd 128 (4) | ` +
      "KCP 7f0301b2 ACK sn 12 una 9 wnd 128",
  );
  const udp = slabOf(UDP_V6);
  assertEquals(packetText(readPacket(udp, 0, 52)!), "[2001:db8::1]:1000 > [2001:db8::2]:2000 UDP, 4 bytes");
  assertEquals(
    packetText(readPacket(udp, 0, 52, bareSeal)!),
    "[2001:db8::1]:1000 > [2001:db8::2]:2000 UDP, 4 bytes, opened: no segments of KCP",
  );
  const strict: PacketSeal = { headBytes: 20, tailBytes: 0, seal() {}, open: () => false };
  assertEquals(
    packetText(readPacket(udp, 0, 52, strict)!),
    "[2001:db8::1]:1000 > [2001:db8::2]:2000 UDP, 4 bytes, not sealed with this key",
  );
});

Deno.test("any bytes are read as a packet without harm", () => {
  const valid = fc.constantFrom(TCP_V4, UDP_V6).map((hex) => Uint8Array.fromHex(hex));
  const meddled = fc.tuple(valid, fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }), fc.nat(200)).map((
    [bytes, changes, cut],
  ) => {
    const copy = bytes.slice(0, Math.max(0, bytes.length - (cut < 60 ? cut : 0)));
    for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
    return copy;
  });
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), meddled), (bytes) => {
    const slab = new Slab(bytes.length + 4);
    slab.bytes.set(bytes);
    const story = readPacket(slab, 0, bytes.length, bareSeal);
    if (!story) return;
    assert(story.payloadBytes >= 0 && story.payloadBytes <= bytes.length);
    packetText(story);
  }));
});
