import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeBase64 } from "../encoding.ts";
import { token } from "../control/fixtures/arbitraries.ts";
import { encodeGateway, type GatewayMessage, MAX_GATEWAY_BYTES, parseGateway } from "./gateway.ts";

const at = fc.array(fc.constantFrom("192.0.2.1:51820", "[2001:db8::1]:40000"), { maxLength: 8 });
const secret = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => encodeBase64(bytes));
const grant = fc.record({ secret, at }, { noNullPrototype: true });
const punchAnswer = { type: fc.constant("punch.answer" as const), id: token };
const message: fc.Arbitrary<GatewayMessage> = fc.oneof(
  fc.record({ type: fc.constant("punch.offer" as const), id: token, secret, at }, { noNullPrototype: true }),
  fc.record({ ...punchAnswer, grant }, { noNullPrototype: true }),
  fc.record({ ...punchAnswer, retryAfterMs: fc.nat(86_400_000) }, { noNullPrototype: true }),
  fc.record({ type: fc.constant("probe" as const), id: token }, { noNullPrototype: true }),
  fc.record({ type: fc.constant("probe.answer" as const), id: token, ok: fc.boolean() }, { noNullPrototype: true }),
);
const ID = "AAAAAAAAAAAAAAAAAAAAAA";
const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

Deno.test("every message is read as it was written", () => {
  fc.assert(fc.property(message, (message) => assertEquals(parseGateway(encodeGateway(message)), message)));
});

Deno.test("arbitrary bytes are at most no message", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2 * MAX_GATEWAY_BYTES }), (bytes) => void parseGateway(bytes)));
});

Deno.test("a message with bytes changed is no message or another valid one", () => {
  const change = fc.tuple(fc.nat(200), fc.nat(255));
  fc.assert(fc.property(message, fc.array(change, { minLength: 1, maxLength: 4 }), (message, changes) => {
    const bytes = encodeGateway(message);
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    const read = parseGateway(bytes);
    if (read) assertEquals(parseGateway(encodeGateway(read)), read);
  }));
});

for (
  const [name, value] of Object.entries({
    "no object": "probe",
    "null": null,
    "a list": [{ type: "probe", id: ID }],
    "an unknown type": { type: "probes", id: ID },
    "no id": { type: "probe" },
    "a short id": { type: "probe", id: "AAAA" },
    "an answer that does not say": { type: "probe.answer", id: ID },
  })
) {
  Deno.test(`${name} is no message`, () => assertEquals(parseGateway(bytesOf(value)), undefined));
}

Deno.test("fields of later versions are dropped", () => {
  assertEquals(parseGateway(bytesOf({ type: "probe", id: ID, load: 1 })), { type: "probe", id: ID });
});

Deno.test("nothing longer than a datagram may be is read or written", () => {
  const long = { type: "probe", id: ID, padding: "x".repeat(MAX_GATEWAY_BYTES) };
  assert(bytesOf({ type: "probe", id: ID }).length < MAX_GATEWAY_BYTES);
  assertEquals(parseGateway(bytesOf(long)), undefined);
  assertThrows(() => encodeGateway(long as unknown as GatewayMessage), RangeError);
});
