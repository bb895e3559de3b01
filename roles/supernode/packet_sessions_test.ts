import { assert, assertEquals, assertMatch } from "@std/assert";
import { candidate, peerId, token } from "../../kv/fixtures/records.ts";
import { createMemoryRelayAddresses } from "../../kv/relay_addresses.ts";
import { createMemorySessions } from "../../kv/sessions.ts";
import type { ExitSetupRequest } from "../../protocol/directory.ts";
import { parseEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { FakeRelay } from "../fixtures/fake_relay.ts";
import { CLIENT, ELSEWHERE, GRANT, grants, HOST, SessionRig } from "./fixtures/session_rig.ts";
import { turnAway } from "./turning_away.ts";

const WISH = { carries: "packets" } as const;
const elsewhere = (number: number) => ({ ...candidate(number), supernodeId: ELSEWHERE, carriesPackets: true });
const FAR_PORT = "203.0.113.1:41000";

/** A supernode elsewhere whose exit grants what it is asked for. */
function farSetUp(requests: ExitSetupRequest[], relay = "192.0.2.20:41000") {
  return (request: ExitSetupRequest) => {
    requests.push(request);
    return { status: "applied" as const, packets: GRANT, relay };
  };
}

function hostedRequest(rig: SessionRig, changes: Partial<ExitSetupRequest> = {}): ExitSetupRequest {
  return {
    sessionId: token(1),
    commandId: token(50),
    exitPeerId: peerId(100),
    clientPeerId: CLIENT.peerId,
    clientWireguardKey: CLIENT.wireguardKey,
    packets: { relay: "192.0.2.20:41000" },
    expiresAtMs: rig.clock.wallNow() + 3_600_000,
    timeoutMs: 4_000,
    ...changes,
  };
}

Deno.test("a session at an exit here has one port, of which client and exit are told", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  assertEquals(grant.offer.packets, { ...GRANT, endpoint: `${HOST}:40000` });
  const [{ command }] = rig.sent.filter(({ to }) => to === exit) as [typeof rig.sent[0]];
  assert(command.kind === "SETUP_EXIT");
  assertEquals(command.payload.packets, { relay: `${HOST}:40000` });
  assertEquals(relay.ports, [40_000]);
  assertEquals([...rig.sessions].map(({ packets }) => packets), [{ relayPort: 40_000, grant: GRANT }]);
});

Deno.test("a session at an exit elsewhere goes by a port of each supernode", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  rig.candidatesElsewhere = [elsewhere(110)];
  const requests: ExitSetupRequest[] = [];
  rig.setUpElsewhere = farSetUp(requests);
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  assertEquals(grant.offer.packets, { ...GRANT, endpoint: `${HOST}:40000` });
  assertEquals(requests.map(({ packets }) => packets), [{ relay: `${HOST}:40000` }]);
  assertEquals(relay.placesOf(grant.offer.sessionId), { client: undefined, exit: "192.0.2.20:41000" });
});

Deno.test("the exit's supernode has a port of its own, which it tells both the exit and who asked", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  const answer = await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE);
  assertEquals(answer, { status: "applied", packets: GRANT, relay: `${HOST}:40000` });
  const [{ command }] = rig.sent.filter(({ to }) => to === exit) as [typeof rig.sent[0]];
  assert(command.kind === "SETUP_EXIT");
  assertEquals(command.payload.packets, { relay: `${HOST}:40000` });
  assertEquals(relay.placesOf(token(1)), { client: "192.0.2.20:41000", exit: undefined });
  assertEquals(await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE), answer, "asking twice is asking once");
  await rig.hosted.end({ sessionId: token(1), reason: "client_left" }, ELSEWHERE);
  assertEquals([relay.ports, rig.sessions.portsFor(ELSEWHERE)], [[], 0]);
});

