import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../testing/fuzz.ts";
import { encodeRelayHeader, MAX_RELAY_HEADER_BYTES, parseRelayHeader, type RelayHeader } from "./relay.ts";
import type { Hop } from "./stream.ts";

const text = fc.string({ unit: "grapheme", maxLength: 30 });
const hop: fc.Arbitrary<Hop> = fc.record({
  name: text,
  at: text,
  rttMs: fc.nat({ max: 4_000_000_000 }).map((rttUs) => rttUs / 1000),
  region: fc.string({ minLength: 1, maxLength: 10 }),
  seal: fc.string({ minLength: 1, maxLength: 20 }),
}, { requiredKeys: ["name", "at"] });
const header: fc.Arbitrary<RelayHeader> = fc.record({
  kind: fc.constantFrom("toExit", "fromClient", "probe"),
  sessionId: fc.stringMatching(/^[\x21-\x7e]{1,64}$/),
  trail: fc.array(hop, { maxLength: 16 }),
});

Deno.test("what a relay header says is what is read, and no byte of what follows it", () => {
  fc.assert(fc.property(header, fc.uint8Array({ maxLength: 5 }), (header, rest) => {
    const bytes = encodeRelayHeader(header)!;
    const parsed = parseRelayHeader(Uint8Array.from([...bytes, ...rest]));
    assertEquals(parsed, { status: "done", value: header, length: bytes.length });
    for (let end = 0; end < Math.min(20, bytes.length); end++) {
      assertEquals(parseRelayHeader(bytes.subarray(0, end)).status, "more");
    }
  }));
});

Deno.test("relay headers have these exact bytes", () => {
  const toExit: RelayHeader = { kind: "toExit", sessionId: "s1", trail: [] };
  assertEquals(encodeHex(encodeRelayHeader(toExit)!), "01010003" + "027331");
  const fromClient: RelayHeader = { kind: "fromClient", sessionId: "s1", trail: [{ name: "x", at: "y", rttMs: 1.5 }] };
  assertEquals(
    encodeHex(encodeRelayHeader(fromClient)!),
    "0102000e" + "027331" + "010008" + "0178" + "0179" + "000005dc",
  );
  assertEquals(encodeHex(encodeRelayHeader({ kind: "probe", sessionId: "-", trail: [] })!), "01030002" + "012d");
});

const malformed: readonly { name: string; hex: string; reason: string }[] = [
  { name: "another version", hex: "02", reason: "unknown version" },
  { name: "a body that is too long", hex: "0101ffff", reason: "too long" },
  { name: "an unknown kind", hex: "01040003" + "027331", reason: "unknown kind" },
  { name: "no session id", hex: "01010000", reason: "malformed session id" },
  { name: "an empty session id", hex: "01010001" + "00", reason: "malformed session id" },
  { name: "a session id with a space", hex: "01010002" + "0120", reason: "malformed session id" },
  { name: "a session id longer than the body", hex: "01010002" + "0541", reason: "malformed session id" },
  { name: "a session id of 65 characters", hex: "01010042" + "41" + "61".repeat(65), reason: "malformed session id" },
  { name: "half an option", hex: "01010004" + "0141" + "0200", reason: "malformed option" },
];

Deno.test("a malformed relay header is refused with the reason", async (t) => {
  for (const { name, hex, reason } of malformed) {
    await t.step(name, () => assertEquals(parseRelayHeader(decodeHex(hex)), { status: "bad", reason }));
  }
});

Deno.test("a session id that is none is not written, and the longest header fits", () => {
  for (const sessionId of ["", "two words", "é", "x".repeat(65)]) {
    assertEquals(encodeRelayHeader({ kind: "toExit", sessionId, trail: [] }), undefined);
  }
  const hop = { name: "x".repeat(300), at: "y".repeat(300), region: "r".repeat(99), seal: "s".repeat(99) };
  const bytes = encodeRelayHeader({ kind: "toExit", sessionId: "x".repeat(64), trail: Array(20).fill(hop) })!;
  assert(bytes.length <= MAX_RELAY_HEADER_BYTES);
  assertEquals(parseRelayHeader(bytes).status, "done");
});

Deno.test("any bytes, and headers with something done to them, are parsed or refused", () => {
  const check = (bytes: Uint8Array) => {
    const parsed = parseRelayHeader(bytes);
    if (parsed.status === "done") assert(parsed.length <= bytes.length);
  };
  fc.assert(fc.property(anyBytes(), check));
  fc.assert(fc.property(mutationsOf(header.map((header) => encodeRelayHeader(header)!)), check));
});
