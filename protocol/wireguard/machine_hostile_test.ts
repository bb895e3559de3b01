import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import type { Bytes } from "../primitives.ts";
import { Slab } from "../slab.ts";
import {
  COOKIE_REPLY_TYPE,
  HANDSHAKE_QUEUE,
  INITIATION_BYTES,
  INITIATION_TYPE,
  RESPONSE_TYPE,
  TRANSPORT_HEADER_BYTES,
  TRANSPORT_TYPE,
} from "./constants.ts";
import { MacStamper } from "./cookie.ts";
import { portableWireGuardCrypto } from "./crypto.ts";
import {
  type Datagram,
  endpointAt,
  ipPacket,
  MachineNetwork,
  type Node,
  pair,
  ROUND_TRIP_MS,
} from "./fixtures/machine_network.ts";
import { createInitiation } from "./handshake.ts";
import { MAC_BYTES } from "./messages.ts";
import type { Keypair } from "./keypair.ts";
import type { Endpoint } from "./settings.ts";
import { tai64n } from "./timestamp.ts";

const STRANGER = endpointAt("203.0.113.66:666");

/** All that a machine knows of itself and of one peer, save what it counts about strangers, as text. */
function everythingOf(node: Node, other: Node): string {
  const { oldest, older, previous, current, next, pending, staged, stamper: _, ...rest } = node.peer(other);
  const everything = {
    rest,
    sessions: [oldest, older, previous, current, next].map((keypair) => keypair && sessionOf(keypair)),
    pendingIndex: pending?.localIndex,
    staged: staged?.size,
    status: node.machine.status(),
    dueMs: node.machine.nextDueMs(),
    indices: node.machine.indicesInUse,
    packets: node.packets.length,
  };
  return JSON.stringify(everything, (_, value) => value instanceof Uint8Array ? value.toHex() : value, 1);
}

function sessionOf({ localIndex, remoteIndex, sendCounter, createdMs, maySend, isDisposed }: Keypair) {
  return { localIndex, remoteIndex, sendCounter, createdMs, maySend, isDisposed };
}

/** `b` with a session and an unanswered initiation, and what it was sent so far. */
function busyNode(network: MachineNetwork): { a: Node; b: Node; delivered: Datagram[] } {
  const [a, b] = pair(network);
  b.talk(a, 1);
  network.run(ROUND_TRIP_MS);
  a.talk(b, 2);
  // Too old to send on, so that a asks now; then too old again, so that b asks and gets no answer.
  network.run(180_000);
  a.talk(b, 3);
  network.run(181_000);
  network.lets = () => false;
  b.talk(a, 4);
  network.run(ROUND_TRIP_MS);
  assert(b.peer(a).pending && b.peer(a).current);
  return { a, b, delivered: network.sent.filter(({ to }) => to === b.endpoint) };
}

Deno.test("bytes of strangers change nothing, whatever they are", () => {
  using network = new MachineNetwork();
  const { a, b } = busyNode(network);
  const before = everythingOf(b, a);
  const sentBefore = network.sent.length;
  const typed = fc.tuple(fc.integer({ min: 0, max: 5 }), anyBytes(200)).map(([type, bytes]) => {
    return Uint8Array.of(type, 0, 0, 0, ...bytes);
  });
  const ofRightLength = fc.constantFrom([1, 148], [2, 92], [3, 64], [4, 32], [4, 96]).chain(([type, length]) =>
    fc.uint8Array({ minLength: length! - 4, maxLength: length! - 4 }).map((bytes) => {
      return Uint8Array.of(type!, 0, 0, 0, ...bytes);
    })
  );
  fc.assert(
    fc.property(fc.oneof(anyBytes(2000), typed, ofRightLength), (bytes) => {
      b.take(STRANGER, new Uint8Array(bytes));
      assertEquals(everythingOf(b, a), before);
    }),
    { numRuns: 2000 },
  );
  assertEquals(network.sent.length, sentBefore, "and gets no answer");
});

Deno.test("messages seen before change nothing, as they were or with anything done to them", () => {
  using network = new MachineNetwork();
  const { a, b, delivered } = busyNode(network);
  const before = everythingOf(b, a);
  const sentBefore = network.sent.length;
  assertEquals(new Set(delivered.map(({ type }) => type)), new Set([1, 2, 4]));
  for (const { bytes } of delivered) b.take(STRANGER, bytes);
  assertEquals(everythingOf(b, a), before);
  fc.assert(
    fc.property(mutationsOf(fc.constantFrom(...delivered.map(({ bytes }) => bytes))), (bytes) => {
      b.take(STRANGER, new Uint8Array(bytes));
      assertEquals(everythingOf(b, a), before);
    }),
    { numRuns: 1000 },
  );
  assertEquals(network.sent.length, sentBefore);
});

