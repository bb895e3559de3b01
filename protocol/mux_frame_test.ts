import { assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import {
  firstStreamId,
  followingStreamId,
  MUX_HEADER_BYTES,
  MuxCommand,
  readUint32,
  writeMuxHeader,
  writeUint32,
} from "./mux_frame.ts";
import { type MuxFrameFault, MuxFrameReader } from "./mux_reader.ts";

/** What a reader said of a run of bytes. */
interface Seen {
  readonly frames: { command: number; streamId: number; data: number[] }[];
  readonly fault: MuxFrameFault | undefined;
}

function readFrames(pieces: readonly Uint8Array[], version: 1 | 2, extensions: boolean): Seen {
  const frames: Seen["frames"] = [];
  const reader = new MuxFrameReader(version, extensions, {
    onFrame: (command, streamId) => frames.push({ command, streamId, data: [] }),
    onData: (bytes) => frames.at(-1)!.data.push(...bytes),
    onShort: (command, streamId, payload) => {
      const length = command === MuxCommand.UPD ? 8 : command === MuxCommand.RST ? 1 : 4;
      frames.push({ command, streamId, data: [...payload.subarray(0, length)] });
    },
  });
  for (const bytes of pieces) {
    for (let at = 0; at < bytes.length;) {
      const next = reader.step(bytes, at);
      if (typeof next === "string") return { frames, fault: next };
      if (next <= at) throw new Error(`the reader stood still at ${at}`);
      at = next;
    }
  }
  return { frames, fault: undefined };
}

function frame(version: number, command: number, streamId: number, payload: readonly number[] = []): Uint8Array {
  const bytes = new Uint8Array(MUX_HEADER_BYTES + payload.length);
  writeMuxHeader(bytes, 0, version, command, payload.length, streamId);
  bytes.set(payload, MUX_HEADER_BYTES);
  return bytes;
}

Deno.test("the window update that kcptun sends is read for what it is", () => {
  // Captured from kcptun 20210922 (smux 1.5.16, --smuxver 2) after it had read its first 12 bytes.
  const captured = decodeHex("02040800030000000c00000000002000");
  const { frames, fault } = readFrames([captured], 2, false);
  assertEquals(fault, undefined);
  assertEquals(frames.length, 1);
  assertEquals(frames[0]!.command, MuxCommand.UPD);
  assertEquals(frames[0]!.streamId, 3);
  const payload = Uint8Array.from(frames[0]!.data);
  assertEquals(readUint32(payload, 0), 12);
  assertEquals(readUint32(payload, 4), 2 * 1024 * 1024);

  const ours = new Uint8Array(16);
  const at = writeMuxHeader(ours, 0, 2, MuxCommand.UPD, 8, 3);
  assertEquals(writeUint32(ours, writeUint32(ours, at, 12), 2 * 1024 * 1024), 16);
  assertEquals(encodeHex(ours), encodeHex(captured));
});

const exact: readonly { name: string; version: number; command: number; id: number; payload: number[]; hex: string }[] =
  [
    { name: "SYN", version: 1, command: MuxCommand.SYN, id: 3, payload: [], hex: "0100000003000000" },
    { name: "FIN", version: 2, command: MuxCommand.FIN, id: 0xfffffffe, payload: [], hex: "02010000feffffff" },
    { name: "PSH", version: 2, command: MuxCommand.PSH, id: 5, payload: [1, 2, 3], hex: "0202030005000000010203" },
    { name: "NOP", version: 1, command: MuxCommand.NOP, id: 0, payload: [], hex: "0103000000000000" },
    { name: "RST", version: 2, command: MuxCommand.RST, id: 7, payload: [1], hex: "021001000700000001" },
    {
      name: "PING",
      version: 2,
      command: MuxCommand.PING,
      id: 0,
      payload: [1, 2, 3, 4],
      hex: "021104000000000001020304",
    },
    {
      name: "PONG",
      version: 2,
      command: MuxCommand.PONG,
      id: 0,
      payload: [1, 2, 3, 4],
      hex: "021204000000000001020304",
    },
  ];

Deno.test("every frame has its exact bytes", async (t) => {
  for (const { name, version, command, id, payload, hex } of exact) {
    await t.step(name, () => {
      const bytes = frame(version, command, id, payload);
      assertEquals(encodeHex(bytes), hex);
      const seen = readFrames([bytes], version as 1 | 2, true);
      assertEquals(seen, { frames: [{ command, streamId: id, data: payload }], fault: undefined });
    });
  }
});

const faults: readonly { name: string; hex: string; version: 1 | 2; extensions: boolean; fault: MuxFrameFault }[] = [
  { name: "another version", hex: "0103000000000000", version: 2, extensions: true, fault: "bad_version" },
  { name: "no version at all", hex: "0003000000000000", version: 1, extensions: true, fault: "bad_version" },
  { name: "an unknown command", hex: "0205000000000000", version: 2, extensions: true, fault: "bad_command" },
  { name: "UPD in version 1", hex: "0104080003000000", version: 1, extensions: true, fault: "bad_command" },
  { name: "RST without extensions", hex: "0210010003000000", version: 2, extensions: false, fault: "bad_command" },
  { name: "PING without extensions", hex: "0211040000000000", version: 2, extensions: false, fault: "bad_command" },
  { name: "PONG without extensions", hex: "0212040000000000", version: 2, extensions: false, fault: "bad_command" },
  { name: "SYN with a payload", hex: "0200010003000000", version: 2, extensions: true, fault: "bad_length" },
  { name: "FIN with a payload", hex: "0201ffff03000000", version: 2, extensions: true, fault: "bad_length" },
  { name: "NOP with a payload", hex: "0203010000000000", version: 2, extensions: true, fault: "bad_length" },
  { name: "a short UPD", hex: "0204070003000000", version: 2, extensions: true, fault: "bad_length" },
  { name: "an empty RST", hex: "0210000003000000", version: 2, extensions: true, fault: "bad_length" },
  { name: "a long PING", hex: "0211050000000000", version: 2, extensions: true, fault: "bad_length" },
];

Deno.test("a frame that cannot be is named by its fault, as soon as its header is whole", async (t) => {
  for (const { name, hex, version, extensions, fault } of faults) {
    await t.step(name, () => {
      const bytes = decodeHex(hex);
      assertEquals(readFrames([bytes], version, extensions), { frames: [], fault });
      assertEquals(readFrames([...bytes].map((byte) => Uint8Array.of(byte)), version, extensions).fault, fault);
    });
  }
});

Deno.test("frames are the same wherever their bytes are cut", () => {
  const any = fc.oneof(
    fc.record({
      command: fc.constantFrom(MuxCommand.SYN, MuxCommand.FIN, MuxCommand.NOP),
      streamId: fc.nat({ max: 0xffffffff }),
      data: fc.constant([] as number[]),
    }),
    fc.record({
      command: fc.constant(MuxCommand.PSH),
      streamId: fc.nat({ max: 0xffffffff }),
      data: fc.array(fc.nat({ max: 255 }), { maxLength: 40 }),
    }),
    fc.record({
      command: fc.constant(MuxCommand.UPD),
      streamId: fc.nat({ max: 0xffffffff }),
      data: fc.array(fc.nat({ max: 255 }), { minLength: 8, maxLength: 8 }),
    }),
  );
  fc.assert(fc.property(fc.array(any, { maxLength: 8 }), fc.array(fc.nat({ max: 400 })), (frames, cuts) => {
    const bytes = frames.flatMap(({ command, streamId, data }) => [...frame(2, command, streamId, data)]);
    const whole = Uint8Array.from(bytes);
    const places = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
    const pieces = places.slice(1).map((end, index) => whole.subarray(places[index], end));
    assertEquals(readFrames(pieces, 2, false), { frames: frames as Seen["frames"], fault: undefined });
  }));
});

Deno.test("any bytes give frames or a fault, and nothing else", () => {
  const version = fc.constantFrom(1 as const, 2 as const);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), version, fc.boolean(), (bytes, version, extensions) => {
    if (bytes.length > 0 && bytes[0]! % 2 === 0) bytes[0] = version;
    readFrames([bytes], version, extensions);
  }));
});

Deno.test("u32 fields keep all their bits", () => {
  fc.assert(fc.property(fc.nat({ max: 0xffffffff }), (value) => {
    const bytes = new Uint8Array(5);
    assertEquals(writeUint32(bytes, 1, value), 5);
    assertEquals(readUint32(bytes, 1), value);
  }));
});

Deno.test("stream ids are odd for a client, even for a server, and start over at the end of 32 bits", () => {
  assertEquals(firstStreamId("client"), 3);
  assertEquals(firstStreamId("server"), 2);
  assertEquals(followingStreamId("client", 3), 5);
  assertEquals(followingStreamId("server", 2), 4);
  assertEquals(followingStreamId("client", 0xfffffffd), 0xffffffff);
  assertEquals(followingStreamId("client", 0xffffffff), 3);
  assertEquals(followingStreamId("server", 0xfffffffe), 2);
});
