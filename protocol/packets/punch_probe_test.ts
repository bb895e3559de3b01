import { assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { probeId, ProbeKeys } from "./punch_probe.ts";

const secrets = { client: new Uint8Array(32).fill(1), exit: new Uint8Array(32).fill(2) };
const pair = () => ({ client: new ProbeKeys("client", secrets), exit: new ProbeKeys("exit", secrets) });

Deno.test("a probe is these bytes", () => {
  const { client } = pair();
  const head = `c3010000${client.id}00000001`;
  assertEquals(client.ask().bytes.toHex().slice(0, 32), head);
  assertEquals(client.answer(7).toHex().slice(0, 32), `c3020000${client.id}00000007`);
  assertEquals([client.ask().sequence, client.ask().bytes.length], [2, 32]);
});

Deno.test("each side opens what the other made, an ask once", () => {
  const { client, exit } = pair();
  assertEquals(client.id, exit.id);
  for (const [one, other] of [[client, exit], [exit, client]] as const) {
    const { bytes, sequence } = one.ask();
    assertEquals(other.open(bytes), { kind: "ask", sequence });
    assertEquals(other.open(bytes), undefined);
    assertEquals(other.open(one.answer(9)), { kind: "answer", sequence: 9 });
    assertEquals(one.open(one.ask().bytes), undefined);
  }
});

Deno.test("both halves make the key, each in its place", () => {
  const { client } = pair();
  const { client: a, exit: b } = secrets;
  for (const other of [{ client: b, exit: a }, { client: a, exit: a }, { client: b, exit: b }]) {
    assertNotEquals(new ProbeKeys("exit", other).id, client.id);
  }
});

Deno.test("a probe with any bit changed is none", () => {
  const { client, exit } = pair();
  fc.assert(fc.property(fc.nat(32 * 8 - 1), fc.boolean(), (bit, isAsk) => {
    const bytes = isAsk ? client.ask().bytes : client.answer(3);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    assertEquals(exit.open(bytes), undefined);
  }));
});

Deno.test("any bytes are a probe or none", () => {
  const { client, exit } = pair();
  const valid = fc.boolean().map((isAsk) => isAsk ? client.ask().bytes : client.answer(1));
  assertDecoderSurvives((bytes) => exit.open(bytes), { valid, maxLength: 64 });
  assertDecoderSurvives(probeId, { valid, maxLength: 64 });
});

Deno.test("what follows a probe is passed over: a card may have joined two", () => {
  const { client, exit } = pair();
  const bytes = Uint8Array.from([...client.ask().bytes, ...client.ask().bytes]);
  assertEquals(exit.open(bytes), { kind: "ask", sequence: 1 });
});