Deno.test("an exit that does not carry packets is never given a session that does", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const plain = await rig.connectExit(100);
  rig.candidatesElsewhere = [{ ...elsewhere(110), carriesPackets: false }];
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(!grant.ok);
  assertEquals([grant.reason, grant.remark], ["no_exit", "There is no exit that carries packets at present"]);
  const hosted = await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE);
  assertEquals([hosted.code, relay.ports, rig.kindsTo(plain)], ["no_packets", [], []]);
  assert((await rig.requests.grant(CLIENT, {})).ok, "it has what others wish for");
});

Deno.test("the port of an exit that says no is closed, and so is everything when nobody says yes", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  await rig.connectExit(100, grants);
  rig.candidatesElsewhere = [elsewhere(110)];
  for (const number of [100]) await rig.connect(peerId(number), () => "failed");
  const refusals: ExitSetupRequest[] = [];
  rig.setUpElsewhere = (request) => {
    refusals.push(request);
    return { status: "failed" };
  };
  assertEquals((await rig.requests.grant(CLIENT, WISH)).ok, false);
  assertEquals([relay.ports, refusals.length], [[], 1]);
});

const USELESS: { readonly name: string; readonly answer: Partial<ReturnType<ReturnType<typeof farSetUp>>> }[] = [
  { name: "without addresses", answer: { relay: FAR_PORT } },
  { name: "without a port", answer: { packets: GRANT } },
  { name: "with a port of a private network", answer: { packets: GRANT, relay: "10.0.0.5:41000" } },
  { name: "with a port on loopback", answer: { packets: GRANT, relay: "127.0.0.1:41000" } },
  { name: "with a port of the system's", answer: { packets: GRANT, relay: "192.0.2.20:53" } },
  { name: "with a name that nobody knows", answer: { packets: GRANT, relay: "relay.example:41000" } },
];

for (const { name, answer } of USELESS) {
  Deno.test(`an answer ${name} will not do: the exit lets go of the session, and its port is closed`, async () => {
    const relay = new FakeRelay();
    using rig = new SessionRig({ carriers: { relay } });
    rig.candidatesElsewhere = [elsewhere(110)];
    rig.setUpElsewhere = () => ({ status: "applied", ...answer });
    assertEquals((await rig.requests.grant(CLIENT, WISH)).ok, false);
    assertEquals([relay.ports, rig.ended.map(({ reason }) => reason)], [[], ["setup_failed"]]);
    assertEquals([...rig.sessions], []);
  });
}

Deno.test("another supernode cannot have datagrams sent where it is not", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  for (const at of ["10.1.2.3:41000", "127.0.0.1:41000", "[::1]:41000", "192.0.2.20:53", "localhost:41000"]) {
    const answer = await rig.hosted.setUp(hostedRequest(rig, { packets: { relay: at } }), ELSEWHERE);
    assertEquals(answer, { status: "failed", code: "bad_relay" }, at);
  }
  assertEquals([relay.ports, rig.kindsTo(exit), [...rig.sessions]], [[], [], []]);
});

Deno.test("an exit that grants no addresses to another supernode's client is told to let go of it", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  await rig.connect(exit, () => "applied");
  assertEquals(await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE), { status: "failed", code: "no_grant" });
  await settle();
  assertEquals([relay.ports, rig.kindsTo(exit), rig.notices], [[], ["SETUP_EXIT", "DISCONNECT"], []]);
});

Deno.test("an exit that is revoked has no port left for another supernode's client, who is moved", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE);
  await turnAway({ kind: "peer", peerId: exit, by: "admin", reason: "", sinceMs: 0 }, {
    ...{ outbox: rig.outbox, sessions: rig.sessions, rotation: rig.rotation },
    links: { end() {} },
    streams: { end: () => false },
    endSession: (sessionId, reason, by) => rig.ending.end(sessionId, reason, by),
  });
  await settle();
  assertEquals([relay.ports, rig.states, rig.notices.map(({ reason }) => reason)], [[], [], ["revoked"]]);
});

