import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import {
  applyMask,
  websocketAccept,
  type WebsocketFault,
  WebsocketFrameReader,
  websocketHeaderBytes,
  WebSocketOpcode,
  writeWebsocketHeader,
} from "./websocket.ts";

interface Seen {
  data: number[];
  pings: string[];
  closes: number[];
  fault: WebsocketFault | undefined;
}

function readFrames(role: "client" | "server", pieces: readonly Uint8Array[]): Seen {
  const seen: Seen = { data: [], pings: [], closes: [], fault: undefined };
  const reader = new WebsocketFrameReader(role, {
    onData: (bytes) => seen.data.push(...bytes),
    onPing: (payload) => seen.pings.push(new TextDecoder().decode(payload)),
    onClose: (code) => seen.closes.push(code),
  });
  for (const piece of pieces) seen.fault ??= reader.read(piece.slice());
  return seen;
}

function frame(opcode: number, payload: Uint8Array, key?: Uint8Array): Uint8Array {
  const headerBytes = websocketHeaderBytes(payload.length, key !== undefined);
  const bytes = new Uint8Array(headerBytes + payload.length);
  writeWebsocketHeader(bytes, 0, opcode, payload.length, key);
  bytes.set(payload, headerBytes);
  if (key) applyMask(bytes.subarray(headerBytes), key);
  return bytes;
}

const ascii = (text: string) => new TextEncoder().encode(text);
const hello = [...ascii("Hello")];

