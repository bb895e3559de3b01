import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertLess, assertLessOrEqual } from "@std/assert";
import { INITIATION_TYPE, REKEY_TIMEOUT_JITTER_MS, RESPONSE_TYPE, TRANSPORT_TYPE } from "./constants.ts";
import { MachineNetwork, type Node, pair, ROUND_TRIP_MS } from "./fixtures/machine_network.ts";

/** A pair with a session that `a` asked for, and the time it has had it since. */
function pairInSession(network: MachineNetwork): [Node, Node, number] {
  const [a, b] = pair(network);
  a.talk(b, 0);
  network.run(ROUND_TRIP_MS);
  const { createdMs } = a.peer(b).current!;
  return [a, b, createdMs];
}

/** The times at which messages of a type left a node, counted from `sinceMs`. */
function timesOf(network: MachineNetwork, type: number, from: Node, sinceMs: number): number[] {
  return network.sent.filter((sent) => sent.type === type && sent.from === from.endpoint)
    .map(({ atMs }) => atMs - sinceMs);
}

function assertWithin(actual: number, least: number, most: number): void {
  assertGreaterOrEqual(actual, least);
  assertLessOrEqual(actual, most);
}

Deno.test("an initiation without answer is repeated every five seconds and a little for ninety, then all is given up", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  network.lets = () => false;
  const startMs = network.nowMs;
  a.talk(b, 1);
  network.run(3_600_000);
  const times = timesOf(network, INITIATION_TYPE, a, startMs);
  assertEquals(times[0], 0);
  for (let at = 1; at < times.length; at++) {
    assertWithin(times[at]! - times[at - 1]!, 5000, 5000 + REKEY_TIMEOUT_JITTER_MS);
  }
  assertEquals(new Set(times.map((time, at) => time - (times[at - 1] ?? 0))).size, times.length, "the little differs");
  assertWithin(times.at(-1)!, 84_000, 90_000);
  assertEquals([a.peer(b).staged, a.machine.counters.stagedDropped, a.machine.indicesInUse], [undefined, 1, 0]);
  assertEquals(a.machine.nextDueMs(), Infinity);
  network.lets = () => true;
  a.talk(b, 2);
  network.run(ROUND_TRIP_MS);
  assertEquals(b.heard, [2], "and new data starts afresh");
});

Deno.test("every initiation of a peer has a later timestamp, whatever the wall clock does", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  a.wallOffsetMs = -86_400_000;
  network.run(200_000);
  a.talk(b, 2);
  network.run(ROUND_TRIP_MS);
  a.wallOffsetMs = 86_400_000;
  network.run(200_000);
  a.talk(b, 3);
  network.run(ROUND_TRIP_MS);
  assertEquals([b.heard, network.count(INITIATION_TYPE)], [[1, 2, 3], 3]);
});

Deno.test("initiations and responses keep five seconds apart", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  network.lets = ({ type }) => type !== TRANSPORT_TYPE;
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  b.talk(a, 2);
  network.run(4000);
  assertEquals(network.count(INITIATION_TYPE, b), 0, "b has just answered");
  network.lets = () => true;
  network.run(2000);
  assertEquals(network.count(INITIATION_TYPE, b), 1);
  assertEquals(a.heard, [2]);
});

Deno.test("a retry that is due is made, whatever fractions the times have", () => {
  using network = new MachineNetwork();
  // With this one, what lies five seconds later lies less than five seconds later.
  network.nowMs = 63334.0892423938;
  network.weather = { ...network.weather, minDelayMs: 0, maxDelayMs: 0 };
  const [a, b] = pair(network);
  network.lets = ({ type }) => type !== TRANSPORT_TYPE;
  a.talk(b, 1);
  network.run(0);
  b.talk(a, 2);
  b.machine.advance(b.machine.nextDueMs());
  assertEquals(network.count(INITIATION_TYPE, b), 1);
});

Deno.test("data that came and was not answered is acknowledged by a keepalive after ten seconds", () => {
  using network = new MachineNetwork();
  const [a, b, startMs] = pairInSession(network);
  network.run(60_000);
  const fromB = timesOf(network, TRANSPORT_TYPE, b, startMs);
  assertEquals(fromB.length, 1);
  assertWithin(fromB[0]!, 10_000, 10_050);
  assertEquals(timesOf(network, TRANSPORT_TYPE, a, startMs).length, 1, "a keepalive is not answered by another");
  assertEquals([a.keepalives, network.count(INITIATION_TYPE)], [1, 1]);
});