Deno.test("no byte of a message on its way can be changed", async (t) => {
  for (
    const [name, type] of [
      ["initiation", INITIATION_TYPE],
      ["response", RESPONSE_TYPE],
      ["transport", TRANSPORT_TYPE],
    ] as const
  ) {
    await t.step(name, () => {
      using network = new MachineNetwork();
      const [a, b] = pair(network);
      const held: Datagram[] = [];
      network.lets = (datagram) => {
        if (datagram.type === type) held.push(datagram);
        return datagram.type !== type;
      };
      a.talk(b, 1);
      network.run(ROUND_TRIP_MS);
      const [{ bytes, from, to }] = held as [Datagram];
      const [receiver, other] = to === b.endpoint ? [b, a] : [a, b];
      // Made in advance, so that naming the peer in a false initiation finds it made.
      receiver.peer(other).shared ??= portableWireGuardCrypto.x25519(receiver.privateKey, other.publicKey);
      const before = everythingOf(receiver, other);
      // A wrong mac2 does not matter without load: nobody asked for a cookie.
      const checkedBytes = type === TRANSPORT_TYPE ? bytes.length : bytes.length - MAC_BYTES;
      for (let at = 0; at < checkedBytes; at++) {
        receiver.take(STRANGER, bytes.map((byte, place) => place === at ? byte ^ 0x10 : byte));
      }
      assertEquals(everythingOf(receiver, other), before);
      receiver.take(from, bytes);
      network.lets = () => true;
      network.run(ROUND_TRIP_MS);
      a.talk(b, 2);
      network.run(ROUND_TRIP_MS);
      assert(b.heard.includes(2));
    });
  }
});

/** An initiation towards a node, as a stranger who knows both public keys can make it. */
function initiationTo(node: Node, from: { privateKey: Bytes; publicKey: Bytes }, timestampMs: number): Bytes {
  const random = { fill: <T extends Uint8Array<ArrayBuffer>>(into: T) => crypto.getRandomValues(into), next: () => 0 };
  const shared = portableWireGuardCrypto.x25519(from.privateKey, node.publicKey);
  const remote = { publicKey: node.publicKey, presharedKey: new Uint8Array(32), shared };
  const { packet } = createInitiation({ crypto: portableWireGuardCrypto, random }, from, remote, {
    senderIndex: 5,
    timestamp: tai64n(timestampMs),
  })!;
  new MacStamper(portableWireGuardCrypto, node.publicKey).stamp(packet, 0);
  return packet;
}

Deno.test("an initiation that only names a peer changes nothing, nor one from nobody we know", () => {
  using network = new MachineNetwork();
  const { a, b } = busyNode(network);
  const before = everythingOf(b, a);
  const sentBefore = network.sent.length;
  const privateKey = new Uint8Array(32).fill(66);
  const later = Date.UTC(2030, 0, 1);
  b.take(STRANGER, initiationTo(b, { privateKey, publicKey: a.publicKey }, later));
  b.take(
    STRANGER,
    initiationTo(b, { privateKey, publicKey: portableWireGuardCrypto.x25519PublicKey(privateKey) }, later),
  );
  assertEquals(b.machine.counters.refusedHandshakes, 2);
  assertEquals([everythingOf(b, a), network.sent.length], [before, sentBefore]);
});

Deno.test("initiations of one peer are taken 20 ms apart, and only later ones", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  const wall = Date.UTC(2026, 5, 1);
  const answers = () => network.count(RESPONSE_TYPE, b);
  const steps = [[0, wall, 1], [10, wall + 100, 1], [20, wall + 200, 2], [40, wall + 200, 2], [60, wall, 2], [
    80,
    wall + 300,
    3,
  ]] as const;
  const startMs = network.nowMs;
  for (const [atMs, timestampMs, expected] of steps) {
    network.run(startMs + atMs - network.nowMs);
    b.take(STRANGER, initiationTo(b, a, timestampMs));
    assertEquals(answers(), expected, `at ${atMs} ms`);
  }
  assertEquals(b.machine.indicesInUse, 1, "each new session that is not used replaces the one before");
});

/** Fills a node's queue with initiations whose mac1 is right and the rest nonsense. */
function flood(node: Node, count: number, sourceOf: (at: number) => Endpoint): void {
  const slab = new Slab(INITIATION_BYTES);
  const stamper = new MacStamper(portableWireGuardCrypto, node.publicKey);
  for (let at = 0; at < count; at++) {
    const packet = slab.bytes.subarray(0, INITIATION_BYTES);
    packet.fill(at & 0xff);
    packet.set([INITIATION_TYPE, 0, 0, 0, at, at >> 8]);
    stamper.stamp(packet, 0);
    node.machine.offer(slab, 0, INITIATION_BYTES, { source: () => sourceOf(at) });
  }
}

const manySources = (at: number) => endpointAt(`198.51.${at >> 8 & 255}.${at & 255}:5`);