Deno.test("another supernode has no more than a share of the ports", async () => {
  const relay = new FakeRelay({ portCount: 8 });
  using rig = new SessionRig({ carriers: { relay } });
  await rig.connectExit(100, grants);
  const statuses = [];
  for (let number = 1; number <= 3; number++) {
    statuses.push((await rig.hosted.setUp(hostedRequest(rig, { sessionId: token(number) }), ELSEWHERE)).status);
  }
  assertEquals(statuses, ["applied", "applied", "busy"]);
  const other = peerId(9002);
  assertEquals((await rig.hosted.setUp(hostedRequest(rig, { sessionId: token(9) }), other)).status, "applied");
});

Deno.test("one client has a handful of ports", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  await rig.connectExit(100, grants);
  const grants6 = [];
  for (let count = 0; count < 7; count++) grants6.push((await rig.requests.grant(CLIENT, WISH)).ok);
  assertEquals(grants6, [true, true, true, true, true, true, false]);
  assert((await rig.requests.grant(CLIENT, {})).ok, "streams need none");
});

Deno.test("all sessions of a client that has as many as it may can be moved at once", async () => {
  using rig = new SessionRig({ carriers: { relay: new FakeRelay() } });
  await rig.connectExit(100, grants);
  for (let count = 0; count < 6; count++) assert((await rig.requests.grant(CLIENT, WISH)).ok);
  for (const previous of [...rig.sessions]) assert((await rig.requests.grant(CLIENT, WISH, { previous })).ok);
  assertEquals((await rig.requests.grant(CLIENT, WISH)).ok, false);
});

Deno.test("when every port is taken that is said, and no exit is asked", async () => {
  const relay = new FakeRelay({ portCount: 1 });
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  await rig.requests.grant(CLIENT, WISH);
  const grant = await rig.requests.grant({ ...CLIENT, peerId: peerId(2) }, WISH);
  assert(!grant.ok);
  assertEquals([grant.reason, grant.remark], ["busy", "All ports of the relay are in use"]);
  assertEquals(rig.kindsTo(exit), ["SETUP_EXIT"]);
});

Deno.test("without a relay, or without one that terminates, it says so", async () => {
  using without = new SessionRig();
  await without.connectExit(100, grants);
  const refused = await without.requests.grant(CLIENT, WISH);
  assert(!refused.ok);
  assertEquals([refused.reason, refused.remark], ["unavailable", "This supernode does not relay packets"]);
  assertEquals((await without.hosted.setUp(hostedRequest(without), ELSEWHERE)).status, "busy");
  const asked = { requestId: token(1), clientPeerId: CLIENT.peerId };
  assertEquals(without.hosted.candidates({ ...asked, wish: WISH }).candidates, []);
  assertEquals(without.hosted.candidates({ ...asked, wish: {} }).candidates.length, 1);
  using blind = new SessionRig({ carriers: { relay: new FakeRelay() } });
  const grant = await blind.requests.grant(CLIENT, { ...WISH, relay: "terminate" });
  assert(!grant.ok);
  assertMatch(grant.remark!, /does not terminate tunnels/);
});

Deno.test("a session that ends in whatever way leaves no port behind", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  const ways: Record<string, (sessionId: string) => Promise<unknown>> = {
    "its client leaves": (id) => rig.ending.end(id, "client_left", "client"),
    "an administrator ends it": (id) => rig.ending.end(id, "admin"),
    "its exit lets go of it": (id) => rig.lost.endedByExit(id, "expired"),
    "its exit is revoked, and there is no other": async (id) => {
      rig.exits.delete(exit);
      rig.rotation.move(rig.sessions.find(id)!, "revoked");
      for (let second = 0; second < 20; second++) await rig.clock.advanceAsync(1_000);
    },
  };
  for (const [name, end] of Object.entries(ways)) {
    const grant = await rig.requests.grant(CLIENT, WISH);
    assert(grant.ok, name);
    await end(grant.offer.sessionId);
    await settle();
    assertEquals([relay.ports, rig.states], [[], []], name);
  }
});

