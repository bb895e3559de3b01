import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { LineConditions } from "../../testing/packet_line.ts";
import { type FlowOptions, ReferenceRoute, SEGMENT_BYTES } from "./fixtures/reference_route.ts";
import { PacedCongestion } from "./paced.ts";

const make = (seed = 1) => (nowMs: number) =>
  new PacedCongestion({ segmentBytes: SEGMENT_BYTES, random: new SeededRandom(seed) }, nowMs);

/** A queue of so many milliseconds. */
function line(mbitPerS: number, rttMs: number, queueMs = 250, loss = 0): LineConditions {
  return {
    bandwidthBitsPerS: mbitPerS * 1e6,
    latencyMs: rttMs / 2,
    loss,
    queueBytes: Math.max(mbitPerS * 125 * queueMs, 16 * SEGMENT_BYTES),
  };
}

function routeOf(conditions: LineConditions, flow: Partial<FlowOptions> = {}): ReferenceRoute {
  return new ReferenceRoute({ conditions, flows: [{ make: make(), ...flow }] });
}

/** Mbit/s that each flow delivers meanwhile. */
function measure(route: ReferenceRoute, forMs: number): number[] {
  const before = route.flows.map((flow) => flow.deliveredBytes);
  route.forth.forget();
  route.run(forMs);
  return route.flows.map((flow, at) => (flow.deliveredBytes - before[at]!) * 8 / forMs / 1000);
}

function congestionOf(route: ReferenceRoute): PacedCongestion {
  return route.flows[0]!.congestion as PacedCongestion;
}

function assertBetween(value: number, least: number, most: number, what: string): void {
  assert(value >= least && value <= most, `${what} must be ${least} to ${most}, got ${value}`);
}

const ROUTES = [
  { mbitPerS: 5, rttMs: 40, warmMs: 2000, forMs: 10_000 },
  { mbitPerS: 20, rttMs: 20, warmMs: 1000, forMs: 10_000 },
  { mbitPerS: 20, rttMs: 50, warmMs: 2000, forMs: 10_000 },
  { mbitPerS: 200, rttMs: 100, warmMs: 3000, forMs: 5000 },
  { mbitPerS: 1000, rttMs: 1, warmMs: 500, forMs: 1000 },
] as const;

for (const { mbitPerS, rttMs, warmMs, forMs } of ROUTES) {
  for (const loss of [0, 0.01, 0.05]) {
    for (const depth of ["shallow", "deep"] as const) {
      Deno.test(`${mbitPerS} Mbit/s, ${rttMs} ms, ${loss * 100} % lost, a ${depth} queue: full, and no queue stands`, () => {
        const queueMs = depth === "deep" ? Math.max(250, 4 * rttMs) : Math.max(2, rttMs / 2);
        const route = routeOf(line(mbitPerS, rttMs, queueMs, loss));
        route.run(warmMs);
        const [goodput] = measure(route, forMs);
        const least = loss === 0.05 ? 0.85 : 0.9;
        assertBetween(goodput! / mbitPerS / (1 - loss), least, 1.01, "its share of the line");
        assertBetween(route.forth.waitQuantileMs(0.5), 0, 10, "the queue");
        assertBetween(route.forth.waitQuantileMs(0.95), 0, 50, "the queue at its longest");
      });
    }
  }
}

for (const { mbitPerS, rttMs } of ROUTES) {
  Deno.test(`${mbitPerS} Mbit/s, ${rttMs} ms: it starts in less than twice the time of TCP's slow start`, () => {
    const route = routeOf(line(mbitPerS, rttMs));
    const rounds = Math.max(1, Math.log2(mbitPerS * 125 * rttMs / (10 * 1460)));
    // Those in which it sees that there is no more; and timers tick in milliseconds.
    route.run(2 * (rounds + 3) * (rttMs + 2));
    const [goodput] = measure(route, Math.max(1000, 5 * rttMs));
    assertBetween(goodput! / mbitPerS, 0.9, 1.01, "its share of the line");
  });
}

Deno.test("a sender that has less to send than fits keeps no queue, and may send more at once when it has", () => {
  const flow = { demand: 10 * 125 };
  const route = routeOf(line(50, 20), flow);
  route.run(3000);
  assertBetween(measure(route, 3000)[0]!, 9.9, 10.1, "goodput");
  assertBetween(route.forth.waitQuantileMs(0.99), 0, 5, "the queue");
});

Deno.test("a route that becomes ten times as long is used again within seconds, and one that becomes shorter", () => {
  const route = routeOf(line(50, 20));
  route.run(3000);
  route.change(line(50, 200));
  route.run(3000);
  assertBetween(measure(route, 3000)[0]!, 45, 50.5, "goodput on the longer one");
  route.change(line(50, 20));
  route.run(1500);
  assertBetween(measure(route, 3000)[0]!, 45, 50.5, "goodput on the shorter one");
  assertBetween(route.forth.waitQuantileMs(0.5), 0, 10, "the queue");
});

Deno.test("a route that becomes ten times slower empties its queue, and faster again is found out", () => {
  const route = routeOf(line(50, 20));
  route.run(3000);
  route.change({ ...line(5, 20), queueBytes: 1_000_000 });
  route.run(3000);
  assertBetween(measure(route, 3000)[0]!, 4.5, 5.1, "goodput of the slow one");
  assertBetween(route.forth.waitQuantileMs(0.5), 0, 25, "the queue");
  route.change(line(50, 20));
  route.run(2000);
  assertBetween(measure(route, 2000)[0]!, 45, 50.5, "goodput of the fast one");
});

