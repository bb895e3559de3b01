import { assert, assertEquals, assertGreater, assertNotEquals, assertStrictEquals } from "@std/assert";
import { formatIp, parseCidr, parseIp } from "../ip.ts";
import { Slab } from "../slab.ts";
import { INITIATION_TYPE, RESPONSE_TYPE, STAGED_PACKETS, TRANSPORT_TYPE } from "./constants.ts";
import { endpointAt, ipPacket, MachineNetwork, pair, ROUND_TRIP_MS } from "./fixtures/machine_network.ts";

Deno.test("a packet without a session waits for the handshake and then goes out in order", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  for (const number of [1, 2, 3]) a.talk(b, number);
  network.run(ROUND_TRIP_MS);
  assertEquals(b.heard, [1, 2, 3]);
  assertEquals(network.sent.map(({ type }) => type), [1, 2, 4, 4, 4]);
});

Deno.test("a handshake without anything waiting is confirmed by a keepalive", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  assertEquals(a.machine.sendingKeypair(a.peer(b)), undefined);
  network.run(ROUND_TRIP_MS);
  assertEquals(network.sent.map(({ type, bytes }) => [type, bytes.length]), [[1, 148], [2, 92], [4, 32]]);
  assertEquals(b.keepalives, 1);
  assert(b.machine.sendingKeypair(b.peer(a)));
});

Deno.test("the responder sends nothing on a new session before it has heard from the initiator on it", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  network.lets = ({ type }) => type !== TRANSPORT_TYPE;
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  assert(b.peer(a).next);
  b.talk(a, 7);
  network.run(ROUND_TRIP_MS);
  assertEquals(network.count(TRANSPORT_TYPE, b), 0);
  network.lets = () => true;
  a.talk(b, 2);
  network.run(ROUND_TRIP_MS);
  assertEquals([a.heard, b.heard], [[7], [2]], "what the responder staged goes once the session is confirmed");
});

Deno.test("both sides asking at once have a session one round trip later", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  b.talk(a, 2);
  network.run(ROUND_TRIP_MS);
  assertEquals([a.heard, b.heard], [[2], [1]]);
  assertEquals([network.count(INITIATION_TYPE), network.count(RESPONSE_TYPE)], [2, 2]);
  a.talk(b, 3);
  b.talk(a, 4);
  network.run(20_000);
  assertEquals([a.heard, b.heard], [[2, 4], [1, 3]]);
  assertEquals(network.count(INITIATION_TYPE), 2);
});

Deno.test("a response that is lost is made good by the next initiation", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  let responses = 0;
  network.lets = ({ type }) => type !== RESPONSE_TYPE || ++responses > 1;
  a.talk(b, 1);
  network.run(6000);
  assertEquals(b.heard, [1]);
  assertEquals(network.count(INITIATION_TYPE), 2);
});

Deno.test("the answer to an initiation that a newer one replaced is refused", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  const late: (() => void)[] = [];
  network.lets = (datagram) => {
    if (datagram.type === RESPONSE_TYPE) late.push(() => a.take(datagram.from, datagram.bytes));
    return datagram.type !== RESPONSE_TYPE;
  };
  a.talk(b, 1);
  network.run(6000);
  assertEquals(late.length, 2);
  late[0]!();
  assertEquals([a.peer(b).current, a.machine.counters.refusedHandshakes], [undefined, 1]);
  late[1]!();
  assert(a.peer(b).current);
  late[1]!();
  assertEquals(a.machine.counters.refusedHandshakes, 2, "nor is an answer taken twice");
});

Deno.test("once the peer's own request has led to a session, a late answer to ours is refused", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  const late: (() => void)[] = [];
  network.lets = (datagram) => {
    const isHeld = datagram.type === RESPONSE_TYPE && datagram.to === a.endpoint;
    if (isHeld) late.push(() => a.take(datagram.from, datagram.bytes));
    return !isHeld;
  };
  a.talk(b, 1);
  b.talk(a, 2);
  network.run(ROUND_TRIP_MS);
  const session = a.peer(b).current!;
  assertEquals([a.peer(b).pending, late.length], [undefined, 1]);
  network.run(100_000);
  late[0]!();
  assertStrictEquals(a.peer(b).current, session);
  assertEquals(a.machine.counters.refusedHandshakes, 1);
});

