import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../testing/seeded_random.ts";
import { MUX_INITIAL_WINDOW_BYTES, MuxCommand, MuxResetReason } from "./mux_frame.ts";
import { WindowBudget } from "./mux.ts";
import { framesOf, Pair, type PairOptions, type Program } from "./fixtures/mux_pair.ts";
import { randomInt } from "./random.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const ours = { extensions: true } as const;

/** The dialects; each must carry bytes, whatever else it can do. */
const dialects = [
  { name: "ours", options: { extensions: true } },
  { name: "plain version 2", options: { version: 2 } },
  { name: "plain version 1", options: { version: 1 } },
] as const;

function pattern(length: number, salt: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at % 65_521 * 31 + salt) & 0xff);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** A pair with one stream open, as both ends see it. */
function openOne(options: PairOptions): { pair: Pair; near: Program; far: Program } {
  const pair = new Pair(options);
  const near = pair.client.open();
  pair.settle();
  return { pair, near, far: pair.server.programs[0]! };
}

function assertNothingHeld(pair: Pair): void {
  for (const side of [pair.client, pair.server]) {
    assertEquals(side.session.streamCount, 0);
    assertEquals(side.session.bufferedBytes, 0);
    assertEquals(side.session.grownBytes, 0);
  }
}

for (const { name, options } of dialects) {
  Deno.test(`${name}: streams keep their bytes apart and in order, however the link cuts and delays them`, () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = new SeededRandom(seed);
        const pair = new Pair({ both: { ...options, maxPayloadBytes: 1 + randomInt(random, 5000) }, random });
        const sent = new Map<number, Uint8Array>();
        for (const side of [pair.client, pair.server]) {
          for (let count = 0; count < 6; count++) {
            const program = side.open();
            const bytes = pattern(randomInt(random, 20_000), program.channel.id);
            sent.set(program.channel.id, bytes);
            for (let at = 0; at < bytes.length;) {
              const end = Math.min(bytes.length, at + 1 + randomInt(random, 8000));
              program.write(bytes.subarray(at, end));
              at = end;
            }
          }
        }
        pair.settle();
        for (const side of [pair.client, pair.server]) {
          assertEquals(side.session.failure, undefined);
          for (const program of side.programs.slice(6)) {
            assert(same(program.bytes, sent.get(program.channel.id)!), `stream ${program.channel.id}`);
          }
          for (const program of side.programs) program.channel.close();
        }
        pair.settle();
        assertNothingHeld(pair);
      }),
      { numRuns: 25 },
    );
  });
}

Deno.test("either half may end while the other goes on", () => {
  const { pair, near, far } = openOne({ both: ours });
  near.write(pattern(1000, 1));
  near.channel.endWrite();
  pair.settle();
  assert(far.ended);
  assertEquals(far.gotBytes, 1000);
  assert(far.channel.writable);
  assert(!near.channel.writable);
  far.write(pattern(500_000, 2));
  far.channel.endWrite();
  pair.settle();
  assert(near.ended);
  assert(same(near.bytes, pattern(500_000, 2)));
  assertEquals([near.channel.end, far.channel.end], ["done", "done"]);
  assertNothingHeld(pair);
});

Deno.test("an end asked for during a write follows the last byte", () => {
  const { pair, near, far } = openOne({ both: ours });
  far.reading = false;
  near.write(pattern(3 * MIB, 1));
  near.channel.endWrite();
  pair.settle();
  assertEquals(near.taken, 0);
  far.reading = true;
  pair.settle();
  assertEquals(near.taken, 1);
  assertEquals(far.gotBytes, 3 * MIB);
  assert(far.ended);
});

Deno.test("close: what was written arrives with its end, and the far side can write no more", () => {
  const { pair, near, far } = openOne({ both: ours });
  far.reading = false;
  near.write(pattern(1000, 1));
  pair.settle();
  far.write(pattern(3 * MIB, 2)); // more than the window, so that it is still on offer
  near.reading = false;
  pair.settle();
  near.channel.close();
  assertEquals(near.channel.end, "done");
  pair.settle();
  assertEquals(far.refused, 1);
  assert(!far.channel.writable);
  assertEquals(far.unheard, 1);
  far.reading = true;
  assert(same(far.bytes, pattern(1000, 1)));
  assert(far.ended);
  assertNothingHeld(pair);
});

