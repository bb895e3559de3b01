/** Sessions over legs that do what legs do: thousands of blocks, every byte checked, everything from a seed. */

import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { CLEAN_LEG, type LegModel, type NetworkOptions, SessionNetwork } from "./fixtures/session_network.ts";

const SEED = 20_261_121;
const CODINGS = [
  { dataShards: 1, totalShards: 2 },
  { dataShards: 2, totalShards: 3 },
  { dataShards: 3, totalShards: 5 },
  { dataShards: 10, totalShards: 14 },
];

/** Bytes per millisecond that arrive at the client, between two times. */
function rateBetween(net: SessionNetwork, { fromMs, toMs }: { fromMs: number; toMs: number }): number {
  net.run(fromMs - net.nowMs);
  const before = net.client.received;
  net.run(toMs - net.nowMs);
  return (net.client.received - before) / (toMs - fromMs);
}

const LEGS: readonly (readonly [string, Partial<LegModel>])[] = [
  ["clean", {}],
  ["a short way", { delayMs: 0.1, rate: 50_000 }],
  ["a long way, slow", { delayMs: 80, rate: 600 }],
  ["5 % lost", { lossShare: 0.05 }],
  ["30 % lost", { lossShare: 0.3 }],
  ["out of order", { jitterMs: 30 }],
  ["each third twice", { duplicateShare: 0.3 }],
  ["each tenth changed", { corruptShare: 0.1 }],
  ["short queues", { queueBytes: 100_000 }],
  ["all of it", { lossShare: 0.1, jitterMs: 20, duplicateShare: 0.1, corruptShare: 0.05 }],
];

for (const [name, leg] of LEGS) {
  Deno.test(`all bytes arrive, in order and once, over legs: ${name}`, () => {
    const codings = [[1, 1], [1, 2], [2, 3], [4, 6]] as const;
    for (const [at, [dataShards, totalShards]] of codings.entries()) {
      const coding = { dataShards, totalShards };
      const net = new SessionNetwork({ seed: SEED + at, leg, coding });
      net.central.send(3e6);
      net.client.maxFill = 700; // many small blocks the other way
      net.client.send(300_000);
      const isDone = net.run(60_000, () => net.client.received === 3e6 && net.central.received === 300_000);
      assert(isDone, `seed ${SEED + at}: ${net.client.received} and ${net.central.received} bytes`);
      assertEquals([net.client.ended, net.central.ended], [undefined, undefined]);
    }
  });
}

Deno.test("5 % loss on every leg leaves at least 60 % of the throughput", () => {
  const rateOf = (lossShare: number) => {
    const net = new SessionNetwork({ seed: SEED, leg: { lossShare } });
    net.central.send(1e9);
    return rateBetween(net, { fromMs: 500, toMs: 2500 });
  };
  const clean = rateOf(0);
  const lossy = rateOf(0.05);
  assert(lossy > clean * 0.6, `${lossy} of ${clean}`);
});

const BREAKS: readonly (readonly [string, (leg: LegModel, net: SessionNetwork) => void])[] = [
  ["swallows everything", (leg) => leg.isBlackHole = true],
  ["takes nothing any more", (leg) => leg.isStalled = true],
  ["gets a hundred times slower", (leg) => leg.rate /= 100],
  ["holds all back for a second", (leg) => leg.delayMs = 1000],
];

