import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { MuxCommand, MuxResetReason, writeMuxHeader, writeUint32 } from "./mux_frame.ts";
import { type MuxFailure, MuxSession } from "./mux.ts";
import { Pair, Side } from "./fixtures/mux_pair.ts";

const CAP = 256 * 1024;

function frame(version: number, command: number, streamId: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  writeMuxHeader(bytes, 0, version, command, payload.length, streamId);
  bytes.set(payload, 8);
  return bytes;
}

function update(consumed: number, window: number): Uint8Array {
  const payload = new Uint8Array(8);
  writeUint32(payload, writeUint32(payload, 0, consumed), window);
  return payload;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** A run of frames that is mostly sensible: few streams, opened before use more often than not. */
const conversation = fc.array(
  fc.tuple(
    fc.constantFrom(0, 0, 1, 2, 2, 2, 3, 4, 16, 17, 18),
    fc.constantFrom(1, 3, 3, 5, 7, 9),
    fc.nat({ max: 400 }),
  ),
  { maxLength: 30 },
).map((steps) => {
  return concat(steps.map(([command, id, size]) => {
    if (command === MuxCommand.PSH) return frame(2, command, id, new Uint8Array(size));
    if (command === MuxCommand.UPD) return frame(2, command, id, update(size % 3, 100_000));
    if (command === MuxCommand.RST) return frame(2, command, id, Uint8Array.of(size % 5));
    if (command >= MuxCommand.PING) return frame(2, command, 0, Uint8Array.of(1, 0, 0, 0));
    return frame(2, command, command === MuxCommand.NOP ? 0 : id);
  }));
});

const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 });

function feed(bytes: Uint8Array, cut: number, extensions: boolean, reading: boolean): void {
  let nowMs = 0;
  const side = new Side(
    { role: "server", extensions, maxStreams: 4, sessionBufferBytes: CAP, windowBytes: 65_536 },
    () => nowMs,
  );
  side.onProgram = (program) => {
    program.reading = reading;
    program.write(new Uint8Array(100));
  };
  const into = new Uint8Array(4096);
  for (let at = 0; at < bytes.length; at += cut) {
    side.session.receive(bytes.slice(at, at + cut), nowMs);
    assertLessOrEqual(side.session.bufferedBytes, CAP + 65_535);
    assertLessOrEqual(side.session.streamCount, 4);
    side.session.pull(into, nowMs);
    nowMs += 50;
    side.session.tick(nowMs);
  }
  side.session.close();
  for (const { channel } of side.programs) channel.close();
  assertEquals(side.session.bufferedBytes, 0);
  assertEquals(side.session.grownBytes, 0);
  assertEquals(side.session.streamCount, 0);
  assertEquals(side.session.pull(into, nowMs), 0);
}

Deno.test("a session survives any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, extensions) => {
    feed(bytes, 7, extensions, true);
  }));
});

Deno.test("a session survives conversations with bytes changed, and gives everything back at the end", () => {
  fc.assert(
    fc.property(conversation, damage, fc.integer({ min: 1, max: 500 }), fc.boolean(), (bytes, damage, cut, reading) => {
      for (const [at, value] of damage) if (bytes.length > 0) bytes[at % bytes.length] = value;
      feed(bytes, cut, true, reading);
    }),
    { numRuns: 300 },
  );
});

const failures: readonly { failure: MuxFailure; name: string; bytes: readonly Uint8Array[] }[] = [
  { failure: "bad_version", name: "another version", bytes: [frame(1, MuxCommand.NOP, 0)] },
  { failure: "bad_command", name: "an unknown command", bytes: [frame(2, 99, 0)] },
  { failure: "bad_length", name: "a SYN with a payload", bytes: [frame(2, MuxCommand.SYN, 3, new Uint8Array(1))] },
  { failure: "bad_stream_id", name: "an id of our own side", bytes: [frame(2, MuxCommand.SYN, 2)] },
  { failure: "bad_stream_id", name: "stream 0", bytes: [frame(2, MuxCommand.SYN, 0)] },
  {
    failure: "window_exceeded",
    name: "more data than the window",
    bytes: [
      frame(2, MuxCommand.SYN, 3),
      ...Array.from({ length: 5 }, () => frame(2, MuxCommand.PSH, 3, new Uint8Array(65_000))),
    ],
  },
  {
    failure: "window_exceeded",
    name: "a claim to have consumed what was never sent",
    bytes: [frame(2, MuxCommand.SYN, 3), frame(2, MuxCommand.UPD, 3, update(1, 1000))],
  },
  {
    failure: "flooded",
    name: "streams opened faster than they can be refused",
    bytes: Array.from({ length: 9 }, (_, index) => frame(2, MuxCommand.SYN, 3 + 2 * index)),
  },
];