const cuts: readonly { name: string; cut: (near: Program) => void }[] = [
  { name: "abort", cut: ({ channel }) => channel.abort(MuxResetReason.CUT) },
  {
    name: "abort after its own end was sent",
    cut: ({ channel }) => (channel.endWrite(), channel.abort(MuxResetReason.CUT)),
  },
  {
    name: "close in the middle of a write",
    cut: (near) => (near.write(new Uint8Array(5 * MIB)), near.channel.close()),
  },
];

Deno.test("a cut stream never looks ended to the far side, read or unread", async (t) => {
  for (const { name, cut } of cuts) {
    for (const reading of [true, false]) {
      await t.step(`${name}, ${reading ? "read" : "unread"}`, () => {
        const { pair, near, far } = openOne({ both: ours });
        far.reading = reading;
        near.write(pattern(1000, 1));
        pair.settle();
        cut(near);
        pair.settle();
        assertEquals(far.channel.end, "cut");
        assert(!far.ended);
        assert(!far.channel.atEndOfFile);
        assertEquals(far.unheard, 1);
        assertNothingHeld(pair);
      });
    }
  }
});

Deno.test("a cut after the end takes the end back while bytes are unread", () => {
  const { pair, near, far } = openOne({ both: ours });
  far.reading = false;
  near.write(pattern(1000, 1));
  near.channel.endWrite();
  pair.settle();
  near.channel.abort(MuxResetReason.CUT);
  pair.settle();
  assertEquals(far.channel.end, "cut");
  assertEquals(far.channel.bufferedBytes, 0);
  assert(!far.channel.atEndOfFile);
});

Deno.test("when the session is lost, unfinished streams are lost and complete ones can be read to their end", () => {
  const { pair, near, far } = openOne({ both: ours });
  const other = pair.client.open();
  pair.settle();
  const otherFar = pair.server.programs[1]!;
  for (const program of [far, otherFar]) program.reading = false;
  near.write(pattern(1000, 1));
  near.channel.endWrite();
  other.write(pattern(1000, 2));
  pair.settle();
  far.write(new Uint8Array(10));
  pair.server.session.close();
  assertEquals(otherFar.channel.end, "session_closed");
  assert(!otherFar.channel.atEndOfFile);
  assertEquals(far.refused, 1);
  assert(!far.channel.writable);
  far.reading = true;
  assert(same(far.bytes, pattern(1000, 1)));
  assert(far.ended);
  assertEquals(pair.server.session.bufferedBytes, 0);
  assertEquals(pair.server.session.grownBytes, 0);
  assertEquals(pair.server.session.open(), undefined);
});

Deno.test("streams beyond the limit are refused as busy, and the others do not notice", () => {
  const pair = new Pair({ both: ours, server: { maxStreams: 2 } });
  const programs = [1, 2, 3, 4].map(() => pair.client.open());
  for (const program of programs) program.write(pattern(100, 1));
  pair.settle();
  assertEquals(programs.map((program) => program.channel.end), [undefined, undefined, "busy", "busy"]);
  assertEquals(pair.server.programs.map((program) => program.gotBytes), [100, 100]);
  programs[0]!.channel.close();
  pair.server.programs[0]!.channel.close();
  pair.settle();
  const again = pair.client.open();
  again.write(pattern(100, 1));
  pair.settle();
  assertEquals(again.channel.end, undefined);
  assertEquals(pair.server.programs[2]!.gotBytes, 100);
});

Deno.test("a session opens no more streams than its own limit", () => {
  const pair = new Pair({ both: ours, client: { maxStreams: 3 } });
  for (let count = 0; count < 3; count++) assert(pair.client.session.open());
  assertEquals(pair.client.session.open(), undefined);
});