Deno.test("a new session of the initiator keeps what is under way on the old one readable", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const first = a.peer(b).current!;
  network.run(120_000);
  b.talk(a, 10);
  a.talk(b, 2);
  network.run(25);
  assertStrictEquals(a.peer(b).previous, first);
  network.run(ROUND_TRIP_MS);
  assertEquals([a.heard, b.heard], [[10], [1, 2]]);
  assertNotEquals(a.peer(b).current, first);
});

Deno.test("when packets wait beyond the bound, the oldest are given up", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  for (let number = 0; number < STAGED_PACKETS + 10; number++) a.talk(b, number);
  network.run(ROUND_TRIP_MS);
  assertEquals(b.heard, Array.from({ length: STAGED_PACKETS }, (_, index) => index + 10));
  assertEquals(a.machine.counters.stagedDropped, 10);
});

Deno.test("what cannot be sent anywhere is not kept", () => {
  using network = new MachineNetwork();
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1" });
  const b = network.add({ endpoint: "192.0.2.2:1000", inner: "10.0.0.2" });
  a.machine.configure({ peers: [{ publicKey: b.publicKey, allowedIps: [{ cidr: parseCidr("10.0.0.2")! }] }] });
  a.talk(b, 1);
  assertEquals([a.peer(b).staged, a.machine.counters.stagedDropped, network.sent.length], [undefined, 1, 0]);
});

Deno.test("packets go where the peer was last heard from, and handshakes make it known too", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const known = b.peer(a).endpoint;
  a.talk(b, 2);
  network.run(ROUND_TRIP_MS);
  assertStrictEquals(b.peer(a).endpoint, known, "the object stays while the endpoint does");
  a.endpoint = endpointAt("[2001:db8::9]:999");
  a.talk(b, 3);
  network.run(ROUND_TRIP_MS);
  b.talk(a, 4);
  network.run(ROUND_TRIP_MS);
  assertEquals([a.heard, b.heard], [[4], [1, 2, 3]]);
  assertEquals(b.machine.status().peers[0]!.endpoint, a.endpoint);
  b.endpoint = endpointAt("198.51.100.3:7");
  network.run(200_000);
  b.talk(a, 5);
  network.run(ROUND_TRIP_MS);
  assertEquals(a.heard, [4, 5]);
  assertEquals(a.peer(b).endpoint, b.endpoint);
});

Deno.test("a peer that keeps its endpoint is heard from elsewhere, but not followed, until it is told to be again", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const endpoint = endpointAt("192.0.2.77:77");
  const tell = (keepsEndpoint: boolean) => {
    b.machine.configure({ peers: [{ publicKey: a.publicKey, updateOnly: true, endpoint, keepsEndpoint }] });
  };
  tell(true);
  a.talk(b, 2);
  network.run(ROUND_TRIP_MS);
  assertEquals([b.heard, b.peer(a).endpoint], [[1, 2], endpoint]);
  // A handshake of a's is heard from elsewhere, too.
  network.run(130_000);
  a.talk(b, 3);
  network.run(ROUND_TRIP_MS);
  assertEquals([b.heard, b.peer(a).endpoint], [[1, 2, 3], endpoint]);
  tell(false);
  a.talk(b, 4);
  network.run(ROUND_TRIP_MS);
  assertEquals(b.peer(a).endpoint, a.endpoint);
});

Deno.test("only a responder that has an endpoint by then can answer, and it learns it from the initiation", () => {
  using network = new MachineNetwork();
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1" });
  const b = network.add({ endpoint: "192.0.2.2:1000", inner: "10.0.0.2" });
  a.addPeer(b);
  b.machine.configure({ peers: [{ publicKey: a.publicKey, allowedIps: [{ cidr: parseCidr("10.0.0.1")! }] }] });
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  b.talk(a, 2);
  network.run(ROUND_TRIP_MS);
  assertEquals([a.heard, b.heard], [[2], [1]]);
});