Deno.test("ACKs that come in bunches of 20 ms leave the line full", () => {
  for (const rttMs of [2, 40]) {
    const route = routeOf(line(50, rttMs), { ackEveryMs: 20 });
    route.run(2000);
    assertBetween(measure(route, 3000)[0]!, 45, 50.5, `goodput at ${rttMs} ms`);
    assertBetween(route.forth.waitQuantileMs(0.95), 0, 30, "the queue");
  }
});

Deno.test("timers that tick in 4 ms, and round trips that vary by 20 ms, leave the line full", () => {
  const slow = new ReferenceRoute({ conditions: line(50, 2), flows: [{ make: make() }], tickMs: 4 });
  slow.run(1000);
  assertBetween(measure(slow, 2000)[0]!, 45, 50.5, "goodput with slow timers");
  const varying = routeOf({ ...line(50, 40), jitterMs: 20 });
  varying.run(2000);
  assertBetween(measure(varying, 5000)[0]!, 45, 51, "goodput with varying round trips");
});

Deno.test("after ten thousand segments in a row were lost it begins anew, and sends little meanwhile", () => {
  const route = routeOf(line(200, 20));
  route.run(2000);
  const { conditions } = route.forth;
  route.change({ ...conditions, loss: 0.999_999_999 });
  const before = route.flows[0]!.lostSegments;
  route.run(10_000);
  assertBetween(route.flows[0]!.lostSegments - before, 100, 3000, "what was lost while it was cut");
  route.change(conditions);
  route.run(1500);
  assertBetween(measure(route, 2000)[0]!, 180, 201, "goodput afterwards");
});

for (const [name, conditions] of [["shallow", line(20, 50, 15)], ["deep", line(20, 50)]] as const) {
  Deno.test(`two flows share a ${name} queue within 1 : 2, and fill the line`, () => {
    const flows = [{ make: make(1) }, { make: make(2), startAtMs: 3000 }];
    const route = new ReferenceRoute({ conditions, flows });
    route.run(10_000);
    const [one, other] = measure(route, 20_000);
    assertBetween(one! / other!, 0.5, 2, "the one's share to the other's");
    assertBetween(one! + other!, 18, 20.1, "both");
    assertBetween(route.forth.waitQuantileMs(0.5), 0, 50, "the queue");
  });
}

Deno.test("it tells when there is room again, and that it takes an ACK when the window is full", () => {
  const route = routeOf(line(20, 50));
  route.run(3000);
  const congestion = congestionOf(route);
  let nowMs = route.nowMs;
  assertEquals(congestion.roomBytes(1e9, nowMs), 0);
  assertEquals(congestion.roomAtMs, Infinity);
  while (congestion.roomBytes(0, nowMs) > 0) congestion.onSent(0, SEGMENT_BYTES, 0, nowMs);
  assert(congestion.roomAtMs > nowMs && congestion.roomAtMs < nowMs + 3, `${congestion.roomAtMs - nowMs}`);
  nowMs = congestion.roomAtMs;
  assert(congestion.roomBytes(0, nowMs) > 0);
});

Deno.test("where round trips are shorter than can be told it goes on after a silence, whatever it owed before", () => {
  const congestion = make()(0);
  let nowMs = 0;
  const send = () => {
    for (let sent = 0; sent < 10 && congestion.roomBytes(sent * SEGMENT_BYTES, nowMs) > 0; sent++) {
      congestion.onSent(0, SEGMENT_BYTES, sent * SEGMENT_BYTES, nowMs);
    }
  };
  const hear = () => {
    for (let segment = 0; segment < 10; segment++) congestion.onAcked(0, SEGMENT_BYTES, 0, nowMs);
    congestion.onTurn(0, false, nowMs);
  };
  for (; congestion.state === "starting" && nowMs < 1000; nowMs++) {
    send();
    hear();
  }
  assert(congestion.state !== "starting");
  while (congestion.roomBytes(0, nowMs) > 0) congestion.onSent(0, SEGMENT_BYTES, 0, nowMs);
  congestion.onTimeout(nowMs + 1000);
  nowMs += 1000.25;
  while (congestion.roomBytes(0, nowMs) > 0) congestion.onSent(0, SEGMENT_BYTES, 0, nowMs);
  hear();
  assertEquals(congestion.state, "starting");
  assert(congestion.roomBytes(0, nowMs + 5) > 0);
});

Deno.test("a queue that does not run empty in time leaves what was known of the route", () => {
  const congestion = make()(0);
  let nowMs = 0;
  const turn = (rttMs: number, inFlightBytes: number) => {
    if (congestion.roomBytes(0, nowMs) > 0) congestion.onSent(0, SEGMENT_BYTES, inFlightBytes, nowMs);
    congestion.onAcked(0, SEGMENT_BYTES, rttMs, nowMs);
    congestion.onTurn(inFlightBytes, false, nowMs);
    assert(congestion.minRttMs < Infinity && congestion.windowBytes < Infinity, `at ${nowMs} ms`);
    nowMs++;
  };
  while (nowMs < 5000) turn(20, 1e5);
  // It becomes longer, which is seen when little is in flight; then again, but as much stays there whatever the window.
  while (nowMs < 30_000) turn(30, SEGMENT_BYTES);
  while (nowMs < 60_000) turn(40, 1e9);
});