Deno.test("no keepalive is sent when data goes back, and a second one when data went on coming", async (t) => {
  await t.step("data goes back", () => {
    using network = new MachineNetwork();
    const [a, b] = pairInSession(network);
    network.run(5000);
    b.talk(a, 1);
    network.run(60_000);
    assertEquals([a.keepalives, b.keepalives], [0, 1]);
  });
  await t.step("data goes on coming", () => {
    using network = new MachineNetwork();
    const [a, b, startMs] = pairInSession(network);
    network.run(5000);
    a.talk(b, 1);
    network.run(60_000);
    const times = timesOf(network, TRANSPORT_TYPE, b, startMs);
    assertEquals(times.length, 2);
    assertWithin(times[1]!, 20_000, 20_050);
  });
});

Deno.test("data that gets no answer at all leads to a handshake after fifteen seconds and a little", () => {
  using network = new MachineNetwork();
  const [a, b] = pairInSession(network);
  network.run(11_000);
  network.lets = ({ from }) => from !== b.endpoint;
  const sentMs = network.nowMs;
  a.talk(b, 1);
  network.run(30_000);
  const [first] = timesOf(network, INITIATION_TYPE, a, sentMs).filter((time) => time >= 0);
  assertWithin(first!, 15_000, 15_000 + REKEY_TIMEOUT_JITTER_MS);
});

Deno.test("whoever asked for a session asks for the next when it sends after 120 seconds", () => {
  using network = new MachineNetwork();
  const [a, b, startMs] = pairInSession(network);
  const untilMs = network.nowMs + 130_000;
  network.every(1000, untilMs, () => a.talk(b, 1));
  network.every(1000, untilMs, () => b.talk(a, 1));
  network.run(130_000);
  assertEquals(network.count(INITIATION_TYPE, b), 0);
  const times = timesOf(network, INITIATION_TYPE, a, startMs);
  assertEquals(times.length, 2);
  assertWithin(times[1]!, 120_000, 121_000);
});

Deno.test("whoever asked for a session asks for the next when it only receives after 165 seconds", () => {
  using network = new MachineNetwork();
  const [a, b, startMs] = pairInSession(network);
  // Keepalives of a's would be sent on the old session and renew it at 120 seconds.
  network.run(120_000 - ROUND_TRIP_MS - 11_000);
  const untilMs = network.nowMs + 80_000;
  network.after(56_500, () => network.every(1000, untilMs, () => b.talk(a, 1)));
  network.run(80_000);
  const times = timesOf(network, INITIATION_TYPE, a, startMs);
  assertEquals(times.length, 2);
  assertWithin(times[1]!, 165_000, 168_000);
  assertEquals(network.count(INITIATION_TYPE, b), 0);
});

Deno.test("a session is over after 180 seconds in both directions", () => {
  using network = new MachineNetwork();
  const [a, b, startMs] = pairInSession(network);
  const keypair = a.peer(b).current!;
  network.run(startMs + 179_960 - network.nowMs);
  assertEquals(a.machine.sendingKeypair(a.peer(b)), keypair);
  a.talk(b, 1);
  network.run(5);
  // The last one is too late where it arrives.
  network.weather = { ...network.weather, minDelayMs: 100, maxDelayMs: 100 };
  network.lets = ({ type }) => type === TRANSPORT_TYPE;
  a.talk(b, 2);
  network.run(50);
  assertEquals(a.machine.sendingKeypair(a.peer(b)), undefined);
  network.run(100);
  assertEquals([b.heard, b.machine.counters.expired], [[0, 1], 1]);
});

Deno.test("keys are wiped 540 seconds after the last session was made", () => {
  using network = new MachineNetwork();
  const [a, b, startMs] = pairInSession(network);
  const keypairs = [a.peer(b).current!, b.peer(a).current!];
  network.run(startMs + 539_000 - network.nowMs);
  assertEquals(keypairs.map((keypair) => keypair.isDisposed), [false, false]);
  network.run(2000);
  assertEquals(keypairs.map((keypair) => keypair.isDisposed), [true, true]);
  assertEquals([a.peer(b).current, a.machine.indicesInUse, b.machine.indicesInUse], [undefined, 0, 0]);
  assertEquals([a.machine.nextDueMs(), b.machine.nextDueMs()], [Infinity, Infinity]);
});

