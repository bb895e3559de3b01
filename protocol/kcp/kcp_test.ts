import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { CulvertError } from "../errors.ts";
import { CONV, encodeSegments, KcpEnd, sentSns, testOptions } from "./fixtures/kcp_end.ts";
import { Kcp } from "./kcp.ts";
import { kcpModes, type KcpOptions } from "./kcp_options.ts";
import { WindowProbe } from "./window_probe.ts";

const noEvents = { fill: () => 0, onBytes: () => {}, wantsBytes: () => true };

Deno.test("data go as kcp-go writes them", () => {
  const end = new KcpEnd({ conv: 0xfedcba98, mtuBytes: 1350, receiveWindow: 512 }, 0x01020304);
  end.outgoing = new TextEncoder().encode("hi");
  end.kcp.wake();
  const [datagram] = end.pullBytes();
  assertEquals(encodeHex(datagram!), "98badcfe51000002" + "04030201" + "00000000" + "00000000" + "02000000" + "6869");
});

Deno.test("acknowledgements give back the number and the time, and tell una and the window", () => {
  const end = new KcpEnd();
  end.receive({ sn: 0, ts: 0xa1b2c3d4, data: "x" });
  const [datagram] = end.pullBytes();
  assertEquals(encodeHex(datagram!), "44332211" + "52004000" + "d4c3b2a1" + "00000000" + "01000000" + "00000000");
});

Deno.test("acknowledgements that una makes needless are left out, but for the last", () => {
  const end = new KcpEnd();
  for (const sn of [0, 1, 2, 5, 6, 3]) end.receive({ sn, ts: sn, data: "x" });
  assertEquals(end.pull().flat().map(({ cmd, sn, una }) => [cmd, sn, una]), [[82, 5, 4], [82, 6, 4], [82, 3, 4]]);
});

Deno.test("acknowledgements that una makes needless are left out in the middle as well", () => {
  const end = new KcpEnd();
  for (const sn of [0, 1, 5, 0, 6]) end.receive({ sn, data: "x" });
  assertEquals(end.pull().flat().map(({ cmd, sn, una }) => [cmd, sn, una]), [[82, 5, 2], [82, 6, 2]]);
});

Deno.test("without haste acknowledgements wait for the interval, or for a datagram full of them", () => {
  const end = new KcpEnd({ ackNoDelay: false, intervalMs: 10 });
  end.write("x");
  end.receive({ sn: 0, data: "x" });
  assertEquals(end.pull(), []);
  assertEquals(end.kcp.nextTickMs, 1010);
  assertEquals(end.at(1009), []);
  assertEquals(end.at(1010).flat().filter(({ cmd }) => cmd === 82).map(({ sn }) => sn), [0]);
  for (const sn of [1, 2, 3, 4]) end.receive({ sn, data: "x" });
  assertEquals(end.pull(), []);
  end.receive({ sn: 5, data: "x" });
  assertEquals(end.pull().flat().map(({ cmd, sn }) => [cmd, sn]), [[82, 5]]);
});

Deno.test("what is written without delay goes at once, with delay at the interval", () => {
  assertEquals(sentSns(new KcpEnd().write("x")), [0]);
  const end = new KcpEnd({ writeDelay: true, intervalMs: 20 });
  assertEquals(sentSns(end.write("x")), []);
  assertEquals(sentSns(end.at(1000)), [0]); // nothing was sent before: its interval is long over
  assertEquals(sentSns(end.write("y")), []);
  assertEquals(end.kcp.nextTickMs, 1020);
  assertEquals(sentSns(end.at(1020)), [1]);
});

Deno.test("short writes of one flush share segments and datagrams, and long ones fill them", () => {
  const end = new KcpEnd();
  const datagrams = end.writeFull(3);
  assertEquals(datagrams.map((segments) => segments.map(({ sn, frg, data }) => [sn, frg, data.length])), [
    [[0, 0, 100]],
    [[1, 0, 100]],
    [[2, 0, 100]],
  ]);
  assertEquals(end.write("a".repeat(130)).flat().map(({ data }) => data.length), [100, 30]);
});

