import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import { Slab } from "../../protocol/slab.ts";
import { Errno } from "../errno.ts";
import { openLibc } from "../libc.ts";
import { BatchSocket } from "./fixtures/relayed_pair.ts";
import { Outbox } from "./outbox.ts";
import { placeAt } from "./relay_place.ts";
import { RelaySocketOpener } from "./relay_port.ts";

/** Each byte of a datagram says where in the slab it lies. */
function slabOf(bytes: number): Slab {
  const slab = new Slab(bytes);
  for (let at = 0; at < bytes; at++) slab.bytes[at] = at * 7 + (at >> 8);
  return slab;
}

for (const isV6 of [true, false]) {
  for (const canSegment of [true, false]) {
    const how = `${isV6 ? "of both families" : "of IPv4 alone"}, ${canSegment ? "with" : "without"} segmentation`;
    Deno.test(`datagrams from anywhere in a slab arrive as they were added, by a socket ${how}`, () => {
      using libc = openLibc();
      const { fd } = new RelaySocketOpener(libc, isV6).open(0)!;
      using _socket = fd;
      using far = new BatchSocket(libc), other = new BatchSocket(libc);
      const place = ({ socket }: BatchSocket) => placeAt({ address: parseIp("127.0.0.1")!, port: socket.port }, isV6);
      const [toFar, toOther] = [place(far), place(other)];
      const outbox = new Outbox(libc, { isV6, canSegment });
      const slab = slabOf(200_000);
      // A batch, single ones that join it, a shorter one that ends it, others of other sizes and for another place.
      const pieces = [
        [0, 3000, 1000, toFar],
        [9000, 1000, 1000, toFar],
        [20_000, 400, 400, toFar],
        [30_000, 1000, 1000, toFar],
        [40_000, 1500, 1500, toOther],
        [50_000, 1500, 1500, toFar],
        [60_000, 64_000, 1000, toFar],
        [130_000, 2500, 1000, toFar],
      ] as const;
      const [expected, forOther]: [Uint8Array[], Uint8Array[]] = [[], []];
      for (const [offset, length, segmentBytes, to] of pieces) {
        outbox.add(fd.number, slab, offset, length, segmentBytes, to, 0);
        for (let at = 0; at < length; at += segmentBytes) {
          const datagram = slab.bytes.slice(offset + at, offset + Math.min(length, at + segmentBytes));
          (to === toFar ? expected : forOther).push(datagram);
        }
      }
      outbox.flush();
      outbox.flush();
      assertEquals(far.receive(expected.length), expected);
      assertEquals(other.receive(1), forOther);
      assertEquals(outbox.refusedDatagrams, 0);
    });
  }
}

Deno.test("what the kernel refuses is counted, datagram by datagram, and what follows goes", () => {
  using libc = openLibc();
  const { fd } = new RelaySocketOpener(libc, true).open(0)!;
  using _socket = fd;
  using far = new BatchSocket(libc);
  const outbox = new Outbox(libc, { isV6: true, canSegment: true });
  const slab = slabOf(10_000);
  // A socket that has not asked for it may not broadcast.
  const everyone = placeAt({ address: parseIp("255.255.255.255")!, port: 9 }, true);
  outbox.add(fd.number, slab, 0, 5000, 1000, everyone, 0);
  outbox.add(fd.number, slab, 0, 100, 100, everyone, 0);
  const place = placeAt({ address: parseIp("127.0.0.1")!, port: far.socket.port }, true);
  outbox.add(fd.number, slab, 0, 300, 100, place, 0);
  outbox.flush();
  assertEquals(outbox.refusedDatagrams, 6);
  assertEquals(outbox.lastErrno, Errno.EACCES);
  assertEquals(far.receive(3).length, 3);
});

Deno.test("an address of ours that is gone is no longer answered from", () => {
  using libc = openLibc();
  const { fd } = new RelaySocketOpener(libc, true).open(0)!;
  using _socket = fd;
  using far = new BatchSocket(libc);
  const outbox = new Outbox(libc, { isV6: true, canSegment: true });
  const place = placeAt({ address: parseIp("127.0.0.1")!, port: far.socket.port }, true);
  // As of a datagram that came to 192.0.2.1.
  place.words.set([0, 0, 0xffff0000, 0x010200c0], place.nameWords);
  outbox.add(fd.number, slabOf(300), 0, 300, 100, place, 0);
  outbox.flush();
  assertEquals([far.receive(3).length, outbox.refusedDatagrams, place.hasOurAddress], [3, 0, false]);
});

Deno.test("where there is no IPv6, no place can be one of it", () => {
  const at = { address: parseIp("2001:db8::1")!, port: 9 };
  assertThrows(() => placeAt(at, false), CulvertError, "got [2001:db8::1]:9");
  assertEquals(placeAt({ address: parseIp("::ffff:192.0.2.1")!, port: 9 }, false).address.length, 4);
});
