import { assert, assertEquals, assertThrows } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { relayIdOf, SessionNetwork } from "./fixtures/session_network.ts";
import { openReedSolomon } from "./reed_solomon.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { LegOpener, LegSealer } from "./leg_seal.ts";
import { FragmentSession } from "./session.ts";

Deno.test("a few bytes leave at once, in the smallest fragments, by as many legs as may fail and one", () => {
  const net = new SessionNetwork({ seed: 1 });
  net.run(0);
  const before = { fragments: net.sentFragments, bytes: net.sentBytes };
  net.client.send(100);
  net.run(5);
  assertEquals(net.sentFragments - before.fragments, 2);
  assertEquals(net.sentBytes - before.bytes, 2 * 512);
  assert(net.run(6, () => net.central.received === 100));
  assert(net.run(40, () => net.client.session.isIdle));
});

Deno.test("both directions carry at once, whatever pieces the bytes come in", () => {
  const net = new SessionNetwork({ seed: 2 });
  const pieces = [1, 3, 500, 2000, 9000, 40_000, 70_000, 300_000];
  for (const bytes of pieces) {
    net.client.send(bytes);
    net.central.send(bytes * 2);
    net.run(1);
  }
  const total = pieces.reduce((sum, bytes) => sum + bytes);
  assert(net.run(2000, () => net.central.received === total && net.client.received === total * 2));
  assert(net.run(2000, () => net.client.session.isIdle && net.central.session.isIdle));
  assertEquals(net.client.session.stats().sendBufferBytes, 0);
  assertEquals(net.client.session.stats().receiveBufferBytes, 0);
});

Deno.test("without anything to say it is silent, and wants no tick", () => {
  const net = new SessionNetwork({ seed: 3 });
  net.client.send(1000);
  net.central.send(1000);
  net.run(3000);
  const sent = net.sentFragments;
  assertEquals([net.client.session.nextTickMs, net.central.session.nextTickMs], [Infinity, Infinity]);
  net.run(60_000);
  assertEquals(net.sentFragments, sent);
});

Deno.test("without adaptation the number of shards stays, with it parity follows the loss", () => {
  for (const isAdaptive of [false, true]) {
    const coding = { dataShards: 2, totalShards: 3, maxTotalShards: 5, isAdaptive };
    const net = new SessionNetwork({ seed: 4, coding, leg: { lossShare: 0.18 } });
    net.central.send(20e6);
    net.run(1500);
    const { totalShards } = net.central.session.stats();
    assert(isAdaptive ? totalShards > 3 : totalShards === 3, `${totalShards}`);
    for (const leg of net.central.legs.values()) leg.lossShare = 0;
    net.central.send(100e6);
    net.run(5000);
    assertEquals(net.central.session.stats().totalShards, 3);
  }
});

Deno.test("what is kept at either end is bounded, however long a leg or all of them are silent", () => {
  const limits = { sendBufferBytes: 2e6, receiveBufferBytes: 1e6 };
  const net = new SessionNetwork({ seed: 5, limits });
  net.central.send(1e9);
  net.run(300);
  for (const leg of net.central.legs.values()) leg.isBlackHole = true;
  net.run(3000);
  const { sendBufferBytes } = net.central.session.stats();
  assert(sendBufferBytes < 2e6 + 200_000, `${sendBufferBytes}`);
  for (const leg of net.central.legs.values()) Object.assign(leg, { isBlackHole: false, lossShare: 0.3 });
  let mostKept = 0;
  for (let at = 0; at < 200; at++) {
    net.run(10);
    mostKept = Math.max(mostKept, net.client.session.stats().receiveBufferBytes);
  }
  assert(mostKept <= 1e6 + 100_000, `${mostKept}`);
  assert(net.client.received > 5e6, `${net.client.received}`);
});

Deno.test("closing says goodbye on every leg, and ends the other side without a fault", () => {
  const net = new SessionNetwork({ seed: 6 });
  net.client.send(1000);
  net.run(100);
  net.client.legs.get(0)!.isBlackHole = true;
  net.client.session.close();
  net.run(100);
  assertEquals(net.central.ended, { reason: undefined });
  assertEquals(net.client.ended, undefined);
  net.client.session.close();
  net.client.session.wake();
  assertEquals(net.client.session.nextTickMs, Infinity);
});

