import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { fromNode, fromOrchestrator, hello } from "./fixtures/node_messages.ts";
import {
  encodeNodeMessage,
  fromNodeSchema,
  fromOrchestratorSchema,
  MAX_HELLO_BYTES,
  parseFromNode,
  parseFromOrchestrator,
} from "./node_messages.ts";

const directions = [
  { name: "a node", messages: fromNode, parse: parseFromNode, schema: fromNodeSchema },
  { name: "an orchestrator", messages: fromOrchestrator, parse: parseFromOrchestrator, schema: fromOrchestratorSchema },
] as const;

for (const { name, messages, parse, schema } of directions) {
  Deno.test(`every message of ${name} is read as it was written`, () => {
    for (const message of messages) assertEquals(parse(encodeNodeMessage(message)), { ok: true, message } as never);
    assertEquals(messages.length, schema.options.length, "a message has no sample");
  });

  Deno.test(`any text that claims to be a message of ${name} is read or refused and nothing else`, () => {
    const encoder = new TextEncoder();
    const valid = fc.constantFrom(...messages).map((message) => encoder.encode(encodeNodeMessage(message)));
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), (text) => void parse(text)));
    fc.assert(fc.property(anyBytes(), (bytes) => void parse(decode(bytes))));
    fc.assert(fc.property(mutationsOf(valid), (bytes) => {
      const result = parse(decode(bytes));
      if (!result.ok) return;
      const text = encodeNodeMessage(result.message);
      const again = parse(text);
      assertEquals(again.ok && encodeNodeMessage(again.message), text);
    }));
  });
}

Deno.test("what is unknown is dropped or passed over, and cannot reach a prototype", () => {
  assertEquals(parseFromNode(`{"type":"gossip","sequence":1}`), { ok: false, reason: "unknown_type" });
  assertEquals(parseFromNode(`{"type":"constructor"}`), { ok: false, reason: "unknown_type" });
  assertEquals(parseFromNode(`{"type":"ping","sequence":1,"later":1,"__proto__":{"polluted":1}}`), {
    ok: true,
    message: { type: "ping", sequence: 1 },
  });
  assertEquals(({} as Record<string, unknown>)["polluted"], undefined);
});

Deno.test("messages go one way only", () => {
  assertEquals(parseFromNode(`{"type":"notice","text":"hello"}`), { ok: false, reason: "unknown_type" });
  assertEquals(parseFromOrchestrator(`{"type":"pause","reason":"owner"}`), { ok: false, reason: "unknown_type" });
});

Deno.test("what is out of bounds is malformed", () => {
  const rows = [
    `{"type":"ping","sequence":-1}`,
    `{"type":"ping","sequence":1.5}`,
    `{"type":"ping"}`,
    `{"type":"pause","reason":"because"}`,
    `{"type":"drain","reason":"two\\nlines"}`,
    JSON.stringify({ ...hello, tunnel: { index: 4, count: 4 } }),
    JSON.stringify({ ...hello, egress: { ...hello.egress, ports: Array(33).fill("443") } }),
    JSON.stringify({ ...hello, info: { ...hello.info, attestation: "x".repeat(8193) } }),
    "[".repeat(20_000),
    "",
    "null",
  ];
  for (const text of rows) assertEquals(parseFromNode(text), { ok: false, reason: "malformed" }, text.slice(0, 80));
  assertEquals(parseFromOrchestrator(`{"type":"earnings","figures":{"balanceMicros":1}}`).ok, false);
});

Deno.test("the longest hello is within its limit", () => {
  const remark = "\u{10FFFF}".repeat(128);
  const longest = {
    ...hello,
    code: "x".repeat(128),
    consent: { ...hello.consent, textHash: "x".repeat(64), signature: "x".repeat(128) },
    info: { ...hello.info, agent: remark, model: remark, os: remark, attestation: '"'.repeat(8192) },
    egress: { ...hello.egress, ports: Array(32).fill("10000-65535") },
  };
  const text = JSON.stringify(longest);
  assert(parseFromNode(text).ok);
  assert(new TextEncoder().encode(text).length <= MAX_HELLO_BYTES);
});
