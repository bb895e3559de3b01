/**
 * What strangers try at a supernode's control streams, over real WebSockets: each is told what was wrong, is counted, and
 * costs the supernode no signature that a cheaper question would have spared.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createKvNonces } from "../kv/nonces.ts";
import type { AuthRefusal, AuthRequest, ControlMessage } from "../protocol/control/messages.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { AttackedSupernode, memoryStores, newIdentity, type Stranger } from "./fixtures/attacked_supernode.ts";

const me = newIdentity();
const another = newIdentity();

async function refusal(stranger: Stranger) {
  const answer = await stranger.next();
  assert(answer?.type === "auth.response" && !answer.ok, `must be refused, got ${JSON.stringify(answer)}`);
  return answer;
}

interface Attack {
  readonly name: string;
  readonly says: (at: AttackedSupernode) => ControlMessage | string | Uint8Array<ArrayBuffer>;
  readonly reason: AuthRefusal;
  /** Signatures that it makes the supernode look at. */
  readonly verifications?: number;
}

const forged = (request: AuthRequest, over: Partial<AuthRequest>): AuthRequest => ({ ...request, ...over });

const attacks: readonly Attack[] = [
  { name: "what is no JSON", says: () => "{", reason: "malformed" },
  { name: "JSON that is no object", says: () => "[]", reason: "malformed" },
  { name: "a binary message", says: () => new Uint8Array(10), reason: "malformed" },
  { name: "an unknown type", says: () => '{"type":"open.sesame"}', reason: "wrong_first_message" },
  { name: "another message first", says: () => ({ type: "ping", sequence: 1 }), reason: "wrong_first_message" },
  { name: "a message of 8 KiB and a byte", says: () => " ".repeat(8 * 1024 + 1), reason: "too_large" },
  { name: "a message of a megabyte", says: () => " ".repeat(1024 * 1024), reason: "too_large" },
  {
    name: "a request for another supernode",
    says: (at) => at.auth(me, { supernodeId: another.peerId }),
    reason: "wrong_supernode",
  },
  { name: "a clock that is late", says: (at) => at.auth(me, { byMs: -60_001 }), reason: "stale" },
  { name: "a clock that is early", says: (at) => at.auth(me, { byMs: 60_001 }), reason: "stale" },
  {
    name: "another's peer id",
    says: (at) => forged(at.auth(me), { peerId: another.peerId }),
    reason: "wrong_peer_id",
  },
  {
    name: "another's id and key with a signature of one's own",
    says: (at) => forged(at.auth(another), { signature: at.auth(me).signature }),
    reason: "bad_signature",
    verifications: 1,
  },
  {
    name: "another role than was signed",
    says: (at) => forged(at.auth(me), { role: "client" }),
    reason: "bad_signature",
    verifications: 1,
  },
  {
    name: "another region than was signed",
    says: (at) => forged(at.auth(me), { region: "south" }),
    reason: "bad_signature",
    verifications: 1,
  },
  {
    name: "another WireGuard key than was signed",
    says: (at) => forged(at.auth(me), { wireguardKey: encodeBase64(another.wireguardPublicKey) }),
    reason: "bad_signature",
    verifications: 1,
  },
  {
    name: "a WireGuard key that the identity has not bound",
    says: (at) => forged(at.auth(me), { wireguardSignature: at.auth(another).wireguardSignature }),
    reason: "bad_binding",
    verifications: 2,
  },
];

for (const { name, says, reason, verifications = 0 } of attacks) {
  Deno.test(`refused as ${reason}: ${name}`, async () => {
    await using at = await AttackedSupernode.start();
    const stranger = await at.dial();
    stranger.say(says(at));
    const told = await refusal(stranger);
    assertEquals([told.reason, await stranger.closed, at.verifications], [reason, 1008, verifications]);
    assertEquals(told.serverTimeMs, reason === "stale" ? at.clock.wallNow() : undefined);
    assertStringIncludes(await at.metrics.text(), `stream_auth_failures_total{reason="${reason}"} 1`);
    // Nobody else notices.
    await at.join();
  });
}

for (const byMs of [-59_000, 59_000]) {
  Deno.test(`a clock that is ${byMs} ms off is near enough`, async () => {
    await using at = await AttackedSupernode.start();
    await at.join(me, { timestampMs: at.clock.wallNow() + byMs });
  });
}

Deno.test("refused as replayed: the very request that has let its peer in, which stays", async () => {
  await using at = await AttackedSupernode.start();
  const request = at.auth(me);
  const first = await at.dial();
  first.say(request);
  await first.next();
  const stranger = await at.dial();
  stranger.say(request);
  assertEquals([(await refusal(stranger)).reason, await stranger.closed], ["replayed", 1008]);
  assertStringIncludes(await at.metrics.text(), 'stream_auth_failures_total{reason="replayed"} 1');
  first.say({ type: "ping", sequence: 1 });
  assertEquals((await first.next())?.type, "pong");
});

