import { assertEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { encodePaqetHeader, type PaqetHeader, paqetHeaderBytes, parsePaqetHeader } from "./stream_header.ts";

const golden: { header: PaqetHeader; hex: string }[] = [
  { header: { kind: "ping" }, hex: "5001010000" },
  { header: { kind: "pong" }, hex: "5001020000" },
  { header: { kind: "flags", flags: [] }, hex: "500103000100" },
  { header: { kind: "flags", flags: [0x18, 0x110] }, hex: "5001030005" + "02" + "0018" + "0110" },
  {
    header: { kind: "tcp", target: { host: "example.com", port: 443 } },
    hex: "500104000e" + "0b" + "6578616d706c652e636f6d" + "01bb",
  },
  { header: { kind: "udp", target: { host: "::1", port: 53 } }, hex: "5001050006" + "03" + "3a3a31" + "0035" },
];

for (const { header, hex } of golden) {
  Deno.test(`as paqet writes it: ${JSON.stringify(header)}`, () => {
    const bytes = encodePaqetHeader(header)!;
    assertEquals(encodeHex(bytes), hex);
    assertEquals(paqetHeaderBytes(bytes), bytes.length);
    assertEquals(parsePaqetHeader(bytes), { status: "done", value: header, length: bytes.length });
    for (let length = 0; length < bytes.length; length++) {
      assertEquals(parsePaqetHeader(bytes.subarray(0, length)).status, "more");
    }
  });
}

const word = fc.integer({ min: 0, max: 511 });
const target = fc.record({
  host: fc.string({ minLength: 1, maxLength: 63 }),
  port: fc.integer({ min: 0, max: 0xffff }),
});
const header: fc.Arbitrary<PaqetHeader> = fc.oneof(
  fc.record({ kind: fc.constantFrom("ping" as const, "pong" as const) }),
  fc.record({ kind: fc.constant("flags" as const), flags: fc.array(word, { maxLength: 64 }) }),
  fc.record({ kind: fc.constantFrom("tcp" as const, "udp" as const), target }),
);

Deno.test("what is written is read back", () => {
  fc.assert(fc.property(header, (value) => {
    const bytes = encodePaqetHeader(value)!;
    assertEquals(parsePaqetHeader(bytes), { status: "done", value, length: bytes.length });
  }));
});

Deno.test("any bytes are survived", () => {
  assertDecoderSurvives(parsePaqetHeader, { valid: header.map((value) => encodePaqetHeader(value)!) });
});

const bad: { name: string; hex: string }[] = [
  { name: "another magic", hex: "51" },
  { name: "another version", hex: "5002" },
  { name: "an unknown type", hex: "5001060000" },
  { name: "a body beyond 4096", hex: "5001041001" },
  { name: "no host", hex: "5001040003" + "00" + "01bb" },
  { name: "a host longer than its body", hex: "5001040004" + "02" + "61" + "01bb" },
  { name: "more flags than there are", hex: "5001030003" + "02" + "0018" },
  { name: "65 flags", hex: "5001030083" + "41" + "0018".repeat(65) },
  { name: "a host that is no text", hex: "5001040004" + "01" + "ff" + "01bb" },
];
for (const { name, hex } of bad) {
  Deno.test(`not paqet: ${name}`, () => {
    const bytes = Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
    assertEquals(parsePaqetHeader(bytes).status, "bad");
  });
}

Deno.test("what does not fit is not written", () => {
  assertEquals(encodePaqetHeader({ kind: "tcp", target: { host: "a".repeat(254), port: 1 } }), undefined);
  assertEquals(encodePaqetHeader({ kind: "tcp", target: { host: "", port: 1 } }), undefined);
  assertEquals(encodePaqetHeader({ kind: "flags", flags: new Array(65).fill(1) }), undefined);
});