Deno.test("a persistent keepalive starts the session at once and goes out when nothing else went either way", () => {
  using network = new MachineNetwork();
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1" });
  const b = network.add({ endpoint: "192.0.2.2:2000", inner: "10.0.0.2" });
  b.addPeer(a);
  a.addPeer(b, { persistentKeepaliveS: 25 });
  network.run(ROUND_TRIP_MS);
  assert(b.peer(a).current);
  network.run(100_000);
  const times = timesOf(network, TRANSPORT_TYPE, a, 0);
  assertEquals(times.length, 1 + 4);
  for (let at = 1; at < times.length; at++) assertWithin(times[at]! - times[at - 1]!, 24_990, 25_010);
  a.addPeer(b, { persistentKeepaliveS: 0 });
  network.run(60_000);
  assertEquals(timesOf(network, TRANSPORT_TYPE, a, 0).length, 5);
});

Deno.test("a persistent keepalive keeps trying a peer that is away and finds it when it is back", () => {
  using network = new MachineNetwork();
  network.lets = () => false;
  const [a, b] = pair(network, { persistentKeepaliveS: 25 });
  network.run(3_600_000);
  network.lets = () => true;
  network.run(30_000);
  assert(a.peer(b).current && b.peer(a).current);
});

Deno.test("a persistent keepalive goes on after a time in which nothing could be sent", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.addPeer(b, { persistentKeepaliveS: 25 });
  network.run(ROUND_TRIP_MS);
  a.isCutOff = true;
  network.run(60_000);
  a.isCutOff = false;
  const before = b.keepalives;
  network.run(30_000);
  assertGreater(b.keepalives, before);
});

Deno.test("a persistent keepalive waits for an endpoint and for a private key", () => {
  using network = new MachineNetwork();
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1" });
  const b = network.add({ endpoint: "192.0.2.2:2000", inner: "10.0.0.2" });
  b.addPeer(a);
  a.machine.configure({ privateKey: new Uint8Array(32) });
  a.machine.configure({ peers: [{ publicKey: b.publicKey, persistentKeepaliveS: 25 }] });
  a.machine.configure({ peers: [{ publicKey: b.publicKey, endpoint: b.endpoint }] });
  network.run(1000);
  assertEquals(network.sent.length, 0);
  a.machine.configure({ privateKey: a.privateKey });
  network.run(ROUND_TRIP_MS);
  assert(b.peer(a).current);
});

Deno.test("a silent session costs no timers and an idle machine waits for ever", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  assertEquals([a.machine.nextDueMs(), b.machine.nextDueMs()], [Infinity, Infinity]);
});

Deno.test("traffic does not move a peer in the queue of what is due", () => {
  using network = new MachineNetwork();
  const [a, b] = pairInSession(network);
  network.run(6000);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  b.talk(a, 1);
  network.run(ROUND_TRIP_MS);
  const dueMs = [a.machine.nextDueMs(), b.machine.nextDueMs()];
  for (let round = 0; round < 30; round++) {
    a.talk(b, round);
    network.run(ROUND_TRIP_MS / 2);
    b.talk(a, round);
    network.run(ROUND_TRIP_MS / 2);
    assertEquals([a.machine.nextDueMs(), b.machine.nextDueMs()], dueMs);
  }
});

Deno.test("thousands of peers due at once are worked off in portions", () => {
  using network = new MachineNetwork();
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1" });
  const peers = Array.from({ length: 200 }, () => ({
    publicKey: network.random.fill(new Uint8Array(32)),
    endpoint: { address: a.endpoint.address, port: 9 },
    persistentKeepaliveS: 25,
  }));
  network.lets = () => false;
  a.machine.configure({ peers });
  a.machine.advance(network.nowMs + 1);
  const first = network.sent.length;
  assertGreater(first, 0);
  assertLess(first, 200);
  while (a.machine.nextDueMs() <= network.nowMs + 1) a.machine.advance(network.nowMs + 1);
  assertEquals(network.sent.length, 200);
});

Deno.test("a session can be renewed sooner for tests against others", () => {
  using network = new MachineNetwork();
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1", options: { rekeyAfterTimeMs: 6000 } });
  const b = network.add({ endpoint: "192.0.2.2:2000", inner: "10.0.0.2" });
  network.connect(a, b);
  network.every(500, network.nowMs + 60_000, () => a.talk(b, 1));
  network.run(60_000 + ROUND_TRIP_MS);
  assertWithin(network.count(RESPONSE_TYPE), 9, 11);
  assertEquals(b.heard.length, 120);
});
