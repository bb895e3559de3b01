import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { encodeCertificate, issueCertificate } from "../certificate.ts";
import { Nonces } from "../control/nonces.ts";
import { peerKeysOf } from "../control/peer_keys.ts";
import { encodeBase32 } from "../encoding.ts";
import { generateSecrets, Identity } from "../identity.ts";
import { drawKeyPair, type NoiseKeyPair } from "../noise_ik.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import { portableWireGuardCrypto as suite } from "../wireguard/crypto.ts";
import {
  checkOpening,
  encodeSecret,
  MAX_OPENING_BYTES,
  OpeningInitiator,
  type OpenReply,
  type OpenRequest,
  openRequestSchema,
  ReceivedOpening,
} from "./opening.ts";

const NOW = 1_700_000_000_000;
const CENTRAL_ID = encodeBase32(new Uint8Array(16).fill(1));
const relay = (number: number) => encodeBase32(new Uint8Array(16).fill(number));
const REQUEST: OpenRequest = {
  sentAtMs: NOW,
  secret: encodeSecret(new Uint8Array(32).fill(9)),
  up: [{ leg: 0, relayId: relay(2) }, { leg: 1, relayId: relay(3) }],
  down: [{ leg: 2, relayId: relay(4) }],
  coding: { dataShards: 2, totalShards: 3 },
};
const ACCEPTED: OpenReply = { ok: true, limits: { idleTimeoutMs: 60_000, maxStreams: 100 } };

function world({ request = REQUEST, key }: { request?: OpenRequest; key?: NoiseKeyPair | undefined } = {}) {
  const tools = { crypto: suite, random: new SeededRandom(3) };
  const central = { id: CENTRAL_ID, local: drawKeyPair(suite, tools.random) };
  const local = key ?? drawKeyPair(suite, tools.random);
  const initiator = new OpeningInitiator(tools, {
    local,
    central: { id: CENTRAL_ID, sealingKey: central.local.publicKey },
    request,
  });
  return { tools, central, local, initiator, first: initiator.first! };
}

Deno.test("client and central agree on the keys of both directions, and say what they have to say", () => {
  const { tools, central, initiator, first, local } = world();
  using opening = ReceivedOpening.read(tools, central, first)!;
  assertEquals(opening.request, REQUEST);
  assertEquals(opening.remoteKey, local.publicKey);
  const answer = opening.answer(ACCEPTED)!;
  const finished = initiator.finish(answer.second)!;
  assertEquals(finished.reply, ACCEPTED);
  assertEquals(finished.keys, answer.keys);
  assertNotEquals(finished.keys.up, finished.keys.down);
  initiator[Symbol.dispose]();
});

Deno.test("both messages have one of few lengths, whatever they say", () => {
  const short = world().first.length;
  const longer = { ...REQUEST, up: [...REQUEST.up, { leg: 3, relayId: relay(5) }] };
  assertEquals(world({ request: longer }).first.length, short);
  assertEquals((short - 96) % 512, 0);
  const { tools, central, first } = world();
  const lengths = [ACCEPTED, { ok: false, code: "busy", message: "full" } as const].map((reply) =>
    ReceivedOpening.read(tools, central, first)!.answer(reply)!.second.length
  );
  assertEquals(new Set(lengths).size, 1);
});

Deno.test("an answer that is false does not spoil the true one", () => {
  const { tools, central, initiator, first } = world();
  const { second } = ReceivedOpening.read(tools, central, first)!.answer(ACCEPTED)!;
  for (const at of [0, 40, second.length - 1]) {
    const changed = second.slice();
    changed[at]! ^= 1;
    assertEquals(initiator.finish(changed), undefined, `byte ${at}`);
  }
  assertEquals(initiator.finish(second.subarray(1)), undefined);
  assertEquals(initiator.finish(second)?.reply, ACCEPTED);
});

Deno.test("no bytes make either side throw, nor does any change to a message", () => {
  const { tools, central, initiator, first } = world();
  fc.assert(
    fc.property(fc.nat(first.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = first.slice();
      changed[at]! ^= change;
      // The top bit of an X25519 key says nothing (RFC 7748 §5), but the handshake's hash knows it.
      assertEquals(ReceivedOpening.read(tools, central, changed), undefined);
    }),
    { numRuns: 30 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 800, size: "max" }), (any) => {
      assertEquals(ReceivedOpening.read(tools, central, any), undefined);
      assertEquals(initiator.finish(any), undefined);
    }),
    { numRuns: 30 },
  );
  assertEquals(ReceivedOpening.read(tools, central, new Uint8Array(MAX_OPENING_BYTES + 1)), undefined);
});