Deno.test("no more goes than the windows of both ends allow", () => {
  for (const [sendWindow, wnd, expected] of [[8, 64, 8], [64, 5, 5]] as const) {
    const end = new KcpEnd({ sendWindow });
    end.receive({ cmd: 84, wnd });
    end.pull();
    assertEquals(sentSns(end.writeFull(20)).length, expected);
    end.receive({ cmd: 82, sn: 0, ts: 1000, una: 2, wnd });
    assertEquals(sentSns(end.pull()), [expected, expected + 1]);
  }
});

Deno.test("before the peer has told its window it is taken to be 32", () => {
  assertEquals(sentSns(new KcpEnd().writeFull(40)).length, 32);
});

Deno.test("a closed window is asked about after 0.5 s and then ever more rarely", () => {
  const end = new KcpEnd({}, 0);
  end.receive({ cmd: 84, wnd: 0 });
  assertEquals(end.write("x"), []);
  const asked: number[] = [];
  for (let nowMs = 0; nowMs < 5000; nowMs++) {
    for (const { cmd } of end.at(nowMs).flat()) if (cmd === 83) asked.push(nowMs);
  }
  assertEquals(asked, [500, 1250, 2375, 4062]);
  end.receive({ cmd: 84, wnd: 1 });
  assertEquals(sentSns(end.pull()), [0]);
  end.nowMs = 5000;
  end.receive({ cmd: 82, sn: 0, ts: 4999, una: 1, wnd: 0 });
  end.pull();
  end.at(end.kcp.nextTickMs); // when it would have counted as lost
  assertEquals(end.kcp.nextTickMs, 5500);
});

Deno.test("a window that is never opened is asked about every two minutes in the end", () => {
  const probe = new WindowProbe();
  const asked: number[] = [];
  for (let nowMs = 0; nowMs < 1_000_000; nowMs = probe.dueMs) if (probe.look(0, nowMs)) asked.push(nowMs);
  const waits = asked.map((atMs, index) => atMs - (asked[index - 1] ?? 0));
  assertEquals(waits.slice(-3), [120_000, 120_000, 120_000]);
});

Deno.test("whoever asks is told the window", () => {
  for (const receiveWindow of [40, 32_768]) {
    const end = new KcpEnd({ receiveWindow });
    end.receive({ cmd: 83 });
    assertEquals(end.pull().flat().map(({ cmd, wnd }) => [cmd, wnd]), [[84, receiveWindow]]);
  }
});

Deno.test("a reader that stops closes the window, and opens it by a word when it goes on", () => {
  const end = new KcpEnd({ receiveWindow: 4 });
  end.wantsBytes = false;
  for (const sn of [0, 1, 2, 3, 4]) end.receive({ sn, data: `${sn}` });
  assertEquals(end.pull().flat().at(-1)!.wnd, 0);
  assertEquals(end.incoming, "");
  end.wantsBytes = true;
  end.kcp.resume();
  assertEquals(end.incoming, "01234");
  assertEquals(end.pull().flat().map(({ cmd, wnd, una }) => [cmd, wnd, una]), [[84, 4, 5]]);
});

Deno.test("what came before is acknowledged again, and neither kept nor delivered twice", () => {
  const end = new KcpEnd();
  for (const sn of [1, 1, 0, 0, 1]) end.receive({ sn, data: `${sn}` });
  assertEquals([end.incoming, end.kcp.counters.repeated], ["01", 3]);
  assertEquals(end.pull().flat().map(({ cmd, sn, una }) => [cmd, sn, una]), [[82, 1, 2]]);
});

Deno.test("what is made up for brings data, but neither window nor times", () => {
  const end = new KcpEnd({}, 0);
  end.receive({ cmd: 84, wnd: 2 });
  end.write("x");
  end.nowMs = 100;
  const other = new KcpEnd({}, 0);
  const [datagram] = (other.outgoing = new TextEncoder().encode("data"), other.kcp.wake(), other.pullBytes());
  end.receiveBytes(datagram!, true);
  assertEquals(end.incoming, "data");
  end.pull();
  assertEquals(sentSns(end.writeFull(9)).length, 1); // one of its window of 2 is in flight still
  end.receiveBytes(encodeSegments([{ cmd: 82, sn: 0, ts: 0, una: 1 }]), true);
  assertEquals([end.kcp.inFlight, end.kcp.srttMs], [1, 0]);
});