Deno.test("a peer that is gone ends the session after a while, with a reason", () => {
  const net = new SessionNetwork({ seed: 7 });
  for (const leg of net.client.legs.values()) leg.isBlackHole = true;
  net.client.send(1000);
  net.run(14_000);
  assertEquals(net.client.ended, undefined);
  net.run(3000);
  assertEquals(net.client.ended, { reason: "no answer for 15000 ms" });
});

Deno.test("the central learns which legs there are, once for each change, though legs lose a third", () => {
  const net = new SessionNetwork({ seed: 8, leg: { lossShare: 0.3 } });
  net.central.send(3e6);
  net.run(50);
  net.client.legs.set(6, { ...net.client.legs.get(0)! });
  net.setLegs([1, 2, 6], [4, 5, 7]);
  assert(net.run(20_000, () => net.client.received === 3e6));
  const relays = (legs: number[]) => legs.map((leg) => ({ leg, relayId: relayIdOf(leg) }));
  assertEquals(net.central.changes.at(-1), { send: relays([4, 5, 7]), receive: relays([1, 2, 6]) });
  assert(net.central.changes.length <= 2);
  assertEquals(net.central.session.stats().send.map(({ leg }) => leg), [4, 5, 7]);
  assertEquals(net.client.session.stats().receive.map(({ leg }) => leg), [4, 5, 7]);
});

Deno.test("a number of a leg that was used is not taken again", () => {
  const net = new SessionNetwork({ seed: 9 });
  net.setLegs([1, 2], [3, 4, 5]);
  net.setLegs([0, 1, 2], [3, 4, 5]);
  assertEquals(net.client.session.stats().send.map(({ leg }) => leg), [1, 2]);
});

Deno.test("a leg is down while it has no socket, and proves itself before it carries again", () => {
  const net = new SessionNetwork({ seed: 10 });
  net.central.send(50e6);
  net.run(300);
  const leg = net.central.legs.get(4)!;
  const state = () => net.central.session.stats().send[1]!.state;
  leg.isStalled = true;
  net.central.session.failLeg(4);
  net.run(100);
  assertEquals(state(), "down");
  net.release(net.central, 4);
  net.run(5);
  assertEquals(state(), "suspect");
  net.run(200);
  assertEquals(state(), "up");
});

Deno.test("more data shards than shards in all are refused", () => {
  const options = {
    role: "client",
    coding: { dataShards: 3, totalShards: 2 },
    sealer: () => {
      throw new Error("not asked");
    },
    opener: () => {
      throw new Error("not asked");
    },
    reedSolomon: openReedSolomon(),
    random: new SeededRandom(1),
  } as const;
  const events = { fill: () => 0, onBytes() {}, onWants() {}, onLegs() {}, onEnd() {} };
  assertThrows(() => new FragmentSession(options, events, 0), RangeError, "1 ≤ data ≤ total ≤ 32, got 3 and 2");
});

Deno.test("whoever fills may end the session there and then", () => {
  const key = new Uint8Array(32);
  const session: FragmentSession = new FragmentSession(
    {
      role: "client",
      coding: { dataShards: 2, totalShards: 3 },
      sealer: () => new LegSealer(portableWireGuardCrypto, key),
      opener: () => new LegOpener(portableWireGuardCrypto, key),
      reedSolomon: openReedSolomon(),
      random: new SeededRandom(1),
    },
    {
      fill: (into) => {
        session[Symbol.dispose]();
        return into.length;
      },
      onBytes() {},
      onWants() {},
      onLegs() {},
      onEnd() {},
    },
    0,
  );
  session.setLegs({ send: [0], receive: [1] }, new Map([[0, relayIdOf(0)], [1, relayIdOf(1)]]));
  assertEquals(session.pull(0, new Uint8Array(64 * 1024), 0), 0);
});