Deno.test("each failure has its name, and ends every stream", async (t) => {
  for (const { failure, name, bytes } of failures) {
    await t.step(`${failure}: ${name}`, () => {
      const side = new Side({ role: "server", extensions: true, maxStreams: 4 }, () => 0);
      const own = side.open();
      side.onProgram = (program) => program.reading = false;
      for (const piece of bytes) side.session.receive(piece, 0);
      assertEquals(side.session.failure, failure);
      assertEquals(own.channel.end, "session_closed");
      assertEquals(side.session.streamCount, 0);
      side.session.receive(frame(2, MuxCommand.SYN, 5), 0);
      assertEquals(side.session.streamCount, 0);
    });
  }
});

Deno.test("timeout: silence for as long as said ends the session, and a sign of life prevents it", () => {
  for (const both of [{ extensions: true }, { version: 2 }, { version: 1 }] as const) {
    const pair = new Pair({ both: { ...both, keepAliveIntervalMs: 1000, keepAliveTimeoutMs: 3000 } });
    const program = pair.client.open();
    pair.settle();
    pair.advance(60_000, 250);
    assertEquals(pair.client.session.failure, undefined);
    assertEquals(pair.server.session.failure, undefined);
    // From now on nothing arrives at the client.
    for (let step = 0; step < 11; step++) pair.client.session.tick(pair.nowMs + 250 * step);
    assertEquals(pair.client.session.failure, undefined);
    pair.client.session.tick(pair.nowMs + 3250);
    assertEquals(pair.client.session.failure, "timeout");
    assertEquals(program.channel.end, "session_closed");
  }
});

const patience = [
  { name: "ours notice a link that was cut without a word within 5 s", options: { extensions: true }, ms: 4000 },
  { name: "plain smux shows itself every 10 s and is given 30", options: { version: 2 }, ms: 30_000 },
] as const;

for (const { name, options, ms } of patience) {
  Deno.test(name, () => {
    const pair = new Pair({ both: options });
    pair.settle();
    pair.advance(120_000, 500);
    const heardMs = pair.nowMs;
    pair.settle();
    pair.client.session.tick(heardMs + ms - 1001);
    assertEquals(pair.client.session.failure, undefined);
    pair.client.session.tick(heardMs + ms);
    assertEquals(pair.client.session.failure, "timeout");
  });
}

Deno.test("the round trip is measured between two of ours, and only there", () => {
  const pair = new Pair({ both: { extensions: true }, latencyMs: 30 });
  pair.settle();
  assertEquals(pair.client.session.rttMs, undefined);
  pair.advance(100, 10);
  assertEquals(pair.client.session.rttMs, 60);
  assertEquals(pair.server.session.rttMs, 60);
  const plain = new Pair({ both: { version: 2 }, latencyMs: 30 });
  plain.advance(10_000);
  assertEquals(plain.client.session.rttMs, undefined);
});

Deno.test("a pong to no ping is ignored", () => {
  const side = new Side({ role: "server", extensions: true }, () => 0);
  side.session.receive(frame(2, MuxCommand.PONG, 0, Uint8Array.of(1, 0, 0, 0)), 50);
  assertEquals(side.session.rttMs, undefined);
});

Deno.test("a peer that pings without reading loses pongs, not our memory", () => {
  const side = new Side({ role: "server", extensions: true }, () => 0);
  for (let count = 0; count < 1000; count++) {
    side.session.receive(frame(2, MuxCommand.PING, 0, Uint8Array.of(count, count >> 8, 0, 0)), 0);
  }
  const into = new Uint8Array(64 * 1024);
  assertLess(side.session.pull(into, 0), 17 * 12 + 12 + 1);
});

Deno.test("a peer that opens and ends streams without reading is stopped before they pile up", () => {
  const ends = [
    { name: "reset by the peer", bytes: frame(2, MuxCommand.RST, 3, Uint8Array.of(MuxResetReason.CUT)) },
    { name: "closed by us", bytes: new Uint8Array() },
  ];
  for (const { name, bytes } of ends) {
    let opened = 0;
    const session = new MuxSession({ role: "server", extensions: true, maxStreams: 10 }, {
      onOpen: (channel) => {
        opened++;
        if (bytes.length === 0) channel.close();
        else channel.offer(new Uint8Array(10));
      },
      onWantsWrite: () => {},
    }, 0);
    for (let count = 0; count < 100 && !session.failure; count++) {
      session.receive(frame(2, MuxCommand.SYN, 3), 0);
      session.receive(bytes, 0);
    }
    assertEquals(session.failure, "flooded", name);
    assertLessOrEqual(opened, 20, name);
  }
});

Deno.test("an application that throws while a stream opens does not leave the other readers waiting", () => {
  const session = new MuxSession({ role: "server", extensions: true }, {
    onOpen: () => {
      throw new Error("application");
    },
    onWantsWrite: () => {},
  }, 0);
  const channel = session.open()!;
  let told = 0;
  channel.onReadable = () => told++;
  try {
    session.receive(frame(2, MuxCommand.SYN, 3), 0);
    assert(false, "the error is the application's to see");
  } catch (error) {
    assertEquals((error as Error).message, "application");
  }
  session.close();
  assertEquals(told, 1);
});