Deno.test("the conversation is that of the first segment, for whoever was given none", () => {
  const end = new KcpEnd({ conv: undefined });
  assertEquals(end.receive({ conv: 7, sn: 1, data: "x" }), false);
  assertEquals(end.receive({ conv: 7, cmd: 82 }), false);
  assertEquals(end.write("early"), []);
  assertEquals(end.receive({ conv: 7, sn: 0, data: "x" }), true);
  assertEquals(end.kcp.conv, 7);
  assertEquals(end.receive({ conv: 8, sn: 1, data: "y" }), false);
  assertEquals(end.pull().flat().every(({ conv }) => conv === 7), true);
  assertEquals(end.incoming, "x");
});

const malformed: { name: string; bytes: (end: KcpEnd) => boolean }[] = [
  { name: "too short", bytes: (end) => end.receiveBytes(new Uint8Array(23)) },
  { name: "another conversation", bytes: (end) => end.receive({ conv: CONV + 1, data: "x" }) },
  { name: "an unknown command", bytes: (end) => end.receive({ cmd: 85 }) },
  { name: "una beyond what was sent", bytes: (end) => end.receive({ cmd: 82, una: 1 }) },
  {
    name: "longer than what is there",
    bytes: (end) => end.receiveBytes(encodeSegments([{ data: "xy" }]).subarray(0, 25)),
  },
  { name: "longer than a datagram", bytes: (end) => end.receive({ data: "x".repeat(1477) }) },
];
for (const { name, bytes } of malformed) {
  Deno.test(`not taken: ${name}`, () => {
    const end = new KcpEnd();
    assertEquals(bytes(end), false);
    assertEquals([end.incoming, end.kcp.counters.malformed], ["", 1]);
  });
}

Deno.test("numbers wrap", () => {
  const end = new KcpEnd({}, 2 ** 32 - 100);
  assertEquals(end.write("x").flat()[0]!.ts, 2 ** 32 - 100);
  end.nowMs += 150;
  end.receive({ cmd: 82, sn: 0, ts: 2 ** 32 - 100, una: 1 });
  assertEquals(end.kcp.srttMs, 150);
});

Deno.test("a goodbye is told three times, by those who have the word", () => {
  const end = new KcpEnd({ goodbye: true });
  const peer = new KcpEnd({ goodbye: true });
  end.kcp.sayGoodbye();
  const datagrams = end.pullBytes();
  assertEquals(datagrams.length, 3);
  assert(peer.receiveBytes(datagrams[0]!));
  assert(peer.kcp.isEnded);
  const plain = new KcpEnd();
  plain.kcp.sayGoodbye();
  assertEquals(plain.pullBytes(), []);
});

const badOptions: Partial<KcpOptions>[] = [
  { mtuBytes: 24 },
  { mtuBytes: 1501 },
  { sendWindow: 0 },
  { receiveWindow: 40_000 },
  { fastResend: -1 },
  { conv: 2 ** 32 },
];
for (const options of badOptions) {
  Deno.test(`impossible options are refused: ${JSON.stringify(options)}`, () => {
    assertThrows(() => new Kcp({ ...testOptions, ...options }, noEvents, 0), CulvertError, "Cannot begin");
  });
}

Deno.test("the modes are those of kcp-go's users", () => {
  const told = Object.values(kcpModes).map((mode) => [
    +mode.noDelay,
    mode.intervalMs,
    mode.fastResend,
    mode.congestion,
    mode.writeDelay,
    mode.ackNoDelay,
  ]);
  assertEquals(told, [
    [0, 40, 2, "none", true, false],
    [0, 30, 2, "none", true, false],
    [1, 20, 2, "none", false, true],
    [1, 10, 2, "none", false, true],
  ]);
});