Deno.test("a client that leaves while its port is being opened leaves none behind", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  relay.beforeOpen = async () => {
    for (const { sessionId } of [...rig.sessions]) await rig.ending.end(sessionId, "client_left", "client");
  };
  assertEquals((await rig.requests.grant(CLIENT, WISH)).ok, false);
  await settle();
  assertEquals([relay.ports, rig.kindsTo(exit)], [[], []]);
});

Deno.test("when the store fails after the exit has said yes, exit and port are let go of", async () => {
  const relay = new FakeRelay();
  const store = createMemorySessions(new FakeClock());
  let saves = 0;
  using rig = new SessionRig({
    carriers: { relay },
    store: { ...store, save: (record) => ++saves === 2 ? Promise.reject(new Error("no room")) : store.save(record) },
  });
  const exit = await rig.connectExit(100, grants);
  assertEquals(await rig.requests.grant(CLIENT, WISH).catch((error) => error.message), "no room");
  await settle();
  assertEquals([relay.ports, rig.kindsTo(exit)], [[], ["SETUP_EXIT", "DISCONNECT"]]);
});

Deno.test("a client that is moved keeps its addresses, and has a port for each session until the old one has ended", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  await rig.connect(CLIENT.peerId);
  const first = await rig.connectExit(100, grants);
  const addresses = ["10.201.7.7/32"];
  const grant = await rig.requests.grant(CLIENT, { ...WISH, addresses });
  assert(grant.ok);
  assertEquals(grant.offer.packets!.addresses, addresses);
  await rig.connectExit(101, grants);
  rig.exits.delete(first);
  rig.rotation.move(rig.sessions.find(grant.offer.sessionId)!, "exit_failed");
  await settle();
  const told = rig.sent.findLast(({ to }) => to === CLIENT.peerId)!.command;
  assert(told.kind === "ROTATE_PEER");
  assertEquals(told.payload.next.packets, { ...GRANT, addresses, endpoint: `${HOST}:40001` });
  assertEquals([relay.ports, rig.states], [[40_001], ["active"]]);
});

Deno.test("a session that is renewed keeps its port, also where its exit is behind another supernode", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  const exit = await rig.connectExit(100, grants);
  await rig.hosted.setUp(hostedRequest(rig), ELSEWHERE);
  const expiresAtMs = rig.clock.wallNow() + 7_200_000;
  const renewal = { ...hostedRequest(rig, { commandId: token(51), renews: true }), expiresAtMs };
  assertEquals((await rig.hosted.setUp(renewal, ELSEWHERE)).status, "applied");
  const [, renewed] = rig.sent.filter(({ to }) => to === exit).map(({ command }) => command);
  assert(renewed?.kind === "SETUP_EXIT");
  assertEquals([renewed.payload.renews, renewed.payload.packets], [true, { relay: `${HOST}:40000` }]);
  assertEquals([relay.ports, [...rig.sessions].map((record) => record.expiresAtMs)], [[40_000], [expiresAtMs]]);
});

Deno.test("an exit that has lost its memory is told of the port again, and moved from if it gives other addresses", async () => {
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay } });
  await rig.connect(CLIENT.peerId);
  const exit = await rig.connectExit(100, grants);
  rig.exits.set(exit, { ...rig.exits.get(exit)!, carriesPackets: true });
  await rig.requests.grant(CLIENT, WISH);
  await rig.lost.forgottenBy(exit);
  const setups = rig.sent.filter(({ to }) => to === exit).map(({ command }) => command);
  assertEquals(setups.map((command) => command.kind === "SETUP_EXIT" && command.payload.packets), [
    { relay: `${HOST}:40000` },
    { relay: `${HOST}:40000` },
  ]);
  assertEquals(rig.states, ["active"]);
  const others = ["10.201.9.9/32"];
  await rig.connect(exit, () => ({ status: "applied", packets: { ...GRANT, addresses: others } }));
  await rig.connectExit(101, grants);
  await rig.lost.forgottenBy(exit);
  await settle();
  assertEquals([...rig.sessions].filter(({ state }) => state === "active").map((record) => record.exit!.exit.peerId), [
    peerId(101),
  ]);
});

