import { assert, assertEquals } from "@std/assert";
import { encodeCertificate, issueCertificate } from "../../protocol/certificate.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import { hopPrologue } from "../../protocol/fragment/hop_seal.ts";
import { parseCentralRefusal } from "../../protocol/fragment/messages.ts";
import type { OpenReply } from "../../protocol/fragment/opening.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { portablePrimitives as primitives } from "../../protocol/primitives.ts";
import { randomOf } from "../../protocol/random.ts";
import { SealInitiator } from "../../protocol/sealed_handshake.ts";
import { CentralWorld, PlayedUpstream } from "./fixtures/central_world.ts";
import { Arrivals, hopPort } from "./fixtures/hops.ts";

const random = randomOf(crypto);

/** Metrics that tell what becomes of openings and messages. */
function watchedMetrics() {
  const outcomes = new Arrivals<string>();
  const count = (name: string) => (_amount = 1, labels: Readonly<Record<string, string>> = {}) => {
    if (name === "central_openings_total") outcomes.add(labels.outcome!);
  };
  const metrics: Metrics = {
    counter: (name) => ({ add: count(name) }),
    gauge: () => ({ set() {}, add() {}, remove() {} }),
    histogram: () => ({ observe() {} }),
  };
  return { metrics, outcomes };
}

function codeOf(reply: OpenReply): string {
  return reply.ok ? "ok" : reply.code;
}

Deno.test("a session opens by an upstream and is answered by its first downstream", async () => {
  await using world = await CentralWorld.make(3);
  const attempt = world.attempt();
  const reply = await world.open(attempt);
  assertEquals(reply, { ok: true, limits: { idleTimeoutMs: 600_000, maxStreams: 4096 } });
  assertEquals([world.central.sessionCount, world.central.upstreamCount], [1, 3]);
  assert(world.downstreams.slice(1).every(({ came }) => came.all.length === 0));
});

Deno.test("an opening that is false, foreign or old is not answered", async () => {
  const { metrics, outcomes } = watchedMetrics();
  await using world = await CentralWorld.make(2, { metrics });
  const [one, other] = world.upstreams;
  const attempt = world.attempt();
  const name = attempt.upAlias(one!);
  one!.send(1, name, new Uint8Array(700));
  assertEquals(await outcomes.come(1), "malformed");
  one!.send(1, name.slice().fill(0, 1), attempt.initiator.first!);
  assertEquals(await outcomes.come(2), "foreign");
  other!.send(1, name, attempt.initiator.first!);
  assertEquals(await outcomes.come(3), "foreign");
  const without = world.attempt({ up: [{ leg: 9, relayId: other!.peer.id }] });
  world.send(without, one!);
  assertEquals(await outcomes.come(4), "foreign");
  assertEquals(codeOf(await world.open(attempt)), "ok");
  world.send(attempt);
  world.send(attempt, other!);
  assertEquals(await outcomes.come(7), "replayed");
  assertEquals(outcomes.all.slice(4), ["ok", "replayed", "replayed"]);
  assertEquals(world.central.sessionCount, 1);
});

Deno.test("clients whose clocks are wrong are told", async () => {
  await using world = await CentralWorld.make(1);
  const reply = await world.open(world.attempt({ sentAtMs: Date.now() - 90_000 }));
  assertEquals(codeOf(reply), "clock");
});

Deno.test("two clients with one secret do not share a session", async () => {
  await using world = await CentralWorld.make(2);
  const first = world.attempt();
  assertEquals(codeOf(await world.open(first)), "ok");
  const second = world.attempt({ secret: first.request.secret });
  const reply = await world.open(second);
  assertEquals([codeOf(reply), world.central.sessionCount], ["busy", 1]);
});

Deno.test("when all places are taken a client is told when to come again", async () => {
  await using world = await CentralWorld.make(1, { limits: { maxSessions: 2 } });
  for (const _ of [1, 2]) assertEquals(codeOf(await world.open()), "ok");
  const reply = await world.open();
  assert(!reply.ok && reply.code === "busy" && reply.retryAfterMs! > 0);
  assertEquals([world.central.sessionCount, world.central.load], [2, 1]);
});

Deno.test("openings of one upstream are limited, and it is told", async () => {
  await using world = await CentralWorld.make(1, { limits: { openings: { perSecond: 0.001, burst: 1 } } });
  const [upstream] = world.upstreams;
  assertEquals(codeOf(await world.open()), "ok");
  const attempt = world.attempt();
  world.send(attempt);
  const refusal = parseCentralRefusal(await upstream!.told.come());
  assertEquals(refusal, { alias: attempt.upAlias(upstream!), code: "busy" });
});