Deno.test("a reader that stops holds back its own stream at the window, and nobody else's", () => {
  const pair = new Pair({ both: { version: 2, windowBytes: MIB } });
  const stalled = pair.client.open();
  const busy = pair.client.open();
  pair.settle();
  pair.server.programs[0]!.reading = false;
  stalled.write(new Uint8Array(8 * MIB));
  busy.write(pattern(8 * MIB, 5));
  pair.settle();
  assertEquals(pair.server.programs[0]!.channel.bufferedBytes, MIB);
  assertEquals(pair.server.session.bufferedBytes, MIB);
  assertEquals(pair.server.programs[1]!.gotBytes, 8 * MIB);
  assertEquals(stalled.taken, 0);
  pair.server.programs[0]!.reading = true;
  pair.settle();
  assertEquals(stalled.taken, 1);
  assertEquals(pair.server.programs[0]!.gotBytes, 8 * MIB);
});

Deno.test("a small window still lets a stream go on", () => {
  const { pair, near, far } = openOne({ both: { ...ours, windowBytes: 1 } });
  near.write(pattern(2 * MIB, 1));
  pair.settle();
  assert(same(far.bytes, pattern(2 * MIB, 1)));
});

Deno.test("windows shrink towards the session's cap, and conforming peers stay under it", () => {
  const cap = 16 * MIB;
  const pair = new Pair({ both: { ...ours, sessionBufferBytes: cap } });
  const streams = 32;
  pair.server.onProgram = (program) => program.reading = false;
  for (let count = 0; count < streams; count++) pair.client.open().write(new Uint8Array(4 * MIB));
  pair.settle();
  assertLessOrEqual(pair.server.session.bufferedBytes, cap);
  assertGreater(pair.server.session.bufferedBytes, cap / 4);
  for (const program of pair.client.programs) assertEquals(program.channel.end, undefined);
  for (const program of pair.server.programs) {
    program.keep = false;
    program.reading = true;
  }
  pair.settle();
  for (const program of pair.server.programs) assertEquals(program.gotBytes, 4 * MIB);
});

Deno.test("past the cap the fullest stream is cut, and only that one", () => {
  const cap = MIB;
  const pair = new Pair({ both: { ...ours, sessionBufferBytes: cap, windowBytes: 256 * KIB } });
  pair.server.onProgram = (program) => program.reading = false;
  const small = [1, 2, 3, 4].map(() => pair.client.open());
  for (const program of small) program.write(new Uint8Array(200 * KIB));
  pair.settle();
  const full = pair.client.open();
  full.write(new Uint8Array(256 * KIB));
  pair.settle();
  assertEquals(full.channel.end, "overflow");
  assertEquals(pair.server.programs[4]!.channel.end, "overflow");
  for (const program of small) assertEquals(program.channel.end, undefined);
  assertEquals(pair.server.session.failure, undefined);
  assertLessOrEqual(pair.server.session.bufferedBytes, cap);
});

Deno.test("version 1 stops reading the link at the cap, and goes on when bytes were taken or dropped", () => {
  const cap = 512 * KIB;
  const { pair, near, far } = openOne({ both: { version: 1, sessionBufferBytes: cap } });
  far.reading = false;
  near.write(new Uint8Array(4 * MIB));
  pair.settle();
  assert(!pair.server.session.wantsInput);
  assertLess(pair.server.session.bufferedBytes, cap + 256 * KIB);
  // Silence that we have brought about is not the peer's death, nor is the moment after.
  pair.nowMs += 60_000;
  pair.server.session.tick(pair.nowMs);
  far.reading = true;
  pair.server.session.tick(pair.nowMs);
  assertEquals(pair.server.session.failure, undefined);
  pair.settle();
  assertEquals(far.gotBytes, 4 * MIB);
  far.reading = false;
  near.write(new Uint8Array(4 * MIB));
  pair.settle();
  assert(!pair.server.session.wantsInput);
  far.channel.close();
  assert(pair.server.session.wantsInput);
});