Deno.test("after a restart the same ports are open, with both sides where they were", async () => {
  const clock = new FakeClock();
  const store = createMemorySessions(clock);
  const relayAddresses = createMemoryRelayAddresses(clock);
  const before = new FakeRelay();
  let sessionId: string;
  {
    using rig = new SessionRig({ carriers: { relay: before }, store, relayAddresses });
    await rig.connectExit(100, grants);
    rig.candidatesElsewhere = [elsewhere(110)];
    before.taken.add(40_000);
    const grant = await rig.requests.grant(CLIENT, WISH);
    assert(grant.ok);
    sessionId = grant.offer.sessionId;
    before.learn(sessionId, "client", parseEndpoint("198.51.100.7:5000")!);
    before.learn(sessionId, "exit", parseEndpoint("[2001:db8::7]:6000")!);
    await rig.packets.closed();
  }
  const after = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay: after }, store, relayAddresses });
  await rig.sessions.restore();
  assertEquals(await rig.packets.restore(), []);
  assertEquals(after.ports, [40_001]);
  assertEquals(after.placesOf(sessionId), { client: "198.51.100.7:5000", exit: "[2001:db8::7]:6000" });
  await rig.ending.end(sessionId, "client_left", "client");
  await settle();
  assertEquals([after.ports, await relayAddresses.list()], [[], []]);
});

Deno.test("a session that ends while its port is opened again leaves none behind, and counts as none", async () => {
  const relay = new FakeRelay({ portCount: 1 });
  using rig = new SessionRig({ carriers: { relay } });
  await rig.connectExit(100, grants);
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  relay.sessions.clear();
  relay.beforeOpen = async () => void await rig.ending.end(grant.offer.sessionId, "client_left", "client");
  assertEquals(await rig.packets.restoreRelayed(), []);
  relay.beforeOpen = () => {};
  assertEquals([relay.ports, (await rig.requests.grant(CLIENT, WISH)).ok], [[], true]);
});

Deno.test("a session whose port has gone to somebody else meanwhile cannot go on", async () => {
  const clock = new FakeClock();
  const store = createMemorySessions(clock);
  {
    using rig = new SessionRig({ carriers: { relay: new FakeRelay() }, store });
    await rig.connectExit(100, grants);
    await rig.requests.grant(CLIENT, WISH);
  }
  const relay = new FakeRelay();
  relay.taken.add(40_000);
  using rig = new SessionRig({ carriers: { relay }, store });
  await rig.sessions.restore();
  assertEquals((await rig.packets.restore()).length, 1);
});

Deno.test("the other supernode's port is looked for again after a restart until it is found", async () => {
  const clock = new FakeClock();
  const store = createMemorySessions(clock);
  let sessionId: string;
  {
    using rig = new SessionRig({ carriers: { relay: new FakeRelay() }, store });
    rig.candidatesElsewhere = [elsewhere(110)];
    rig.setUpElsewhere = farSetUp([]);
    const grant = await rig.requests.grant(CLIENT, WISH);
    assert(grant.ok);
    sessionId = grant.offer.sessionId;
  }
  const relay = new FakeRelay();
  using rig = new SessionRig({ carriers: { relay }, store });
  await rig.sessions.restore();
  await rig.packets.restore();
  const stop = new AbortController();
  const running = rig.packets.run(stop.signal);
  await settle();
  assertEquals(relay.placesOf(sessionId).exit, "192.0.2.20:41000");
  stop.abort();
  await running;
});