Deno.test("fragments for nobody are refused under their name", async () => {
  await using world = await CentralWorld.make(1);
  const [upstream] = world.upstreams;
  const alias = new Uint8Array(16).fill(5);
  upstream!.send(2, alias, new Uint8Array(100));
  assertEquals(parseCentralRefusal(await upstream!.told.come()), { alias, code: "unknown_alias" });
});

Deno.test("a name is worth nothing at another upstream", async () => {
  await using world = await CentralWorld.make(2);
  const attempt = world.attempt();
  await world.open(attempt);
  const [one, other] = world.upstreams;
  other!.send(2, attempt.upAlias(one!), new Uint8Array(100));
  assertEquals(parseCentralRefusal(await other!.told.come())?.code, "unknown_alias");
  assertEquals(one!.told.all, []);
});

Deno.test("in a closed network members open sessions, so many each, and others none", async () => {
  const networkKey = random.fill(new Uint8Array(32));
  const network = { networkPublicKey: primitives.ed25519PublicKey(networkKey) };
  await using world = await CentralWorld.make(1, { network, limits: { maxSessionsPerClient: 2 } });
  const member = () => {
    const secrets = generateSecrets(random);
    const identity = new Identity(secrets, primitives);
    const certificate = encodeCertificate(issueCertificate(
      { peerId: identity.peerId, roles: ["client"], notBeforeMs: 1, notAfterMs: Date.now() + 60_000 },
      { networkKey, primitives, random },
    ));
    const local = { privateKey: secrets.wireguardKey, publicKey: identity.wireguardPublicKey };
    return () => world.open(world.attempt({ member: peerKeysOf(identity, certificate) }, local));
  };
  const [open, openOther] = [member(), member()];
  const codes = [await open(), await open(), await open(), await openOther(), await world.open()].map(codeOf);
  assertEquals(codes, ["ok", "ok", "busy", "ok", "unauthorized"]);
});

Deno.test("a hop of an upstream takes the place of the one before", async () => {
  await using world = await CentralWorld.make(1);
  const [upstream] = world.upstreams;
  const attempt = world.attempt();
  await world.open(attempt);
  const before = upstream!.closed.promise;
  await upstream!.connect(world.peer, world.url);
  await before;
  assertEquals([world.central.upstreamCount, world.central.sessionCount], [1, 1]);
});

Deno.test("a central that drains opens no session, and says so", async () => {
  await using world = await CentralWorld.make(1);
  await world.open();
  await world.central.drain(AbortSignal.timeout(1000));
  assertEquals(world.central.sessionCount, 0);
  world.send(world.attempt());
  const [upstream] = world.upstreams;
  assertEquals(parseCentralRefusal(await upstream!.told.come())?.code, "draining");
});

Deno.test("a hop on which nothing is said stays a newcomer, and is closed with central", async () => {
  await using world = await CentralWorld.make(1);
  const [upstream] = world.upstreams;
  const { crypto, local } = upstream!.peer.tools;
  const [remote, prologue] = [world.peer.identity.wireguardPublicKey, hopPrologue(world.peer.id)];
  using initiator = new SealInitiator({ crypto, random }, { local, remote, prologue });
  const settled = new Arrivals<string>();
  await using port = hopPort((stream, first, settle) =>
    world.central.acceptHop(stream, first, () => {
      settled.add("settled");
      settle();
    })
  );
  const socket = new WebSocket(port.url.replace("http", "ws"));
  const [answered, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<CloseEvent>()];
  socket.onopen = () => socket.send(initiator.first!);
  socket.onmessage = () => answered.resolve();
  socket.onclose = closed.resolve;
  await answered.promise;
  assertEquals([settled.all, world.central.upstreamCount], [[], 1]);
  world.central.close();
  assertEquals((await closed.promise).code, 1001);
  await settled.come();
});

Deno.test("when there are too many upstreams one that no session goes by gives way", async () => {
  await using world = await CentralWorld.make(2, { limits: { maxUpstreams: 2 } });
  const [used, unused] = world.upstreams;
  const places = { up: [{ leg: 0, relayId: used!.peer.id }] };
  assertEquals(codeOf(await world.open(world.attempt(places))), "ok");
  const third = new PlayedUpstream();
  world.relays.records.push(third.peer.record("upstream"));
  await third.connect(world.peer, world.url);
  world.upstreams.push(third);
  await unused!.closed.promise;
  const again = world.attempt({ up: [{ leg: 0, relayId: third.peer.id }] });
  world.send(again, third);
  assertEquals(codeOf(await world.answerTo(again)), "ok");
  await unused!.connect(world.peer, world.url);
  await unused!.closed.promise;
  assertEquals(world.central.upstreamCount, 2);
});