Deno.test("an opening for another central is none", () => {
  const { tools, central, first } = world();
  assertEquals(ReceivedOpening.read(tools, { ...central, id: relay(7) }, first), undefined);
  const other = drawKeyPair(suite, tools.random);
  assertEquals(ReceivedOpening.read(tools, { ...central, local: other }, first), undefined);
});

Deno.test("an opening is good for a minute either way, once", () => {
  const { tools, central, first } = world();
  const opening = ReceivedOpening.read(tools, central, first)!;
  const seen = new Nonces();
  const check = (wallMs: number) => checkOpening(opening, { wallMs, seen, primitives });
  assertEquals(check(NOW + 60_001), "clock");
  assertEquals(check(NOW - 60_001), "clock");
  assertEquals(check(NOW + 60_000), undefined);
  assertEquals(check(NOW - 60_000), "replayed");
  assertEquals(checkOpening(opening, { wallMs: NOW, seen: new Nonces(0), primitives }), "busy");
});

Deno.test("in a closed network only a member opens, with the key that its identity has signed", () => {
  const random = new SeededRandom(4);
  const networkKey = random.fill(new Uint8Array(32));
  const network = { networkPublicKey: primitives.ed25519PublicKey(networkKey) };
  const secrets = generateSecrets(random);
  const identity = new Identity(secrets, primitives);
  const certify = (roles: string[]) =>
    encodeCertificate(issueCertificate(
      { peerId: identity.peerId, roles, notBeforeMs: NOW - 1000, notAfterMs: NOW + 1000 },
      { networkKey, primitives, random },
    ));
  const own = { privateKey: secrets.wireguardKey, publicKey: identity.wireguardPublicKey };
  const member = peerKeysOf(identity, certify(["client"]));
  const rows: { name: string; request: OpenRequest; key?: NoiseKeyPair; expected?: "unauthorized" }[] = [
    { name: "member", request: { ...REQUEST, member }, key: own },
    { name: "another key", request: { ...REQUEST, member }, expected: "unauthorized" },
    { name: "nobody", request: REQUEST, key: own, expected: "unauthorized" },
    {
      name: "another role",
      request: { ...REQUEST, member: peerKeysOf(identity, certify(["exit"])) },
      key: own,
      expected: "unauthorized",
    },
    {
      name: "no certificate",
      request: { ...REQUEST, member: peerKeysOf(identity) },
      key: own,
      expected: "unauthorized",
    },
  ];
  for (const { name, request, key, expected } of rows) {
    const { tools, central, first } = world({ request, key });
    const opening = ReceivedOpening.read(tools, central, first)!;
    assertEquals(checkOpening(opening, { wallMs: NOW, seen: new Nonces(), primitives, network }), expected, name);
  }
});

Deno.test("a request with a leg or relay twice, none at all, too many, or more data than shards is none", () => {
  const place = (leg: number) => ({ leg, relayId: relay(leg + 1) });
  const rows: { name: string; change: Partial<Record<keyof OpenRequest, unknown>> }[] = [
    { name: "no leg", change: { up: [] } },
    { name: "a leg twice", change: { up: [place(1), { leg: 1, relayId: relay(9) }] } },
    { name: "a relay twice", change: { down: [place(1), { leg: 2, relayId: relay(2) }] } },
    { name: "too many", change: { up: Array.from({ length: 17 }, (_, leg) => place(leg)) } },
    { name: "coding", change: { coding: { dataShards: 3, totalShards: 2 } } },
    { name: "coding of everything many times over", change: { coding: { dataShards: 1, totalShards: 32 } } },
    { name: "secret", change: { secret: "short" } },
    { name: "a number for both ways", change: { down: [{ leg: 0, relayId: relay(4) }] } },
    { name: "leg number", change: { up: [place(-1)] } },
  ];
  assert(openRequestSchema.safeParse(REQUEST).success);
  for (const { name, change } of rows) {
    assert(!openRequestSchema.safeParse({ ...REQUEST, ...change }).success, name);
  }
});
