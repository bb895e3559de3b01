import { assert, assertEquals, assertExists } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import type { DialFailure } from "./errors.ts";
import type { Hop } from "./stream.ts";
import {
  encodeTunnelReply,
  encodeTunnelRequest,
  isTunnelToken,
  MAX_DATAGRAM_BYTES,
  MAX_TUNNEL_BODY_BYTES,
  parseDatagram,
  parseTunnelReply,
  parseTunnelRequest,
  type TunnelReply,
  type TunnelRequest,
  writeDatagram,
} from "./tunnel.ts";

const failures: readonly DialFailure[] = [
  "failed",
  "denied",
  "unresolved",
  "network_unreachable",
  "host_unreachable",
  "refused",
  "timeout",
  "unsupported",
  "busy",
  "unauthorized",
  "path_down",
];

const text = fc.string({ unit: "grapheme", maxLength: 30 });
const port = fc.nat({ max: 65535 });
const hop: fc.Arbitrary<Hop> = fc.record({
  name: text,
  at: text,
  rttMs: fc.nat({ max: 4_000_000_000 }).map((rttUs) => rttUs / 1000),
  region: fc.string({ minLength: 1, maxLength: 10 }),
  seal: fc.string({ minLength: 1, maxLength: 20 }),
}, { requiredKeys: ["name", "at"] });
const trail = fc.array(hop, { maxLength: 16 });
const host = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 });
const request: fc.Arbitrary<TunnelRequest> = fc.oneof(
  fc.record({ kind: fc.constant("stream" as const), target: fc.record({ host, port }), trail }),
  fc.record({ kind: fc.constant("datagrams" as const), trail }),
  fc.record({ kind: fc.constant("request" as const), trail }),
);

Deno.test("what a request says is what is read, and no byte of what follows it", () => {
  fc.assert(fc.property(request, fc.uint8Array({ maxLength: 5 }), (request, rest) => {
    const bytes = encodeTunnelRequest(request)!;
    const parsed = parseTunnelRequest(Uint8Array.from([...bytes, ...rest]));
    assertEquals(parsed, { status: "done", value: request, length: bytes.length });
  }));
});

Deno.test("what a reply says is what is read", () => {
  const failure = fc.option(fc.constantFrom(...failures), { nil: undefined });
  fc.assert(fc.property(failure, fc.string({ unit: "grapheme", maxLength: 60 }), (failure, message) => {
    const reply: TunnelReply = failure === undefined ? { message } : { failure, message };
    const bytes = encodeTunnelReply(reply);
    assertEquals(parseTunnelReply(bytes), { status: "done", value: reply, length: bytes.length });
  }));
});

Deno.test("what a datagram carries is what is read", () => {
  const payload = fc.uint8Array({ maxLength: 100 });
  fc.assert(fc.property(payload, fc.string({ unit: "grapheme", maxLength: 40 }), port, (payload, host, port) => {
    const buffer = new Uint8Array(1000);
    const length = writeDatagram(buffer, payload, { host, port })!;
    const parsed = parseDatagram(buffer.subarray(0, length));
    assert(parsed.status === "done");
    assertEquals(parsed.length, length);
    assertEquals(parsed.value.address, { host, port });
    assertEquals(encodeHex(parsed.value.payload), encodeHex(payload));
  }));
});

const requests: readonly { name: string; request: TunnelRequest; hex: string }[] = [
  {
    name: "a stream",
    request: { kind: "stream", target: { host: "a.b", port: 443 }, trail: [] },
    hex: "01010006" + "03612e62" + "01bb",
  },
  { name: "datagrams", request: { kind: "datagrams", trail: [] }, hex: "01020003" + "000000" },
  { name: "request", request: { kind: "request", trail: [] }, hex: "01030003" + "000000" },
  {
    name: "a stream with two hops",
    request: {
      kind: "stream",
      target: { host: "::1", port: 1 },
      trail: [{ name: "x", at: "y", rttMs: 1.5 }, { name: "z", at: "" }],
    },
    hex: "0101001b" + "033a3a31" + "0001" + "010008" + "0178" + "0179" + "000005dc" + "010007" + "017a" + "00" +
      "ffffffff",
  },
];

Deno.test("requests have these exact bytes", async (t) => {
  for (const { name, request, hex } of requests) {
    await t.step(name, () => {
      assertEquals(encodeHex(encodeTunnelRequest(request)!), hex);
      assertEquals(parseTunnelRequest(decodeHex(hex)), { status: "done", value: request, length: hex.length / 2 });
    });
  }
});

Deno.test("the numbers of the statuses never change", () => {
  failures.forEach((failure, index) => {
    const bytes = encodeTunnelReply({ failure, message: "no" });
    assertEquals(encodeHex(bytes), `01${(index + 1).toString(16).padStart(2, "0")}00026e6f`);
  });
  assertEquals(encodeHex(encodeTunnelReply({ message: "" })), "01000000");
  const unknown = parseTunnelReply(decodeHex("01fe0000"));
  assertEquals(unknown, { status: "done", value: { failure: "failed", message: "" }, length: 4 });
});

Deno.test("a datagram has these exact bytes", () => {
  const buffer = new Uint8Array(20);
  const length = writeDatagram(buffer, Uint8Array.of(1, 2), { host: "h", port: 53 });
  assertEquals(encodeHex(buffer.subarray(0, length)), "0006" + "0168" + "0035" + "0102");
});