Deno.test("towards plain smux only its own commands are sent, and an end is a close there", () => {
  const pair = new Pair({ both: { version: 2 }, server: { maxStreams: 3 } });
  pair.client.sent = [];
  pair.server.sent = [];
  const [ending, aborting, closing] = [pair.client.open(), pair.client.open(), pair.client.open()];
  pair.settle();
  const refused = pair.client.open();
  pair.server.programs[0]!.write(new Uint8Array(3 * MIB));
  ending!.reading = false;
  for (const program of pair.client.programs) program.write(pattern(MIB, 3));
  pair.settle();
  ending!.channel.endWrite();
  aborting!.channel.abort(MuxResetReason.CUT);
  closing!.channel.close();
  pair.settle();
  pair.advance(30_000, 1000);
  for (const { command } of framesOf([...pair.client.sent, ...pair.server.sent])) {
    assertLessOrEqual(command, MuxCommand.UPD);
  }
  // What was on offer to a peer that has sent its FIN would wait for ever: smux grants nothing after it.
  assertEquals(pair.server.programs[0]!.refused, 1);
  assert(pair.server.programs.every((program) => program.ended));
  assert(refused.ended);
  for (const side of [pair.client, pair.server]) for (const { channel } of side.programs) channel.close();
  pair.settle();
  assertNothingHeld(pair);
});

Deno.test("data after FIN, as smux sends it when closed during a write, is dropped without harm", () => {
  for (const both of [{ version: 2 }, { version: 1 }, ours] as const) {
    const { pair, near, far } = openOne({ both });
    near.channel.endWrite();
    pair.settle();
    assert(far.ended);
    const version = "version" in both ? both.version : 2;
    pair.server.session.receive(Uint8Array.of(version, MuxCommand.PSH, 1, 0, 3, 0, 0, 0, 42), 0);
    assertEquals(pair.server.session.failure, undefined);
    assertEquals(far.channel.bufferedBytes, 0);
    assert(far.channel.atEndOfFile);
  }
});

Deno.test("200 streams with endless data get the same, to within one frame, in buffers of any size", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 64, max: 200_000 }), (seed, pullBytes) => {
      const random = new SeededRandom(seed);
      const pair = new Pair({ both: { ...ours, maxPayloadBytes: 4096 } });
      const chunk = new Uint8Array(16 * KIB);
      pair.server.onProgram = (program) => program.keep = false;
      for (let count = 0; count < 200; count++) pair.client.open().source = () => chunk;
      pair.settle();
      for (const program of pair.client.programs) program.write(chunk);
      for (let total = 0; total < 4 * MIB;) {
        const size = random.next() < 0.5 ? pullBytes : 64 + randomInt(random, 4096);
        total += pair.pull(pair.client, pair.server, size);
        while (pair.deliver(pair.server, 256 * KIB));
        pair.pull(pair.server, pair.client, 256 * KIB);
        while (pair.deliver(pair.client, 256 * KIB));
      }
      const got = pair.server.programs.map((program) => program.gotBytes);
      assertLessOrEqual(Math.max(...got) - Math.min(...got), 4096);
    }),
    { numRuns: 8 },
  );
});

Deno.test("a buffer that always ends in the middle of one stream's frame does not shorten its share", () => {
  const pair = new Pair({ both: ours });
  pair.server.onProgram = (program) => program.keep = false;
  const chunk = new Uint8Array(256 * KIB);
  for (let count = 0; count < 2; count++) pair.client.open().source = () => chunk;
  pair.settle();
  for (const program of pair.client.programs) program.write(chunk);
  for (let round = 0; round < 100; round++) {
    pair.pull(pair.client, pair.server, 100_000);
    while (pair.deliver(pair.server, 256 * KIB));
    pair.pull(pair.server, pair.client, 256 * KIB);
    while (pair.deliver(pair.client, 256 * KIB));
  }
  const [a, b] = pair.server.programs.map((program) => program.gotBytes);
  assertLessOrEqual(Math.abs(a! - b!), 65_528);
});

