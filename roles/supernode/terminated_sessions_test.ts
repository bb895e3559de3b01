import { assert, assertEquals } from "@std/assert";
import { candidate, peerId } from "../../kv/fixtures/records.ts";
import { createMemoryRelayAddresses } from "../../kv/relay_addresses.ts";
import { createMemorySessions } from "../../kv/sessions.ts";
import type { ExitSetupRequest } from "../../protocol/directory.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatEndpoint, parseEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { FakeRelay, FakeTerminatingRelay } from "../fixtures/fake_relay.ts";
import { CLIENT, ELSEWHERE, GRANT, grants, HERE, HOST, OWN_KEYS, SessionRig } from "./fixtures/session_rig.ts";

const WISH = { carries: "packets", relay: "terminate" } as const;

function makeRig(changes: ConstructorParameters<typeof SessionRig>[0] = {}) {
  const terminating = new FakeTerminatingRelay();
  const relay = new FakeRelay();
  return { terminating, relay, rig: new SessionRig({ carriers: { relay, terminating }, ...changes }) };
}

Deno.test("a tunnel that ends here has the supernode as the exit's client, and the client is told of the supernode", async () => {
  const { terminating, relay, rig } = makeRig();
  using _rig = rig;
  const exit = await rig.connectExit(100, grants);
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  const { peerId: ownId, wireguardKey, publicKey, wireguardSignature } = OWN_KEYS;
  assertEquals(grant.offer.packets, {
    addresses: ["10.200.0.2/32"],
    gateways: ["10.200.0.1"],
    dns: ["10.200.0.1"],
    mtu: 1380,
    endpoint: "192.0.2.10:51820",
    terminatedBy: OWN_KEYS,
  });
  const [{ command }] = rig.sent.filter(({ to }) => to === exit) as [typeof rig.sent[0]];
  assert(command.kind === "SETUP_EXIT");
  const { clientPeerId, clientWireguardKey, clientProof, packets } = command.payload;
  assertEquals([clientPeerId, clientWireguardKey], [ownId, wireguardKey]);
  assertEquals([clientProof?.publicKey, clientProof?.wireguardSignature], [publicKey, wireguardSignature]);
  assertEquals(packets, { relay: `${HOST}:45000`, isTerminated: true });
  const { sessionId } = grant.offer;
  assertEquals(terminating.applied.get(sessionId)?.grant, GRANT);
  assertEquals(relay.ports, [], "the blind relay has no part in it");
  await rig.ending.end(sessionId, "client_left", "client");
  await settle();
  assertEquals([terminating.prepared.size, terminating.applied.size], [0, 0]);
});

Deno.test("a tunnel to an exit elsewhere goes by the port of the exit's supernode", async () => {
  const { terminating, rig } = makeRig();
  using _rig = rig;
  rig.candidatesElsewhere = [{ ...candidate(110), supernodeId: ELSEWHERE, carriesPackets: true }];
  const requests: ExitSetupRequest[] = [];
  rig.setUpElsewhere = (request) => {
    requests.push(request);
    return { status: "applied", packets: GRANT, relay: "192.0.2.20:41000" };
  };
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  assertEquals(formatEndpoint(terminating.applied.get(grant.offer.sessionId)!.exitAt!), "192.0.2.20:41000");
  assertEquals(requests.map(({ clientPeerId, packets }) => [clientPeerId, packets?.isTerminated]), [[HERE, true]]);
});

Deno.test("a key that another supernode says is an exit's opens no tunnel unless the exit has signed it", async () => {
  const { terminating, rig } = makeRig();
  using _rig = rig;
  const { exit, ...rest } = candidate(110);
  const wireguardKey = candidate(111).exit.wireguardKey.replace(/^./, (first) => first === "Z" ? "Y" : "Z");
  rig.forged.add(wireguardKey);
  rig.candidatesElsewhere = [
    { ...rest, exit: { ...exit, wireguardKey }, supernodeId: ELSEWHERE, carriesPackets: true },
  ];
  const asked: ExitSetupRequest[] = [];
  rig.setUpElsewhere = (request) => {
    asked.push(request);
    return { status: "applied", packets: GRANT, relay: "192.0.2.20:41000" };
  };
  assertEquals((await rig.requests.grant(CLIENT, WISH)).ok, false);
  assertEquals([asked, terminating.prepared.size, rig.states], [[], 0, []]);
});

Deno.test("when the tunnel cannot be made the exit lets go of it, and nothing is left", async () => {
  const { terminating, rig } = makeRig();
  using _rig = rig;
  const exit = await rig.connectExit(100, grants);
  terminating.onApply = () => {
    throw new CulvertError("busy", "Every address is taken");
  };
  assertEquals((await rig.requests.grant(CLIENT, WISH)).ok, false);
  await settle();
  assertEquals(rig.kindsTo(exit), ["SETUP_EXIT", "DISCONNECT"]);
  assertEquals([terminating.prepared.size, terminating.applied.size, rig.states], [0, 0, []]);
});