Deno.test("the accept value is that of RFC 6455 §1.3", () => {
  const accept = websocketAccept("dGhlIHNhbXBsZSBub25jZQ==");
  assertEquals(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

// RFC 6455 §5.7, with the text opcode of its examples turned into binary where it is data.
const examples: readonly { name: string; role: "client" | "server"; hex: string; seen: Partial<Seen> }[] = [
  { name: "an unmasked message", role: "client", hex: "820548656c6c6f", seen: { data: hello } },
  { name: "a masked message", role: "server", hex: "828537fa213d7f9f4d5158", seen: { data: hello } },
  { name: "a fragmented message", role: "client", hex: "020348656c" + "80026c6f", seen: { data: hello } },
  { name: "an unmasked ping", role: "client", hex: "890548656c6c6f", seen: { pings: ["Hello"] } },
  { name: "a masked pong, which needs no answer", role: "server", hex: "8a8537fa213d7f9f4d5158", seen: {} },
  {
    name: "a ping between fragments",
    role: "client",
    hex: "020348656c" + "8900" + "80026c6f",
    seen: { data: hello, pings: [""] },
  },
  { name: "a close with a code", role: "client", hex: "880203e9", seen: { closes: [1001] } },
  { name: "a close without one", role: "client", hex: "8800", seen: { closes: [1005] } },
  { name: "an empty message", role: "client", hex: "8200", seen: {} },
  { name: "a 16-bit length", role: "client", hex: "827e0005" + "48656c6c6f", seen: { data: hello } },
  { name: "a 64-bit length", role: "client", hex: "827f0000000000000005" + "48656c6c6f", seen: { data: hello } },
];

Deno.test("the example frames of RFC 6455 §5.7 are read", async (t) => {
  for (const { name, role, hex, seen } of examples) {
    await t.step(name, () => {
      const expected: Seen = { data: [], pings: [], closes: [], fault: undefined, ...seen };
      const bytes = decodeHex(hex);
      assertEquals(readFrames(role, [bytes]), expected);
      assertEquals(readFrames(role, [...bytes].map((byte) => Uint8Array.of(byte))), expected);
    });
  }
});

const headers: readonly { payloadBytes: number; masked: boolean; hex: string }[] = [
  { payloadBytes: 0, masked: false, hex: "8200" },
  { payloadBytes: 125, masked: false, hex: "827d" },
  { payloadBytes: 126, masked: false, hex: "827e007e" },
  { payloadBytes: 256, masked: false, hex: "827e0100" },
  { payloadBytes: 65_535, masked: false, hex: "827effff" },
  { payloadBytes: 65_536, masked: false, hex: "827f0000000000010000" },
  { payloadBytes: 2 ** 40 + 5, masked: false, hex: "827f0000010000000005" },
  { payloadBytes: 5, masked: true, hex: "828537fa213d" },
  { payloadBytes: 70_000, masked: true, hex: "82ff000000000001117037fa213d" },
];

Deno.test("headers have the length RFC 6455 §5.2 gives them", () => {
  const key = decodeHex("37fa213d");
  for (const { payloadBytes, masked, hex } of headers) {
    const length = websocketHeaderBytes(payloadBytes, masked);
    const bytes = new Uint8Array(length + 1).fill(0xaa);
    writeWebsocketHeader(bytes, 0, WebSocketOpcode.BINARY, payloadBytes, masked ? key : undefined);
    assertEquals(encodeHex(bytes.subarray(0, length)), hex);
    assertEquals(bytes[length], 0xaa);
  }
});

Deno.test("fast masking equals masking byte by byte, at every alignment and phase", () => {
  const key = decodeHex("37fa213d");
  for (let offset = 0; offset < 8; offset++) {
    for (let phase = 0; phase < 4; phase++) {
      for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 100, 512, 523, 16_384, 16_399]) {
        const buffer = Uint8Array.from({ length: offset + length + 3 }, (_, at) => at * 37);
        const expected = buffer.slice();
        for (let at = 0; at < length; at++) expected[offset + at]! ^= key[(phase + at) % 4]!;
        applyMask(buffer.subarray(offset, offset + length), key, phase);
        assertEquals(encodeHex(buffer), encodeHex(expected), `offset ${offset}, phase ${phase}, length ${length}`);
      }
    }
  }
});

const faults: readonly { name: string; role: "client" | "server"; hex: string; fault: WebsocketFault }[] = [
  { name: "reserved bit 1", role: "client", hex: "c200", fault: "protocol_error" },
  { name: "reserved bit 2", role: "client", hex: "a200", fault: "protocol_error" },
  { name: "reserved bit 3", role: "client", hex: "9200", fault: "protocol_error" },
  { name: "unmasked to a server", role: "server", hex: "820100", fault: "protocol_error" },
  { name: "masked to a client", role: "client", hex: "82800000000000", fault: "protocol_error" },
  { name: "text", role: "client", hex: "810141", fault: "unsupported_data" },
  { name: "a data opcode that does not exist", role: "client", hex: "8300", fault: "protocol_error" },
  { name: "a control opcode that does not exist", role: "client", hex: "8b00", fault: "protocol_error" },
  { name: "a control frame of 126 bytes", role: "client", hex: "897e007e", fault: "protocol_error" },
  { name: "a fragmented control frame", role: "client", hex: "0900", fault: "protocol_error" },
  { name: "a continuation of nothing", role: "client", hex: "8000", fault: "protocol_error" },
  { name: "a message within a message", role: "client", hex: "0200" + "8200", fault: "protocol_error" },
  { name: "a length of more than 2^53", role: "client", hex: "827f0020000000000000", fault: "protocol_error" },
  { name: "a length with its highest bit set", role: "client", hex: "827fffffffffffffffff", fault: "protocol_error" },
];

Deno.test("what the protocol forbids is a fault", async (t) => {
  for (const { name, role, hex, fault } of faults) {
    await t.step(name, () => assertEquals(readFrames(role, [decodeHex(hex)]).fault, fault));
  }
});

Deno.test("messages survive any cut, masked and bare", () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
  const keys = fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined });
  fc.assert(fc.property(payloads, keys, fc.array(fc.nat({ max: 2000 })), (payloads, key, cuts) => {
    const whole = Uint8Array.from(
      payloads.flatMap((payload) => [
        ...frame(WebSocketOpcode.BINARY, payload, key),
        ...frame(WebSocketOpcode.PING, ascii("hi"), key),
      ]),
    );
    const places = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
    const seen = readFrames(
      key ? "server" : "client",
      places.slice(1).map((end, index) => whole.subarray(places[index], end)),
    );
    assertEquals(seen.fault, undefined);
    assertEquals(seen.data, payloads.flatMap((payload) => [...payload]));
    assertEquals(seen.pings.length, payloads.length);
  }));
});

Deno.test("any bytes are read or refused, never more data than came", () => {
  const role = fc.constantFrom("client" as const, "server" as const);
  fc.assert(fc.property(role, fc.array(fc.uint8Array({ maxLength: 100 })), (role, pieces) => {
    const seen = readFrames(role, pieces);
    assert(seen.data.length <= pieces.reduce((sum, piece) => sum + piece.length, 0));
  }));
});