Deno.test("with a preshared key both must have the same one", async (t) => {
  const keys = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const;
  for (
    const [name, ours, theirs, isGood] of [
      ["the same", keys[0], keys[0], true],
      ["different ones", keys[0], keys[1], false],
      ["only one side", keys[0], new Uint8Array(32), false],
    ] as const
  ) {
    await t.step(name, () => {
      using network = new MachineNetwork();
      const [a, b] = pair(network);
      a.addPeer(b, { presharedKey: ours });
      b.addPeer(a, { presharedKey: theirs });
      a.talk(b, 1);
      network.run(ROUND_TRIP_MS);
      assertEquals(b.heard, isGood ? [1] : []);
      assertEquals(a.machine.status().peers[0]!.presharedKey, ours);
    });
  }
});

Deno.test("a preshared key set later counts from the next handshake on", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const presharedKey = new Uint8Array(32).fill(9);
  for (const [node, other] of [[a, b], [b, a]] as const) node.addPeer(other, { presharedKey });
  a.talk(b, 2);
  network.run(121_000);
  a.talk(b, 3);
  network.run(ROUND_TRIP_MS);
  a.talk(b, 4);
  network.run(ROUND_TRIP_MS);
  assertEquals([b.heard, network.count(INITIATION_TYPE)], [[1, 2, 3, 4], 2]);
});

Deno.test("a new private key ends sending on old sessions; what is under way still arrives", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  b.talk(a, 2);
  const privateKey = new Uint8Array(32).fill(77);
  a.machine.configure({ privateKey });
  network.run(ROUND_TRIP_MS);
  assertEquals(a.heard, [2]);
  assertEquals(a.machine.sendingKeypair(a.peer(b)), undefined);
  const { publicKey } = a.machine.status();
  b.machine.configure({
    peers: [{
      publicKey: publicKey!,
      endpoint: a.endpoint,
      allowedIps: [{ cidr: parseCidr("10.0.0.1")! }],
    }],
  });
  a.talk(b, 3);
  network.run(6000);
  assertEquals(b.heard, [1, 3]);
});

Deno.test("a session that was asked for before our private key changed is confirmed but not sent on", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  network.lets = ({ type }) => type !== TRANSPORT_TYPE;
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  b.talk(a, 2);
  b.machine.configure({ privateKey: new Uint8Array(32).fill(77) });
  network.lets = () => true;
  a.talk(b, 3);
  network.run(ROUND_TRIP_MS);
  assertEquals([b.heard, b.peer(a).staged?.size, network.count(TRANSPORT_TYPE, b)], [[3], 1, 0]);
});

Deno.test("without a private key nothing is asked and nothing answered", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  b.machine.configure({ privateKey: new Uint8Array(32) });
  assertEquals(b.machine.status(), { peers: b.machine.status().peers });
  a.talk(b, 1);
  b.talk(a, 1);
  network.run(ROUND_TRIP_MS);
  assertEquals(network.sent.length, 1);
  b.machine.configure({ privateKey: b.privateKey });
  network.run(6000);
  assertEquals(b.heard, [1]);
});

Deno.test("our own key as a peer is ignored, and a private key that turns a peer into ourselves removes it", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.machine.configure({ peers: [{ publicKey: a.publicKey }] });
  assertEquals(a.machine.status().peers.length, 1);
  a.machine.configure({ privateKey: b.privateKey });
  assertEquals(a.machine.status().peers, []);
  assertEquals(a.machine.status().publicKey, b.publicKey);
});

Deno.test("a removed peer is gone at once: its sessions, what waited and what was due", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const keypair = a.peer(b).current!;
  a.machine.configure({ peers: [{ publicKey: b.publicKey, remove: true }] });
  assertEquals([a.machine.indicesInUse, a.machine.nextDueMs()], [0, Infinity]);
  assertEquals([a.machine.seal(keypair, new Slab(256), 0, 20), keypair.isDisposed], [0, true]);
  a.machine.sent(keypair, 100, true);
  a.machine.received(keypair, b.endpoint, 100, true);
  assertEquals(a.machine.nextDueMs(), Infinity);
  b.talk(a, 2);
  network.run(ROUND_TRIP_MS);
  assertEquals([a.heard, a.machine.counters.unknownIndex], [[], 1]);
});