Deno.test("a client that is moved keeps what it has been told of its tunnel", async () => {
  const { terminating, rig } = makeRig();
  using _rig = rig;
  await rig.connect(CLIENT.peerId);
  const first = await rig.connectExit(100, grants);
  const grant = await rig.requests.grant(CLIENT, { ...WISH, addresses: ["10.200.3.3/32"] });
  assert(grant.ok);
  await rig.connectExit(101, grants);
  rig.exits.delete(first);
  rig.rotation.move(rig.sessions.find(grant.offer.sessionId)!, "exit_failed");
  await settle();
  const told = rig.sent.findLast(({ to }) => to === CLIENT.peerId)!.command;
  assert(told.kind === "ROTATE_PEER");
  assertEquals(told.payload.next.packets, grant.offer.packets);
  assertEquals(told.payload.next.exit.peerId, peerId(101));
  assertEquals([...terminating.applied.values()].map(({ exit }) => exit.peerId), [peerId(101)]);
});

Deno.test("after a restart its tunnel is as it was, with the exit where it was; what cannot be is another session", async () => {
  const clock = new FakeClock();
  const [store, relayAddresses] = [createMemorySessions(clock), createMemoryRelayAddresses(clock)];
  const exitEndpoint = parseEndpoint("198.51.100.9:7000")!;
  {
    const { rig, terminating } = makeRig({ store, relayAddresses });
    using _rig = rig;
    await rig.connectExit(100, grants);
    await rig.requests.grant(CLIENT, { ...WISH, addresses: ["10.200.3.3/32"] });
    terminating.exitEndpoint = exitEndpoint;
    const stop = new AbortController();
    const running = rig.packets.run(stop.signal);
    await settle();
    stop.abort();
    await running;
    await rig.packets.closed();
  }
  const { terminating, rig } = makeRig({ store, relayAddresses });
  using _rig = rig;
  await rig.sessions.restore();
  assertEquals(await rig.packets.restore(), []);
  const [resumed] = terminating.applied.values();
  assertEquals([resumed!.addresses, resumed!.isResumed, resumed!.exitAt], [["10.200.3.3/32"], true, exitEndpoint]);
  terminating.prepare = ({ sessionId }) => {
    terminating.prepared.set(sessionId, 45_001);
    return Promise.resolve(45_001);
  };
  const [record, ...others] = await rig.packets.restore();
  assertEquals(others, []);
  await rig.connect(CLIENT.peerId);
  const exit = await rig.connectExit(100, grants);
  rig.rotation.move(record!, "relay_lost");
  await settle();
  assertEquals([rig.states, rig.kindsTo(exit)], [["active"], ["SETUP_EXIT", "DISCONNECT"]]);
  const [applied, ...left] = terminating.applied.values();
  assertEquals(left, []);
  assertEquals([applied!.addresses, applied!.exit.peerId], [["10.200.3.3/32"], exit]);
  assert(applied!.sessionId !== record!.sessionId);
});

Deno.test("after a restart an exit elsewhere is where it was last heard, though nobody says yet where its supernode is", async () => {
  const clock = new FakeClock();
  const [store, relayAddresses] = [createMemorySessions(clock), createMemoryRelayAddresses(clock)];
  const exitEndpoint = parseEndpoint("192.0.2.20:41000")!;
  {
    const { rig, terminating } = makeRig({ store, relayAddresses });
    using _rig = rig;
    rig.candidatesElsewhere = [{ ...candidate(110), supernodeId: ELSEWHERE, carriesPackets: true }];
    rig.setUpElsewhere = () => ({ status: "applied", packets: GRANT, relay: "192.0.2.20:41000" });
    terminating.exitEndpoint = exitEndpoint;
    assert((await rig.requests.grant(CLIENT, WISH)).ok);
    await rig.packets.closed();
  }
  const { terminating, rig } = makeRig({ store, relayAddresses });
  using _rig = rig;
  rig.isBaseAway = true;
  await rig.sessions.restore();
  assertEquals(await rig.packets.restore(), []);
  assertEquals([...terminating.applied.values()].map(({ exitAt }) => exitAt), [exitEndpoint]);
});

Deno.test("when its tunnel carries nothing any more another exit is tried first", async () => {
  const { terminating, rig } = makeRig();
  using _rig = rig;
  await rig.connect(CLIENT.peerId);
  const exits = [await rig.connectExit(100, grants), await rig.connectExit(101, grants)];
  const grant = await rig.requests.grant(CLIENT, WISH);
  assert(grant.ok);
  const record = rig.sessions.find(grant.offer.sessionId)!;
  rig.rotation.move(record, "tunnel_failed");
  await settle();
  const other = exits.find((exit) => exit !== grant.offer.exit.peerId)!;
  assertEquals([...terminating.applied.values()].map(({ exit }) => exit.peerId), [other]);
  rig.exits.delete(grant.offer.exit.peerId);
  terminating.dead.add(other);
  const [next] = rig.sessions;
  terminating.applied.clear();
  rig.rotation.move(next!, "tunnel_failed");
  await rig.clock.advanceAsync(3_000);
  assertEquals([...terminating.applied.values()].map(({ exit }) => exit.peerId), [other], "there is no other");
});