Deno.test("control frames go before queued data, and never behind a SYN that is still waiting", () => {
  const pair = new Pair({ both: ours });
  const bulk = pair.client.open();
  pair.settle();
  bulk.write(new Uint8Array(MIB));
  pair.pull(pair.client, pair.server, 1000);
  pair.client.sent = [];
  pair.client.open();
  pair.pull(pair.client, pair.server, 4096);
  assertEquals(framesOf(pair.client.sent).map(({ command }) => command), [MuxCommand.SYN, MuxCommand.PSH]);

  // Many SYNs at once do not fit one buffer; data of the last stream must not use the room they leave.
  const programs = Array.from({ length: 300 }, () => pair.client.open());
  programs.at(-1)!.write(pattern(1000, 9));
  for (let size = 64; size < 200; size++) pair.pull(pair.client, pair.server, size);
  pair.settle();
  const far = pair.server.programs.find((program) => program.channel.id === programs.at(-1)!.channel.id)!;
  assert(same(far.bytes, pattern(1000, 9)));
});

Deno.test("ids of the two sides never meet", () => {
  const pair = new Pair({ both: ours });
  const ids = [0, 1, 2].flatMap(() => [pair.client.open().channel.id, pair.server.open().channel.id]);
  assertEquals(ids, [3, 2, 5, 4, 7, 6]);
  pair.settle();
  assertEquals(pair.client.programs.length, 6);
  assertEquals(pair.server.programs.length, 6);
});

Deno.test("a window grows while a stream uses it up within two round trips, to the largest allowed", () => {
  const { pair, near, far } = openOneAfter({ both: { ...ours, maxWindowBytes: 8 * MIB }, latencyMs: 50 });
  assertEquals(far.channel.windowBytes, MUX_INITIAL_WINDOW_BYTES);
  run(pair, near, far, 4000);
  assertEquals(far.channel.windowBytes, 8 * MIB);
  // 4 s at 100 ms of round trip, nearly all of them at 8 MiB per round trip.
  assertGreater(far.gotBytes, 25 * 8 * MIB);
  assertEquals(pair.server.session.grownBytes, 6 * MIB);
});

Deno.test("200 streams on a long link share it fairly, and 1000 idle ones take nothing from them", () => {
  const pair = new Pair({ both: ours, latencyMs: 50 });
  pair.server.onProgram = (program) => program.keep = false;
  const chunk = new Uint8Array(16 * KIB);
  const idle = Array.from({ length: 1000 }, () => pair.client.open());
  for (const program of idle) program.write(new Uint8Array(100));
  pair.advance(500, 10);
  const busy = Array.from({ length: 200 }, () => pair.client.open());
  for (const program of busy) {
    program.source = () => chunk;
    program.write(chunk);
  }
  pair.advance(600, 10);
  const before = pair.server.programs.map((program) => program.gotBytes);
  for (let step = 0; step < 60; step++) { // a link of 200 MB/s
    pair.nowMs += 10;
    for (let room = 2 * MIB; room > 0;) {
      const count = pair.pull(pair.client, pair.server, Math.min(room, 64 * KIB));
      if (count === 0) break;
      room -= count;
    }
    while (pair.deliver(pair.server, 256 * KIB));
    pair.pull(pair.server, pair.client, 256 * KIB);
    while (pair.deliver(pair.client, 256 * KIB));
  }
  const got = pair.server.programs.map((program, index) => program.gotBytes - before[index]!).slice(1000);
  assertLessOrEqual(Math.max(...got) / Math.min(...got), 1.5);
});

Deno.test("a window does not grow for a slow reader, nor towards plain smux", () => {
  const slow = openOneAfter({ both: ours, latencyMs: 50 });
  slow.far.reading = false;
  slow.near.source = () => new Uint8Array(64 * KIB);
  slow.near.write(new Uint8Array(64 * KIB));
  for (let round = 0; round < 600; round++) {
    slow.pair.advance(10, 10);
    slow.far.readOnce(8 * KIB); // 800 KiB/s: the first window takes 320 ms
  }
  assertEquals(slow.far.channel.windowBytes, MUX_INITIAL_WINDOW_BYTES);

  const plain = openOneAfter({ both: { version: 2 }, latencyMs: 50 });
  run(plain.pair, plain.near, plain.far, 1000);
  assertEquals(plain.far.channel.windowBytes, 2 * MIB);
});