Deno.test("under load, strangers get cookies instead of key agreements and who returns one gets a session", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  const untilMs = network.nowMs + 20_000;
  const strain = () => {
    flood(b, 200, manySources);
    while (b.machine.pump(16));
  };
  strain();
  const { counters } = b.machine;
  assertGreater(counters.cookieRepliesSent, 70);
  network.every(400, untilMs, strain);
  a.talk(b, 1);
  network.run(50);
  assertEquals([b.heard, a.machine.counters.cookieRepliesReceived], [[], 1]);
  network.run(6000);
  assertEquals(b.heard, [1]);
  assertEquals(network.count(INITIATION_TYPE, a), 2);
  network.run(20_000);
  const refused = counters.refusedHandshakes;
  assertEquals(counters.limited, 0);
  network.after(0, () => flood(b, 5, manySources));
  network.run(10);
  b.machine.pump(16);
  assertEquals(counters.refusedHandshakes, refused + 5, "a second after the load everyone is looked at again");
});

Deno.test("a cookie does not lift the limit of one address", () => {
  using network = new MachineNetwork();
  const [a, b] = pair(network);
  const cookieOf = new MacStamper(portableWireGuardCrypto, b.publicKey);
  const slab = new Slab(INITIATION_BYTES);
  const send = (timestampMs: number) => {
    const packet = initiationTo(b, a, timestampMs);
    cookieOf.stamp(packet, network.nowMs);
    slab.bytes.set(packet);
    b.machine.offer(slab, 0, INITIATION_BYTES, { source: () => STRANGER });
  };
  flood(b, 200, manySources);
  while (b.machine.pump(16));
  send(0);
  b.machine.pump(1);
  const reply = network.sent.findLast(({ type }) => type === COOKIE_REPLY_TYPE)!;
  assert(cookieOf.takeReply(reply.bytes, network.nowMs));
  for (let at = 1; at <= 20; at++) send(Date.UTC(2030, 0, 1) + at * 100);
  b.machine.pump(20);
  assertEquals(b.machine.counters.limited, 15);
});

Deno.test("a flood with wrong macs gets no answer, and the queue for it has an end", () => {
  using network = new MachineNetwork();
  const [, b] = pair(network);
  const slab = new Slab(INITIATION_BYTES);
  slab.bytes[0] = INITIATION_TYPE;
  for (let at = 0; at < HANDSHAKE_QUEUE + 10; at++) {
    b.machine.offer(slab, 0, INITIATION_BYTES, { source: () => STRANGER });
  }
  assertEquals(b.machine.counters.queueFull, 10);
  assertEquals(b.machine.pump(HANDSHAKE_QUEUE - 1), true);
  assertEquals(b.machine.pump(1), false);
  assertEquals([b.machine.counters.wrongMac, network.sent.length], [HANDSHAKE_QUEUE, 0]);
});

Deno.test("datagrams of no session make no garbage", () => {
  using network = new MachineNetwork();
  const { b } = busyNode(network);
  const slab = new Slab(2048);
  slab.bytes[0] = TRANSPORT_TYPE;
  // Where such a datagram comes from is not even looked up.
  const nobody = { source: () => assert(false) as never };
  const flood = (count: number) => {
    for (let at = 0; at < count; at++) {
      slab.view.setInt32(4, Math.imul(at, 0x9e3779b1), true);
      b.machine.open(slab, 0, 1452);
      b.machine.offer(slab, 0, 1452, nobody);
    }
  };
  assertLess(garbagePerCall(flood, 50_000), 1);
});

Deno.test("a packet that is sealed, sent, opened and received makes no garbage", () => {
  using network = new MachineNetwork();
  const aead = () => ({ seal() {}, open: () => true, [Symbol.dispose]() {} });
  const options = { crypto: { ...portableWireGuardCrypto, aead } };
  const a = network.add({ endpoint: "192.0.2.1:1000", inner: "10.0.0.1", ...options });
  const b = network.add({ endpoint: "192.0.2.2:2000", inner: "10.0.0.2", ...options });
  network.connect(a, b);
  a.talk(b, 1);
  network.run(ROUND_TRIP_MS);
  const packet = ipPacket(a.inner, b.inner, 1, 1376);
  const slab = new Slab(2048);
  slab.bytes.set(packet, TRANSPORT_HEADER_BYTES);
  const carry = (count: number) => {
    for (let at = 0; at < count; at++) {
      const peer = a.machine.route(slab.bytes, TRANSPORT_HEADER_BYTES, packet.length)!;
      const sending = a.machine.sendingKeypair(peer)!;
      const length = a.machine.seal(sending, slab, 0, packet.length);
      a.machine.sent(sending, length, true);
      const receiving = b.machine.open(slab, 0, length)!;
      b.machine.inner(receiving, slab, 0, length);
      b.machine.received(receiving, receiving.peer.endpoint!, length, true);
    }
  };
  assertLess(garbagePerCall(carry, 20_000), 1);
  assertEquals(b.machine.status().peers[0]!.receivedBytes, 148 + 32 + 32 + 15 * 20_000 * (1408 + 32));
});

/** Bytes of heap that something takes each time, once it runs optimised: unoptimised code makes garbage itself. */
function garbagePerCall(repeat: (count: number) => void, count: number): number {
  const growths = Array.from({ length: 15 }, () => {
    const before = Deno.memoryUsage().heapUsed;
    repeat(count);
    return Deno.memoryUsage().heapUsed - before;
  });
  return growths.sort((one, other) => one - other)[7]! / count;
}
