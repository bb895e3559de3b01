import { assert, assertEquals } from "@std/assert";
import { boundless, KcpEnd, sentSns, testOptions } from "./fixtures/kcp_end.ts";

Deno.test("a segment that was sent twenty times in vain means that nobody is there", () => {
  const end = new KcpEnd({}, 0);
  end.write("x");
  let sendings = 1;
  while (!end.kcp.isDead) sendings += sentSns(end.at(end.kcp.nextTickMs)).length;
  assertEquals(sendings, 20);
  end.receive({ cmd: 84, una: 1 });
  assertEquals(end.kcp.isDead, false);
});

Deno.test("KCP's own congestion control begins with one segment and ends so after a time-out", () => {
  const end = new KcpEnd({ congestion: "kcp" }, 0);
  assertEquals(sentSns(end.writeFull(60)), [0]);
  end.nowMs = 50;
  end.receive({ cmd: 82, sn: 0, ts: 0, una: 1 });
  assertEquals(sentSns(end.pull()), [1, 2]);
  end.nowMs = 100;
  end.receive({ cmd: 82, sn: 1, ts: 50, una: 2 });
  assertEquals(sentSns(end.pull()), [3]);
  end.receive({ cmd: 82, sn: 2, ts: 50, una: 3 });
  assertEquals(sentSns(end.pull()), [4, 5, 6]);
  const again = sentSns(end.at(300));
  assertEquals(again, [3, 4, 5, 6]);
  end.receive({ cmd: 82, sn: 3, ts: end.nowMs, una: 7 });
  assertEquals(sentSns(end.pull()), [7, 8]);
});

Deno.test("KCP's own congestion control leaves half of what is in flight after a fast resend", () => {
  const end = new KcpEnd({ congestion: "kcp" }, 0);
  end.outgoing = new Uint8Array(100_000);
  end.kcp.wake();
  end.pull();
  for (let sn = 0; sn < 20; sn++) {
    end.receive({ cmd: 82, sn, ts: 0, una: sn + 1 });
    end.pull();
  }
  const { inFlight } = end.kcp;
  for (const sn of [21, 22]) end.receive({ cmd: 82, sn, ts: 0, una: 20 });
  assertEquals(sentSns(end.pull()), [20]);
  // Half of them and two; as long as more are in flight nothing new goes.
  end.receive({ cmd: 82, sn: 20, ts: 0, una: 20 + inFlight - (inFlight >> 1) - 2 });
  assertEquals(sentSns(end.pull()), []);
  end.receive({ cmd: 82, sn: 20, ts: 0, una: 20 + inFlight });
  const left = sentSns(end.pull()).length;
  assert(left >= (inFlight >> 1) + 2 && left <= (inFlight >> 1) + 4, `${left} of ${inFlight}`);
});

Deno.test("a congestion scheme is told the round trip of the sending that was answered, and of none that is not known", () => {
  const rtts: number[] = [];
  const congestion = { ...boundless, onAcked: (_: number, __: number, rttMs: number) => void rtts.push(rttMs) };
  const end = new KcpEnd({ congestion }, 0);
  end.writeFull(3);
  end.nowMs = 40;
  end.receive({ cmd: 82, sn: 0, ts: 0, una: 0 });
  end.pull();
  end.at(end.kcp.timeoutAtMs);
  const againMs = end.nowMs;
  end.nowMs += 30;
  end.receive({ cmd: 82, sn: 1, ts: 0 }); // the first time it was sent
  end.receive({ cmd: 82, sn: 1, ts: againMs, una: 3 }); // the others are known to have come, not when they were sent
  assertEquals(rtts.slice(0, 2), [40, end.nowMs]);
  assertEquals([rtts.length, rtts[2]! >= 40], [3, true]);
});

Deno.test("what a congestion scheme paces goes when it says, and it is told of time-outs", () => {
  let timeouts = 0;
  let roomBytes = 1;
  const congestion = {
    ...boundless,
    roomAtMs: 1007,
    onTimeout: () => void timeouts++,
    roomBytes: () => roomBytes--,
  };
  const end = new KcpEnd({ congestion });
  end.receive({ cmd: 84 });
  roomBytes = 2;
  assertEquals(sentSns(end.writeFull(9)), [0]);
  assertEquals(end.kcp.nextTickMs, 1007);
  roomBytes = 2;
  assertEquals(sentSns(end.at(1007)), [1]);
  roomBytes = 0;
  end.at(1200);
  assertEquals(timeouts, 1);
});

Deno.test("what a congestion scheme holds back goes as soon as anything that came makes room, though una stands", () => {
  const congestion = {
    ...boundless,
    roomBytes: (inFlightBytes: number) => 4 * testOptions.mtuBytes - inFlightBytes,
  };
  const end = new KcpEnd({ congestion });
  assertEquals(sentSns(end.writeFull(20)), [0, 1, 2, 3]);
  end.receive({ cmd: 82, sn: 1, ts: 1000 });
  assertEquals(sentSns(end.pull()), [4]);
  end.receive({ cmd: 82, sn: 2, ts: 1000 });
  assertEquals(sentSns(end.pull()), [0, 5]);
  end.receive({ cmd: 82, sn: 3, ts: 1000 });
  assertEquals(sentSns(end.pull()), [6]);
});