Deno.test("many fast streams never grow their windows past what the session may hold", () => {
  const cap = 16 * MIB;
  const pair = new Pair({ both: { ...ours, sessionBufferBytes: cap }, latencyMs: 50 });
  pair.server.onProgram = (program) => program.keep = false;
  const chunk = new Uint8Array(64 * KIB);
  for (let count = 0; count < 6; count++) pair.client.open().source = () => chunk;
  pair.advance(500, 10);
  for (const program of pair.client.programs) program.write(chunk);
  pair.advance(2000, 10);
  for (const program of pair.server.programs) program.reading = false;
  pair.advance(1000, 10);
  assertLessOrEqual(pair.server.session.bufferedBytes, cap);
  assertEquals(pair.server.programs.filter((program) => program.channel.end).length, 0);
});

/** As `openOne`, after the round trip has been measured. */
function openOneAfter(options: PairOptions): { pair: Pair; near: Program; far: Program } {
  const pair = new Pair(options);
  pair.settle();
  pair.advance(500, 10);
  const near = pair.client.open();
  pair.settle();
  pair.advance(200, 10);
  return { pair, near, far: pair.server.programs[0]! };
}

function run(pair: Pair, near: Program, far: Program, ms: number): void {
  const chunk = new Uint8Array(256 * KIB);
  far.keep = false;
  near.source = () => chunk;
  near.write(chunk);
  pair.advance(ms, 10);
}

Deno.test("the window grows on a short link too, as long as a stream is fast", () => {
  const { pair, near, far } = openOneAfter({ both: ours, latencyMs: 1 });
  run(pair, near, far, 300);
  assertEquals(far.channel.windowBytes, 16 * MIB);
});

/** Time goes on while the link takes so many bytes every 10 ms and no more. */
function runOverSlowLink(pair: Pair, ms: number, bytesPer10Ms: number): void {
  for (const untilMs = pair.nowMs + ms; pair.nowMs < untilMs;) {
    pair.nowMs += 10;
    pair.pull(pair.client, pair.server, bytesPer10Ms);
    while (pair.deliver(pair.server, 256 * KIB));
    while (pair.pull(pair.server, pair.client, 256 * KIB) > 0);
    while (pair.deliver(pair.client, 256 * KIB));
  }
}

Deno.test("a window that has become too large for its link shrinks, never under the first, and gives all back", () => {
  const { pair, near, far } = openOneAfter({ both: { ...ours, maxWindowBytes: 8 * MIB }, latencyMs: 50 });
  run(pair, near, far, 4000);
  assertEquals(far.channel.windowBytes, 8 * MIB);
  assertEquals(pair.server.session.grownBytes, 6 * MIB);
  // Now others take most of the link: 3.2 MB/s are left, of which 2 MiB last less than eight round trips.
  runOverSlowLink(pair, 10_000, 32 * KIB);
  assertEquals(far.channel.windowBytes, 2 * MIB);
  assertEquals(pair.server.session.grownBytes, 0);
  runOverSlowLink(pair, 60_000, 1 * KIB);
  assertEquals(far.channel.windowBytes, MUX_INITIAL_WINDOW_BYTES);
  // And it grows again when there is room.
  pair.advance(4000, 10);
  assertEquals(far.channel.windowBytes, 8 * MIB);
  far.channel.close();
  near.channel.close();
  pair.settle();
  assertNothingHeld(pair);
});

Deno.test("two streams that share a slow link come to the same window, whatever the one had before", () => {
  const { pair, near, far } = openOneAfter({ both: ours, latencyMs: 50 });
  run(pair, near, far, 4000);
  const late = pair.client.open();
  runOverSlowLink(pair, 200, 64 * KIB);
  const lateFar = pair.server.programs[1]!;
  lateFar.keep = false;
  late.source = () => new Uint8Array(256 * KIB);
  late.write(new Uint8Array(256 * KIB));
  assertGreater(far.channel.windowBytes, lateFar.channel.windowBytes);
  // The first has up to 16 MiB in flight, which have to go before anything changes.
  runOverSlowLink(pair, 20_000, 32 * KIB);
  const [before, lateBefore] = [far.gotBytes, lateFar.gotBytes];
  runOverSlowLink(pair, 5000, 32 * KIB);
  assertLessOrEqual(Math.abs(Math.log2(far.channel.windowBytes / lateFar.channel.windowBytes)), 1);
  assertLessOrEqual(Math.abs((far.gotBytes - before) / (lateFar.gotBytes - lateBefore) - 1), 0.1);
});

