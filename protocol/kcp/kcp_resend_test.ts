import { assertEquals } from "@std/assert";
import { boundless, KcpEnd, sentSns } from "./fixtures/kcp_end.ts";
import { kcpModes, type KcpOptions } from "./kcp_options.ts";

const timeouts: { name: string; options: Partial<KcpOptions>; atMs: number[] }[] = [
  // The first is 200; each time it grows by half of the round trip's, or by all.
  { name: "no delay", options: kcpModes.fast3, atMs: [200, 500, 900, 1400] },
  { name: "normal", options: { ...kcpModes.normal, writeDelay: false }, atMs: [200, 600, 1200, 2000] },
];
for (const { name, options, atMs } of timeouts) {
  Deno.test(`a segment is sent again when its time is up, ${name}`, () => {
    const end = new KcpEnd(options, 0);
    assertEquals(sentSns(end.write("x")), [0]);
    for (const dueMs of atMs) {
      assertEquals(end.kcp.nextTickMs, dueMs);
      assertEquals(sentSns(end.at(dueMs - 1)), []);
      const [again] = end.at(dueMs).flat();
      assertEquals([again!.sn, again!.ts], [0, dueMs]);
    }
    assertEquals(end.kcp.counters.timedOut, atMs.length);
  });
}

const roundTrips: { name: string; options: Partial<KcpOptions>; rtts: number[]; rtoMs: number }[] = [
  { name: "no delay has 30 ms at least", options: { noDelay: true, intervalMs: 10 }, rtts: [2], rtoMs: 30 },
  { name: "normal has 100 ms at least", options: { noDelay: false, intervalMs: 10 }, rtts: [2], rtoMs: 100 },
  { name: "the first counts as it is, and half of it as variation", options: {}, rtts: [200], rtoMs: 600 },
  // srtt 100 → 110; variation 50 → 57 of (80 - 50) >> 2.
  { name: "later ones count an eighth and a quarter", options: {}, rtts: [100, 180], rtoMs: 110 + 4 * 57 },
  // 100, 50; 180 far below 400: srtt 400 → 372, variation 200 + ((220 - 200) >> 2); then 100 < 372 - 27 - 205.
  { name: "one far below hardly counts as variation", options: {}, rtts: [400, 180, 100], rtoMs: 338 + 4 * 207 },
  { name: "the interval is the least variation", options: { intervalMs: 200 }, rtts: [100, 100, 100], rtoMs: 300 },
  { name: "what is paced has 50 ms to spare", options: { congestion: boundless }, rtts: [20], rtoMs: 70 },
  { name: "a minute is the most", options: {}, rtts: [50_000], rtoMs: 60_000 },
];
for (const { name, options, rtts, rtoMs } of roundTrips) {
  Deno.test(`the time-out: ${name}`, () => {
    const end = new KcpEnd(options, 0);
    let nowMs = 0;
    for (const [sn, rtt] of rtts.entries()) {
      end.nowMs = nowMs;
      end.write("x");
      end.nowMs = nowMs += rtt;
      end.receive({ cmd: 82, sn, ts: nowMs - rtt, una: sn + 1 });
    }
    assertEquals(end.kcp.rtoMs, rtoMs);
  });
}

Deno.test("a segment's time-out is what the round trips before it say", () => {
  const end = new KcpEnd({ intervalMs: 10 }, 0);
  end.write("x");
  end.nowMs = 20;
  end.receive({ cmd: 82, sn: 0, ts: 0, una: 1 });
  end.write("y");
  assertEquals(end.kcp.rtoMs, 60);
  assertEquals(end.kcp.timeoutAtMs, 80);
});

for (const [intervalMs, used] of [[1, 10], [50_000, 5000]] as const) {
  Deno.test(`an interval of ${intervalMs} ms is taken for ${used}`, () => {
    const end = new KcpEnd({ ackNoDelay: false, intervalMs });
    end.receive({ cmd: 83 });
    end.pull();
    end.receive({ sn: 0, data: "x" });
    assertEquals(end.kcp.nextTickMs, 1000 + used);
  });
}

Deno.test("a round trip is not measured by what was made up for, nor by times that were never ours", () => {
  const end = new KcpEnd({}, 1000);
  end.write("x");
  end.nowMs = 1050;
  end.receive({ cmd: 82, sn: 0, ts: 5000, una: 1 });
  end.receive({ cmd: 82, sn: 0, ts: 10, una: 1 });
  assertEquals(end.kcp.srttMs, 0);
});