for (const [name, breakLeg] of BREAKS) {
  Deno.test(`one leg of three ${name}: nothing is lost, and there is no pause to speak of`, () => {
    const net = new SessionNetwork({ seed: SEED });
    net.central.send(1e9);
    const before = rateBetween(net, { fromMs: 500, toMs: 1500 });
    breakLeg(net.central.legs.get(4)!, net);
    let longestMs = 0;
    for (let at = 0, pauseMs = 0, seen = net.client.received; at < 1000; at += 5) {
      net.run(5);
      pauseMs = net.client.received === seen ? pauseMs + 5 : 0;
      seen = net.client.received;
      longestMs = Math.max(longestMs, pauseMs);
    }
    assert(longestMs <= 100, `a pause of ${longestMs} ms`);
    const after = rateBetween(net, { fromMs: 2500, toMs: 3500 });
    assert(after > before * 0.6, `${after} of ${before}`);
  });

  Deno.test(`two legs of three, one of them ${name}: one leg carries on`, () => {
    const net = new SessionNetwork({ seed: SEED });
    net.central.send(1e9);
    const before = rateBetween(net, { fromMs: 500, toMs: 1500 });
    net.central.legs.get(3)!.isBlackHole = true;
    breakLeg(net.central.legs.get(4)!, net);
    const after = rateBetween(net, { fromMs: 2500, toMs: 3500 });
    assert(after > before * 0.3, `${after} of ${before}`);
  });
}

Deno.test("a relay that answers probes and swallows all else costs next to nothing", () => {
  const net = new SessionNetwork({ seed: SEED });
  net.central.send(1e9);
  const before = rateBetween(net, { fromMs: 500, toMs: 1500 });
  net.central.legs.get(4)!.longestBytes = 512;
  const after = rateBetween(net, { fromMs: 3500, toMs: 6500 });
  assert(after > before * 0.9, `${after} of ${before}`);
});

Deno.test("when every leg was silent for a while, it goes on soon after they are back", () => {
  const net = new SessionNetwork({ seed: SEED });
  net.central.send(1e9);
  net.run(1000);
  for (const leg of net.central.legs.values()) leg.isBlackHole = true;
  net.run(2000);
  for (const leg of net.central.legs.values()) leg.isBlackHole = false;
  const before = net.client.received;
  assert(net.run(700, () => net.client.received > before));
});

Deno.test("the last bytes of a burst arrive soon, though the fragments they were in are lost", () => {
  const net = new SessionNetwork({ seed: SEED });
  net.client.send(2000);
  net.run(100);
  for (const leg of net.client.legs.values()) leg.isBlackHole = true;
  net.client.send(100);
  net.run(5);
  for (const leg of net.client.legs.values()) leg.isBlackHole = false;
  assert(net.run(200, () => net.central.received === 2100), `${net.central.received}`);
});

Deno.test("legs that come back are used again", () => {
  const net = new SessionNetwork({ seed: SEED });
  net.central.send(1e9);
  net.run(500);
  const leg = net.central.legs.get(4)!;
  leg.isBlackHole = true;
  net.run(1000);
  assertEquals(net.central.session.stats().send[1]!.state, "suspect");
  leg.isBlackHole = false;
  net.run(3000);
  const sent = net.central.session.stats().send.map(({ sentFragments }) => sentFragments);
  net.run(1000);
  const [a, b, c] = net.central.session.stats().send.map(({ sentFragments }, at) => sentFragments - sent[at]!);
  assert(b! > (a! + c!) / 4, `${a} ${b} ${c}`);
});

Deno.test("a leg that only carries ACKs and is a black hole is found out", () => {
  const net = new SessionNetwork({ seed: SEED });
  net.central.send(1e9);
  net.run(500);
  net.client.legs.get(1)!.isBlackHole = true;
  net.run(2000);
  assertEquals(net.client.session.stats().send.map(({ state }) => state), ["up", "suspect", "up"]);
});

Deno.test("with more legs than shards all of them carry", () => {
  const net = new SessionNetwork({ seed: SEED, down: 6, up: 2 });
  net.central.send(30e6);
  net.run(1000);
  for (const { leg, sentFragments } of net.central.session.stats().send) {
    assert(sentFragments > 50, `leg ${leg}: ${sentFragments}`);
  }
});

