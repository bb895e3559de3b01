import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { anyMessage, authRequest } from "./fixtures/arbitraries.ts";
import {
  CONTROL_TYPES,
  type ControlMessage,
  controlMessageSchema,
  encodeControl,
  MAX_AUTH_REQUEST_BYTES,
  MAX_MESSAGE_BYTES,
  parseControl,
  type ParseFailure,
} from "./messages.ts";

const PING: ControlMessage = { type: "ping", sequence: 1 };

function parsed(value: unknown): unknown {
  const result = parseControl(JSON.stringify(value));
  return result.ok ? result.message : result.reason;
}

Deno.test("every message is read as it was written", () => {
  const seen = new Set<string>();
  fc.assert(fc.property(anyMessage, (message) => {
    seen.add(message.type);
    assertEquals(parseControl(encodeControl(message)), { ok: true, message });
  }));
  assertEquals([...seen].sort(), [...CONTROL_TYPES].sort());
});

Deno.test("every message that may be sent has its type in the list", () => {
  for (const type of CONTROL_TYPES) assert(parsed({ type }) !== "unknown_type", type);
  assertEquals(new Set(CONTROL_TYPES).size, controlMessageSchema.options.length);
});

Deno.test("any text, and any message with something done to it, is read or refused and nothing else", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
    parseControl(text);
  }));
  fc.assert(fc.property(fc.json({ maxDepth: 4 }), (text) => {
    parseControl(text);
  }));
  fc.assert(fc.property(anyBytes(), (bytes) => {
    parseControl(new TextDecoder().decode(bytes));
  }));
  const encoder = new TextEncoder();
  const valid = anyMessage.map((message) => encoder.encode(encodeControl(message)));
  fc.assert(fc.property(mutationsOf(valid), (bytes) => {
    const result = parseControl(new TextDecoder().decode(bytes));
    // Whatever still passes for a message can be sent on and is read as the same. (As texts: -0 has none of its own.)
    if (!result.ok) return;
    const text = encodeControl(result.message);
    const again = parseControl(text);
    assertEquals(again.ok && encodeControl(again.message), text);
  }));
});

Deno.test("unknown fields are dropped, at every depth, and cannot reach a prototype", () => {
  assertEquals(parsed({ ...PING, later: 1, telemetry: { load: 0.5, later: 2, dataPath: { ok: true, later: 3 } } }), {
    ...PING,
    telemetry: { load: 0.5, dataPath: { ok: true } },
  });
  const result = parseControl(`{"type":"ping","sequence":1,"__proto__":{"polluted":1},"constructor":{"prototype":1}}`);
  assertEquals(result, { ok: true, message: PING });
  assertEquals(({} as Record<string, unknown>)["polluted"], undefined);
});

Deno.test("what is not a message is refused with the reason", () => {
  const rows: { name: string; text: string; reason: ParseFailure }[] = [
    { name: "nothing", text: "", reason: "malformed" },
    { name: "not JSON", text: "{", reason: "malformed" },
    { name: "not an object", text: `"ping"`, reason: "malformed" },
    { name: "null", text: "null", reason: "malformed" },
    { name: "a list", text: `[{"type":"ping","sequence":1}]`, reason: "malformed" },
    { name: "no type", text: "{}", reason: "malformed" },
    { name: "a type that is no text", text: `{"type":["ping"]}`, reason: "malformed" },
    { name: "an unknown type", text: `{"type":"gossip"}`, reason: "unknown_type" },
    { name: "a type that every object has", text: `{"type":"constructor"}`, reason: "unknown_type" },
    { name: "a known type without its fields", text: `{"type":"ping"}`, reason: "malformed" },
    { name: "a fraction for a count", text: `{"type":"ping","sequence":1.5}`, reason: "malformed" },
    { name: "a number beyond 2^53", text: `{"type":"ping","sequence":1e300}`, reason: "malformed" },
    { name: "an unknown kind of command", text: `{"type":"command","kind":"REBOOT"}`, reason: "malformed" },
    { name: "very deep nesting", text: `${"[".repeat(60_000)}`, reason: "malformed" },
  ];
  for (const { name, text, reason } of rows) assertEquals(parseControl(text), { ok: false, reason }, name);
});

Deno.test("messages are bounded in bytes, not in characters", () => {
  const padded = (bytes: number, character: string) => {
    const head = `{"type":"ping","sequence":1,"pad":"`;
    const width = new TextEncoder().encode(character).length;
    const count = Math.floor((bytes - head.length - 2) / width);
    return `${head}${character.repeat(count)}"}`.padEnd(bytes - count * (width - character.length), " ");
  };
  for (const character of ["a", "é", "語"]) {
    assertEquals(new TextEncoder().encode(padded(MAX_MESSAGE_BYTES, character)).length, MAX_MESSAGE_BYTES);
    assert(parseControl(padded(MAX_MESSAGE_BYTES, character)).ok, character);
    assertEquals(parseControl(padded(MAX_MESSAGE_BYTES, character) + " "), { ok: false, reason: "too_large" });
  }
});

Deno.test("an auth request with everything in it is far below its bound", () => {
  fc.assert(
    fc.property(authRequest, (message) => {
      const certificate = `culvert-cert-v1.${"A".repeat(1920)}.${"A".repeat(86)}`;
      const text = encodeControl({ ...message, certificate } as ControlMessage);
      assert(text.length < MAX_AUTH_REQUEST_BYTES / 2, String(text.length));
    }),
    { numRuns: 20 },
  );
});