Deno.test("two later ones that came first make a segment be sent again, and then only its time-out", () => {
  const end = new KcpEnd();
  end.writeFull(6);
  end.outgoing = new Uint8Array(10_000); // so that there is always something new
  end.kcp.wake();
  end.nowMs = 1010;
  end.receive({ cmd: 82, sn: 1, ts: 1000 });
  assertEquals(sentSns(end.pull()).filter((sn) => sn === 0), []);
  end.receive({ cmd: 82, sn: 2, ts: 1000, wnd: 64 });
  assertEquals(sentSns(end.pull()).filter((sn) => sn < 6), [0]);
  assertEquals(end.kcp.counters.fastResent, 1);
  end.nowMs = 1020;
  for (const sn of [3, 4, 5]) end.receive({ cmd: 82, sn, ts: 1010 });
  assertEquals(sentSns(end.pull()).filter((sn) => sn < 6), []);
  assertEquals(sentSns(end.at(1010 + end.kcp.rtoMs)).includes(0), true);
});

Deno.test("an acknowledgement that comes twice counts once", () => {
  const end = new KcpEnd({ fastResend: 2 });
  end.receive({ cmd: 84 });
  end.writeFull(4);
  end.outgoing = new Uint8Array(10_000); // so that there is always something new
  end.kcp.wake();
  end.pull();
  for (let times = 0; times < 5; times++) end.receive({ cmd: 82, sn: 1, ts: 1000 });
  assertEquals(sentSns(end.pull()).filter((sn) => sn < 4), []);
  end.receive({ cmd: 82, sn: 2, ts: 1000 });
  assertEquals(sentSns(end.pull()).filter((sn) => sn < 4), [0]);
});

Deno.test("one whose time was up can be passed again by those sent after that", () => {
  const end = new KcpEnd({ fastResend: 2 }, 0);
  end.receive({ cmd: 84 });
  end.writeFull(4);
  end.outgoing = new Uint8Array(10_000); // so that there is always something new
  end.kcp.wake();
  end.pull();
  for (const sn of [1, 2]) end.receive({ cmd: 82, sn, ts: 0 });
  assertEquals(sentSns(end.pull()).filter((sn) => sn < 4), [0]);
  assertEquals(sentSns(end.at(end.kcp.nextTickMs)).includes(0), true);
  for (const sn of [5, 6]) end.receive({ cmd: 82, sn, ts: end.nowMs });
  assertEquals(sentSns(end.pull()).filter((sn) => sn < 4), [0, 3]);
});

Deno.test("one that was sent again is not passed by those sent before", () => {
  const end = new KcpEnd({ fastResend: 1 });
  end.writeFull(4);
  end.nowMs = 1200;
  end.kcp.tick(1200); // their time is up: all go again
  assertEquals(sentSns(end.pull()), [0, 1, 2, 3]);
  end.receive({ cmd: 82, sn: 3, ts: 1000 });
  assertEquals(sentSns(end.pull()), []);
  end.receive({ cmd: 82, sn: 2, ts: 1200 });
  assertEquals(sentSns(end.pull()), [0, 1]);
});

Deno.test("with nothing new to send, one later that came is enough", () => {
  const end = new KcpEnd({ intervalMs: 10 });
  end.writeFull(3);
  end.nowMs = 1005;
  end.receive({ cmd: 82, sn: 1, ts: 1000 });
  assertEquals(end.pull(), []);
  assertEquals(end.kcp.nextTickMs, 1010);
  assertEquals(sentSns(end.at(1010)), [0]);
  assertEquals(end.kcp.counters.earlyResent, 1);
});

Deno.test("without fast resend only what was passed when nothing new was there goes before its time", () => {
  const end = new KcpEnd({ fastResend: 0 });
  end.receive({ cmd: 84, wnd: 5 });
  end.writeFull(9);
  for (const sn of [1, 2, 3]) end.receive({ cmd: 82, sn, ts: 1000, wnd: 64 });
  const again = sentSns(end.pull());
  assertEquals(again.includes(0), false);
  assertEquals(end.kcp.counters.fastResent, 0);
});