Deno.test("packets are padded to sixteen bytes, never beyond the MTU, and lose the padding again", async (t) => {
  for (
    const [name, mtu, paddingBytes, datagramBytes] of [
      ["a multiple of sixteen already", 1420, 8, 32 + 32],
      ["one byte more", 1420, 9, 48 + 32],
      ["as long as an odd MTU", 1417, 1417 - 24, 1417 + 32],
      ["a byte less than an odd MTU", 1417, 1416 - 24, 1417 + 32],
      ["longer than the MTU", 100, 101 - 24, 101 + 32],
    ] as const
  ) {
    await t.step(name, () => {
      using network = new MachineNetwork();
      const [a, b] = pair(network);
      a.machine.mtu = mtu;
      const packet = ipPacket(a.inner, b.inner, 5, paddingBytes);
      a.sendPacket(packet);
      network.run(ROUND_TRIP_MS);
      assertEquals(b.packets, [packet]);
      assertEquals(network.sent.find(({ type }) => type === TRANSPORT_TYPE)!.bytes.length, datagramBytes);
    });
  }
});

Deno.test("inner packets are taken from addresses of the peer only, v4 and v6", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  const [ours, theirs] = [parseIp("fd00::1")!, parseIp("fd00::2")!];
  a.addPeer(b, { allowedIps: [{ cidr: parseCidr(formatIp(theirs))! }] });
  b.addPeer(a, { allowedIps: [{ cidr: parseCidr("fd00::1/128")! }] });
  a.sendPacket(ipPacket(ours, theirs, 1));
  network.run(ROUND_TRIP_MS);
  a.sendPacket(ipPacket(parseIp("fd00::3")!, theirs, 2));
  a.sendPacket(ipPacket(parseIp("10.0.0.9")!, b.inner, 3));
  a.sendPacket(ipPacket(a.inner, b.inner, 4));
  network.run(ROUND_TRIP_MS);
  assertEquals([b.heard, b.machine.counters.refusedInner], [[1, 4], 2]);
});

Deno.test("what is no IP packet inside is refused", async (t) => {
  const v4 = ipPacket(parseIp("10.0.0.1")!, parseIp("10.0.0.2")!, 1);
  const withByte = (at: number, value: number) => v4.map((byte, index) => index === at ? value : byte);
  for (
    const [name, packet] of [
      ["version 5", withByte(0, 0x55)],
      ["version 6, too short for it", withByte(0, 0x60)],
      ["longer than it is", withByte(3, 33)],
      ["shorter than a header", withByte(3, 19)],
      ["a few bytes", new Uint8Array(8).fill(0x45)],
    ] as const
  ) {
    await t.step(name, () => {
      using network = new MachineNetwork();
      const [a, b] = pair(network);
      a.talk(b, 1);
      network.run(ROUND_TRIP_MS);
      const slab = new Slab(256);
      slab.bytes.set(packet, 16);
      const keypair = a.peer(b).current!;
      const length = a.machine.seal(keypair, slab, 0, packet.length);
      b.take(a.endpoint, slab.bytes.slice(0, length));
      assertEquals([b.heard, b.machine.counters.refusedInner], [[1], 1]);
    });
  }
});

Deno.test("a peer's status counts bytes both ways and tells when the handshake was", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const [ofA, ofB] = [a, b].map((node) => node.machine.status().peers[0]!);
  assertEquals([ofA!.sentBytes, ofA!.receivedBytes], [148 + 32 + 32, 92]);
  assertEquals([ofB!.sentBytes, ofB!.receivedBytes], [92, 148 + 32 + 32]);
  assertGreater(ofA!.lastHandshakeMs, Date.UTC(2026, 0, 1));
  assertEquals(ofB!.lastHandshakeMs - ofA!.lastHandshakeMs, 10);
});

Deno.test("disposing wipes every key", () => {
  const network = new MachineNetwork();
  const [a, b] = pair(network, { presharedKey: new Uint8Array(32).fill(3) });
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const peer = a.peer(b);
  const { shared, presharedKey, current } = peer;
  network[Symbol.dispose]();
  assertEquals([shared, presharedKey], [new Uint8Array(32), new Uint8Array(32)]);
  assert(current!.isDisposed);
  assertEquals(a.machine.status(), { peers: [] });
});