const malformed: readonly { name: string; hex: string; reason: string }[] = [
  { name: "another version", hex: "02", reason: "unknown version" },
  { name: "a body that is too long", hex: "0101ffff", reason: "too long" },
  { name: "an unknown kind", hex: "0104000401610050", reason: "unknown kind" },
  { name: "no address", hex: "01010000", reason: "malformed address" },
  { name: "a host longer than the body", hex: "0101000305616100", reason: "malformed address" },
  { name: "half a port", hex: "01010003016100", reason: "malformed address" },
  { name: "a host that is not UTF-8", hex: "0101000401ff0050", reason: "malformed address" },
  { name: "an empty host", hex: "01010003000050", reason: "no host" },
  { name: "half an option", hex: "01010006" + "01610050" + "0200", reason: "malformed option" },
  { name: "an option longer than the body", hex: "01010008" + "01610050" + "02000500", reason: "malformed option" },
  { name: "a hop cut short", hex: "01010009" + "01610050" + "0100020000", reason: "malformed option" },
  {
    name: "a hop with bytes left over",
    hex: "0101000e" + "01610050" + "010007" + "0000" + "0000000000",
    reason: "malformed option",
  },
];

Deno.test("a malformed request is refused with the reason", async (t) => {
  for (const { name, hex, reason } of malformed) {
    await t.step(name, () => assertEquals(parseTunnelRequest(decodeHex(hex)), { status: "bad", reason }));
  }
});

Deno.test("unknown options are skipped", () => {
  const parsed = parseTunnelRequest(decodeHex("01010009" + "01610050" + "7f0002abcd"));
  assert(parsed.status === "done");
  assertEquals(parsed.value, { kind: "stream", target: { host: "a", port: 80 }, trail: [] });
});

Deno.test("every prefix of a request, a reply and a datagram asks for more", () => {
  const whole = encodeTunnelRequest({ kind: "stream", target: { host: "example", port: 80 }, trail: [] })!;
  for (let end = 0; end < whole.length; end++) {
    assertEquals(parseTunnelRequest(whole.subarray(0, end)).status, "more");
  }
  const reply = encodeTunnelReply({ failure: "busy", message: "later" });
  for (let end = 0; end < reply.length; end++) assertEquals(parseTunnelReply(reply.subarray(0, end)).status, "more");
  const buffer = new Uint8Array(30);
  const length = writeDatagram(buffer, new Uint8Array(5), { host: "h", port: 1 })!;
  for (let end = 0; end < length; end++) assertEquals(parseDatagram(buffer.subarray(0, end)).status, "more");
});

Deno.test("the longest trail still fits a request, and what is longer is cut between characters", () => {
  const hop = { name: "é".repeat(200), at: "x".repeat(300), region: "r".repeat(99), seal: "é".repeat(99) };
  const target = { host: "h".repeat(255), port: 1 };
  const bytes = encodeTunnelRequest({ kind: "stream", target, trail: Array.from({ length: 20 }, () => hop) });
  assertExists(bytes);
  assert(bytes.length <= MAX_TUNNEL_BODY_BYTES + 4);
  const parsed = parseTunnelRequest(bytes);
  assert(parsed.status === "done");
  assertEquals(parsed.value.trail.length, 16);
  const [first] = parsed.value.trail;
  assertEquals(first, { name: "é".repeat(127), at: "x".repeat(255), region: "r".repeat(32), seal: "é".repeat(32) });
  const reply = parseTunnelReply(encodeTunnelReply({ failure: "failed", message: "é".repeat(257) + "!" }));
  assert(reply.status === "done");
  assertEquals(reply.value.message, "é".repeat(256));
});

Deno.test("what the wire cannot say is not written", () => {
  const long = { host: "h".repeat(256), port: 1 };
  assertEquals(encodeTunnelRequest({ kind: "stream", target: long, trail: [] }), undefined);
  assertEquals(encodeTunnelRequest({ kind: "stream", target: { host: "", port: 1 }, trail: [] }), undefined);
  const buffer = new Uint8Array(70_000);
  assertEquals(writeDatagram(buffer, new Uint8Array(1), long), undefined);
  assertEquals(writeDatagram(buffer, new Uint8Array(MAX_DATAGRAM_BYTES + 1), { host: "h", port: 1 }), undefined);
  assertEquals(writeDatagram(buffer, new Uint8Array(MAX_DATAGRAM_BYTES), { host: "192.0.2.1", port: 1 }), 65507 + 14);
  assertEquals(writeDatagram(new Uint8Array(8), new Uint8Array(5), { host: "h", port: 1 }), undefined);
});

Deno.test("any bytes, and requests with bytes changed, are parsed or refused", () => {
  const parse = (bytes: Uint8Array) => [parseTunnelRequest(bytes), parseTunnelReply(bytes), parseDatagram(bytes)];
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, begin) => {
    if (begin && bytes.length > 3) bytes.set([1, 1, 0, bytes.length - 4]);
    for (const parsed of parse(bytes)) if (parsed.status === "done") assert(parsed.length <= bytes.length);
  }));
  fc.assert(
    fc.property(request, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }), (request, sets) => {
      const bytes = encodeTunnelRequest(request)!;
      for (const [at, value] of sets) bytes[at % bytes.length] = value;
      parse(bytes);
    }),
  );
});

Deno.test("a token is what a header field can hold as it is", () => {
  assert(isTunnelToken("s3cret-~!"));
  for (const bad of ["", "two words", "line\r\nbreak", "ключ", "x".repeat(4097)]) assert(!isTunnelToken(bad));
});
