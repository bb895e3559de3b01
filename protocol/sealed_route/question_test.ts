import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { clientKeys, clientSecret } from "./access.ts";
import { headByte, LABEL_BYTES, routeBytes, RouteKind } from "./datagram.ts";
import { datagramOf, placeOf, PureRelay, RoutedNetwork } from "./fixtures/routed_network.ts";
import {
  encodeAnswer,
  encodeQuestion,
  QUESTION_BYTES,
  readAnswer,
  readQuestion,
  type RouteAnswer,
  RouteStatus,
} from "./question.ts";

const random = new SeededRandom(5);
const relayKey = random.fill(new Uint8Array(32));
const keys = clientKeys(clientSecret(relayKey, "alice"));
const tools = { keys, suite: portableWireGuardCrypto, random };
const label = random.fill(new Uint8Array(LABEL_BYTES));
const WALL_MS = Date.UTC(2026, 4, 5, 6, 7, 8);
const A = "192.0.2.10:4000", R = "192.0.2.1:9000", B = "198.51.100.20:7000";

const anyPlace = fc.record({
  address: fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    // One that is not an IPv4 address in other clothes.
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => bytes.fill(0x20, 0, 1)),
  ).map((bytes) => new Uint8Array(bytes)),
  port: fc.nat(65_535),
});

Deno.test("a question and its answer say what they were given, are equally long, and only their reader can read them", () => {
  fc.assert(fc.property(anyPlace, anyPlace, fc.nat(2 ** 24 - 1), (to, seen, lifetimeS) => {
    const { payload, nonce } = encodeQuestion({ to, wallMs: WALL_MS }, label, tools);
    assertEquals(payload.length, QUESTION_BYTES);
    assertEquals(readQuestion(payload, label, tools), { to, wallMs: WALL_MS, nonce });
    const answer: RouteAnswer = {
      ...{ status: RouteStatus.granted, lifetimeMs: lifetimeS * 1000, wallMs: WALL_MS, seen },
      ticket: random.fill(new Uint8Array(64)),
    };
    const asked = { label, nonce };
    const answered = encodeAnswer(answer, asked, tools);
    assertEquals(answered.length, QUESTION_BYTES);
    assertEquals(readAnswer(answered, asked, tools), answer);
    const others = { ...tools, keys: clientKeys(clientSecret(relayKey, "bob")) };
    assertEquals(readQuestion(payload, label, others), undefined);
    assertEquals(readAnswer(answered, asked, others), undefined);
    assertEquals(readAnswer(answered, { label, nonce: new Uint8Array(12) }, tools), undefined);
    assertEquals(readAnswer(answered, { label: new Uint8Array(7), nonce }, tools), undefined);
    assertEquals(readQuestion(payload, new Uint8Array(7), tools), undefined);
  }));
});

Deno.test("no bytes disturb the readers", () => {
  const { payload, nonce } = encodeQuestion({ to: placeOf(B), wallMs: WALL_MS }, label, tools);
  assertDecoderSurvives((bytes) => readQuestion(bytes, label, tools), { valid: fc.constant(payload) });
  assertDecoderSurvives((bytes) => readAnswer(bytes, { label, nonce }, tools), { valid: fc.constant(payload) });
});

function relayOf(options: Partial<ConstructorParameters<typeof PureRelay>[0]> = {}) {
  const net = new RoutedNetwork();
  const relay = new PureRelay({ relayKey, random, ...options });
  net.relays.set(R, relay);
  return { net, relay };
}

Deno.test("those who are not let in hear nothing; those whose clock is wrong hear by how much", () => {
  const { net, relay } = relayOf();
  assertEquals(net.ask(A, R, B, { relayKey, random, name: "mallory" }), undefined);
  assertEquals(net.ask(A, R, B, { relayKey: new Uint8Array(32), random }), undefined);
  assertEquals(relay.desk.ignored, 2);
  for (const skewMs of [-61_000, 61_000, -1e9]) {
    const answer = net.ask(A, R, B, { relayKey, random, wallMs: net.time.wallMs + skewMs });
    assertEquals([answer?.status, answer?.wallMs], [RouteStatus.clock, net.time.wallMs]);
    assert(answer!.ticket.every((byte) => byte === 0));
  }
  assertEquals(net.ask(A, R, B, { relayKey, random, wallMs: net.time.wallMs + 59_000 })?.status, RouteStatus.granted);
});

Deno.test("a client that asks too much is told so, and later not", () => {
  const { net } = relayOf({ clientPace: { perSecond: 10, burst: 20 }, clients: ["alice", "bob"] });
  const statuses = Array.from({ length: 30 }, () => net.ask(A, R, B, { relayKey, random })!.status);
  assertEquals(statuses.filter((status) => status === RouteStatus.granted).length, 20);
  assertEquals(statuses.at(-1), RouteStatus.busy);
  assertEquals(net.ask(A, R, B, { relayKey, random, name: "bob" })!.status, RouteStatus.granted);
  net.time.nowMs += 1000;
  assertEquals(net.ask(A, R, B, { relayKey, random })!.status, RouteStatus.granted);
});

Deno.test("whatever is asked, and by however many at once, the answer is no longer and the desk holds", () => {
  const { net, relay } = relayOf();
  const { payload } = encodeQuestion({ to: placeOf(B), wallMs: net.time.wallMs }, label, tools);
  const valid = datagramOf(RouteKind.question, [], payload, { label });
  const survives = (bytes: Uint8Array) => {
    const sent = relay.receive(bytes, placeOf(A), net.time);
    assert(!sent || sent.bytes.length === bytes.length);
    return true;
  };
  assertDecoderSurvives(survives, { valid: fc.constant(valid), runs: 500 });
  for (const length of [0, 1, 8, routeBytes(0) + QUESTION_BYTES - 1, routeBytes(0) + QUESTION_BYTES + 1]) {
    const bytes = new Uint8Array(length).fill(1);
    if (length > 0) bytes[0] = headByte(RouteKind.question, 0, 0);
    assertEquals(relay.receive(bytes, placeOf(A), net.time), undefined);
  }
});