Deno.test("refused as replayed: a request that the supernode took before it was started again", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const identity = newIdentity();
  const stores = { ...memoryStores(clock), nonces: createKvNonces(kv, clock, { space: identity.peerId }) };
  let request: AuthRequest;
  {
    await using before = await AttackedSupernode.start({ identity, clock, stores });
    request = before.auth(me);
    const peer = await before.dial();
    peer.say(request);
    assertEquals((await peer.next())?.type, "auth.response");
  }
  await using after = await AttackedSupernode.start({ identity, clock, stores });
  const stranger = await after.dial();
  stranger.say(request);
  assertEquals((await refusal(stranger)).reason, "replayed");
  clock.advance(60_001);
  const later = await after.dial();
  later.say(request);
  assertEquals((await refusal(later)).reason, "stale");
});

Deno.test("of two streams of one identity the newest wins, and the other is told so", async () => {
  await using at = await AttackedSupernode.start();
  const { stream: older } = await at.join(me);
  const { stream: newer } = await at.join(me);
  const told = await older.next();
  assertEquals([told?.type === "error" && told.code, await older.closed], ["replaced", 1000]);
  newer.say({ type: "ping", sequence: 1 });
  assertEquals((await newer.next())?.type, "pong");
  assertStringIncludes(await at.metrics.text(), 'active_streams_total{role="exit"} 1');
});

Deno.test("whoever says nothing is let go of after ten seconds", async () => {
  await using at = await AttackedSupernode.start();
  const stranger = await at.dial();
  await at.pass(9_000);
  assertEquals(at.verifications, 0);
  await at.pass(2_000);
  assertEquals([(await refusal(stranger)).reason, await stranger.closed], ["timeout", 1008]);
  assertStringIncludes(await at.metrics.text(), 'stream_auth_failures_total{reason="timeout"} 1');
});

Deno.test("one address holds so many silent streams and no more, and others of it get in", async () => {
  await using at = await AttackedSupernode.start({ maxStrangersPerAddress: 4 });
  const silent: Stranger[] = [];
  for (let count = 0; count < 8; count++) silent.push(await at.dial());
  await Promise.all(silent.slice(0, 4).map(({ closed }) => closed));
  await at.join(me);
  assertStringIncludes(await at.metrics.text(), 'web_port_refused_total{reason="too_many_of_address"} 5');
});

Deno.test("at a crowded door the oldest who has said nothing goes, and whoever says who it is gets in", async () => {
  await using at = await AttackedSupernode.start({ maxStreams: 10 });
  const silent: Stranger[] = [];
  for (let count = 0; count < 75; count++) silent.push(await at.dial());
  await at.join(me);
  const told = await refusal(silent[0]!);
  assertEquals([told.reason, told.retryAfterMs, await silent[0]!.closed], ["busy", 5000, 1008]);
  assertStringIncludes(await at.metrics.text(), 'stream_auth_failures_total{reason="busy"} 1');
});

Deno.test("an address that tries too often has to wait, which costs the supernode no signature", async () => {
  await using at = await AttackedSupernode.start({ authLimits: { address: { perSecond: 1, burst: 3 } } });
  const tried = async () => {
    const stranger = await at.dial();
    stranger.say(forged(at.auth(another), { signature: at.auth(me).signature }));
    return await refusal(stranger);
  };
  for (let count = 0; count < 3; count++) assertEquals((await tried()).reason, "bad_signature");
  const told = await tried();
  assertEquals([told.reason, told.retryAfterMs, at.verifications], ["rate_limited", 1000, 3]);
  await at.pass(1000);
  await at.join(me);
  assertStringIncludes(await at.metrics.text(), 'stream_auth_failures_total{reason="rate_limited"} 1');
});

Deno.test("a peer that comes too often has to wait; nobody can bring that upon another", async () => {
  await using at = await AttackedSupernode.start();
  for (let count = 0; count < 10; count++) {
    const stranger = await at.dial();
    stranger.say(forged(at.auth(me), { signature: at.auth(another).signature }));
    assertEquals((await refusal(stranger)).reason, "bad_signature");
  }
  for (let count = 0; count < 8; count++) await at.join(me);
  const stranger = await at.dial();
  stranger.say(at.auth(me));
  const told = await refusal(stranger);
  assertEquals([told.reason, told.retryAfterMs], ["rate_limited", 2000]);
  await at.join(another);
});

Deno.test("when it is full it says so, and looks at nothing", async () => {
  await using at = await AttackedSupernode.start({ maxStreams: 1 });
  await at.join(another);
  const { verifications } = at;
  const stranger = await at.dial();
  stranger.say(at.auth(me));
  const told = await refusal(stranger);
  assertEquals([told.reason, told.retryAfterMs, at.verifications], ["busy", 5000, verifications]);
});