Deno.test("a pause is not slowness: the window is as large after it as before", () => {
  const { pair, near, far } = openOneAfter({ both: { ...ours, maxWindowBytes: 8 * MIB }, latencyMs: 50 });
  run(pair, near, far, 4000);
  const { source } = near;
  near.source = undefined;
  pair.advance(5000, 10);
  near.source = source;
  near.write(new Uint8Array(256 * KIB));
  // Looked at after every read: on a fast link a window that has shrunk grows again at once.
  const read = far.channel.onReadable;
  let leastBytes = Infinity;
  far.channel.onReadable = () => {
    read();
    leastBytes = Math.min(leastBytes, far.channel.windowBytes);
  };
  pair.advance(1000, 10);
  assertEquals(leastBytes, 8 * MIB);
});

Deno.test("towards plain smux the window stays as it is configured, however slow the link", () => {
  const { pair, near, far } = openOneAfter({ both: { version: 2 }, latencyMs: 50 });
  run(pair, near, far, 200);
  runOverSlowLink(pair, 20_000, 16 * KIB);
  assertEquals(far.channel.windowBytes, 2 * MIB);
});

Deno.test("the first window is what smux assumes, and towards smux a larger one is granted at once", () => {
  const pair = new Pair({ both: { version: 2 } });
  pair.client.sent = [];
  const program = pair.client.open();
  program.write(new Uint8Array(4 * MIB));
  pair.pull(pair.client, pair.server, 256 * KIB);
  assertEquals(pair.pull(pair.client, pair.server, 256 * KIB) > 0, true);
  assertEquals(pair.pull(pair.client, pair.server, 256 * KIB), 0);
  const data = framesOf(pair.client.sent).filter(({ command }) => command === MuxCommand.PSH);
  assertEquals(data.reduce((sum, { length }) => sum + length, 0), MUX_INITIAL_WINDOW_BYTES);
  pair.settle();
  assertEquals(program.taken, 1);
});

Deno.test("a first window that both ends agree on is all that a reader who never reads can be made to hold", () => {
  const { pair, near, far } = openOne({ both: { ...ours, initialWindowBytes: 16 * KIB, windowBytes: 16 * KIB } });
  far.reading = false;
  near.write(pattern(MIB, 3));
  pair.settle();
  assertEquals([far.channel.bufferedBytes, pair.server.session.failure], [16 * KIB, undefined]);
  far.reading = true;
  pair.settle();
  assert(same(far.bytes, pattern(MIB, 3)));
});

Deno.test("sessions that share a budget grow their windows within it, and give back what they do not use", () => {
  const windowBudget = new WindowBudget(3 * MIB);
  const both = { ...ours, windowBudget: new WindowBudget(Infinity) };
  const server = { windowBudget, initialWindowBytes: 64 * KIB, windowBytes: 64 * KIB };
  const client = { initialWindowBytes: 64 * KIB };
  const options: PairOptions = { both, server, client, latencyMs: 1 };
  const fast = [openOneAfter(options), openOneAfter(options)] as const;
  for (const { pair, near, far } of fast) run(pair, near, far, 300);
  const grown = fast.map(({ far }) => far.channel.windowBytes - 64 * KIB);
  assertEquals([grown[0]! + grown[1]!, windowBudget.leftBytes], [3 * MIB, 0]);
  fast[0].pair.server.session.close();
  assertEquals(windowBudget.leftBytes, grown[0]);
  fast[1].far.channel.close();
  assertEquals(windowBudget.leftBytes, 3 * MIB);
});
