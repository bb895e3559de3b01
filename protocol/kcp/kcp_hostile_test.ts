import { assert, assertEquals, assertLess } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { encodeSegments, KcpEnd } from "./fixtures/kcp_end.ts";
import { kcpMemory } from "./segment_blocks.ts";

const number = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 0xffffffff }));
const segment = fc.record({
  cmd: fc.constantFrom(81, 82, 83, 84, 85, 0),
  frg: fc.integer({ min: 0, max: 255 }),
  wnd: fc.integer({ min: 0, max: 0xffff }),
  ts: number,
  sn: number,
  una: fc.oneof(fc.constant(0), number),
  data: fc.string({ maxLength: 50 }),
});
const datagram = fc.array(segment, { minLength: 1, maxLength: 20 }).map(encodeSegments);

/** Goes on whatever came: something is written, time passes, all that is due is pulled. */
function live(end: KcpEnd, datagrams: readonly Uint8Array[]): void {
  for (const [index, bytes] of datagrams.entries()) {
    end.outgoing = new Uint8Array(1000);
    end.kcp.wake();
    end.receiveBytes(bytes.subarray(0, 4000), index % 7 === 6);
    if (index % 3 === 0) end.wantsBytes = !end.wantsBytes;
    if (end.wantsBytes) end.kcp.resume();
    assertLess(end.pull().length, 200);
    end.at(end.nowMs + (index % 5) * 40);
    assert(end.kcp.inFlight >= 0 && end.kcp.inFlight <= 64);
    assert(end.kcp.inFlightBytes >= 0);
  }
}

Deno.test("any bytes are survived", () => {
  fc.assert(fc.property(fc.array(anyBytes(), { maxLength: 30 }), (all) => live(new KcpEnd({ conv: undefined }), all)), {
    numRuns: 300,
  });
});

Deno.test("any segments of the conversation, whole or spoilt, are survived", () => {
  const some = fc.array(fc.oneof(datagram, mutationsOf(datagram)), { minLength: 1, maxLength: 40 });
  fc.assert(fc.property(some, (all) => live(new KcpEnd({ goodbye: true }), all)), { numRuns: 500 });
});

Deno.test("a peer that acknowledges what it likes cannot make more be sent than the windows allow", () => {
  const end = new KcpEnd({ sendWindow: 64 });
  end.outgoing = new Uint8Array(1_000_000);
  end.kcp.wake();
  end.receive({ cmd: 84, wnd: 0xffff });
  assertEquals(end.pull().length, 64);
  for (let sn = 63; sn > 0; sn--) end.receive({ cmd: 82, sn, ts: 1000, wnd: 0xffff });
  end.pull();
  assertEquals(end.kcp.inFlight, 64);
});

Deno.test("what lies beyond the window is neither kept nor acknowledged", () => {
  const end = new KcpEnd({ receiveWindow: 8 });
  for (const sn of [8, 9, 1000, 0x7fffffff, 0x80000000]) end.receive({ sn, data: "x" });
  assertEquals(end.pull().flat().filter(({ sn }) => sn < 0x80000000), []);
  end.receive({ sn: 7, data: "x" });
  assertEquals(end.pull().flat().map(({ sn, una }) => [sn, una]), [[7, 0]]);
});

Deno.test("what lies in gaps has a bound that sessions share, and what comes in order goes on beyond it", () => {
  const { sending, receiving } = kcpMemory(124);
  const memory = { sending, receiving: receiving.part(4) };
  const [greedy, other] = [new KcpEnd({ memory, receiveWindow: 1024 }), new KcpEnd({ memory, receiveWindow: 1024 })];
  const kept = () => greedy.pull().flat().map(({ sn }) => sn);
  for (let sn = 8; sn < 1000; sn += 16) greedy.receive({ sn, data: "x" });
  assertEquals(kept(), [8, 24, 40, 56]);
  other.receive({ sn: 1, data: "b" });
  assertEquals(other.pull().flat(), []);
  other.receive({ sn: 0, data: "a" });
  other.receive({ sn: 1, data: "b" });
  assertEquals(other.incoming, "ab");
  // What was passed by is given back, for all.
  for (let sn = 0; sn < 57; sn++) greedy.receive({ sn, data: "x" });
  other.receive({ sn: 3, data: "d" });
  other.receive({ sn: 2, data: "c" });
  assertEquals(other.incoming, "abcd");
});

Deno.test("a peer that does not mind a closed window fills no more than two of them", () => {
  const end = new KcpEnd({ receiveWindow: 8 });
  end.wantsBytes = false;
  for (let sn = 0; sn < 1000; sn++) end.receive({ sn, data: `${sn} ` });
  const said = end.pull().flat();
  assertEquals([said.at(-1)!.una, said.at(-1)!.wnd, Math.max(...said.map(({ sn }) => sn))], [8, 0, 15]);
  end.wantsBytes = true;
  end.kcp.resume();
  assertEquals(end.incoming, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 ");
});

Deno.test("acknowledgements that are never fetched do not pile up", () => {
  const end = new KcpEnd({ ackNoDelay: false, mtuBytes: 1500 });
  for (let round = 0; round < 1000; round++) {
    end.receive(...Array.from({ length: 60 }, (_, index) => ({ sn: index + 1, data: "" })));
  }
  const acks = end.pull().flat().length;
  assertLess(acks, 4097);
});