for (const how of ["is gone", "swallows everything"] as const) {
  Deno.test(`the only leg that is not late ${how}: the late one carries on`, () => {
    const coding = { dataShards: 1, totalShards: 1, isAdaptive: false };
    const net = new SessionNetwork({ seed: SEED, coding, down: 2 });
    const [fast, slow] = [net.central.legs.get(3)!, net.central.legs.get(4)!];
    fast.delayMs = 2;
    slow.delayMs = 200;
    net.central.send(3e6);
    net.run(3000);
    assertEquals(net.client.received, 3e6);
    fast.isBlackHole = true;
    fast.isStalled = how === "is gone";
    if (fast.isStalled) net.central.session.failLeg(3);
    net.central.send(100_000);
    assert(net.run(2500, () => net.client.received === 3.1e6), `${net.client.received}`);
  });
}

Deno.test("while no leg takes anything, what is due makes no haste", () => {
  const net = new SessionNetwork({ seed: SEED });
  net.client.send(1e6);
  net.run(50);
  for (const leg of net.central.legs.values()) leg.isStalled = true;
  const before = net.steps;
  net.run(5000);
  assert(net.steps - before < 300, `${net.steps - before} steps`);
  for (const leg of net.central.legs.keys()) net.release(net.central, leg);
  net.client.send(1e6);
  assert(net.run(1000, () => net.central.received === 2e6 && net.client.session.isIdle));
});

/** Everything at once, by chance. */
function misbehave(net: SessionNetwork, random: SeededRandom): void {
  const ends = [net.client, net.central];
  const end = ends[Math.floor(random.next() * 2)]!;
  const legs = [...end.legs.keys()];
  const leg = legs[Math.floor(random.next() * legs.length)]!;
  const model = end.legs.get(leg)!;
  const what = Math.floor(random.next() * 8);
  if (what === 0) model.isBlackHole = !model.isBlackHole;
  else if (what === 1) model.isStalled = true;
  else if (what === 2) net.release(end, leg);
  else if (what === 3) model.lossShare = random.next() * 0.3;
  else if (what === 4) model.delayMs = random.next() * 200;
  else if (what === 5) model.rate = 100 + random.next() * 20_000;
  else if (what === 6) end.session.failLeg(leg);
  else model.jitterMs = random.next() * 30;
}

for (let run = 0; run < 12; run++) {
  const seed = SEED + run;
  Deno.test(`legs misbehave and are replaced at random, and every byte arrives: seed ${seed}`, () => {
    const random = new SeededRandom(seed);
    const options: NetworkOptions = {
      seed,
      up: 2 + run % 3,
      down: 2 + run % 4,
      coding: CODINGS[run % CODINGS.length]!,
    };
    const net = new SessionNetwork(options);
    let up = [...net.client.legs.keys()];
    let down = [...net.central.legs.keys()];
    let nextLeg = up.length + down.length;
    let sentDown = 0;
    let sentUp = 0;
    for (let step = 0; step < 60; step++) {
      const downBytes = Math.floor(random.next() ** 3 * 200_000);
      const upBytes = Math.floor(random.next() ** 3 * 50_000);
      net.central.send(downBytes);
      net.client.send(upBytes);
      sentDown += downBytes;
      sentUp += upBytes;
      misbehave(net, random);
      if (random.next() < 0.15 && net.client.session.isAgreed) {
        const added = nextLeg++;
        net.client.legs.set(added, { ...CLEAN_LEG });
        up = [...up.slice(1), added];
        down = [...down.slice(1), nextLeg++];
        net.setLegs(up, down);
      }
      net.run(random.next() * 150);
    }
    for (const end of [net.client, net.central]) {
      for (const leg of end.legs.keys()) {
        Object.assign(end.legs.get(leg)!, { ...CLEAN_LEG });
        net.release(end, leg);
      }
    }
    const isDone = net.run(30_000, () => net.client.received === sentDown && net.central.received === sentUp);
    assert(isDone, `${net.client.received} of ${sentDown}, ${net.central.received} of ${sentUp} bytes`);
    assertEquals([net.client.ended, net.central.ended], [undefined, undefined]);
    assert(net.run(5000, () => net.client.session.isIdle && net.central.session.isIdle), "it is never idle");
  });
}
