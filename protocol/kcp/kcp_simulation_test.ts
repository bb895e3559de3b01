import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Slab } from "../slab.ts";
import type { Congestion } from "./congestion.ts";
import { Kcp } from "./kcp.ts";
import { type KcpMode, kcpModes, type KcpOptions } from "./kcp_options.ts";

interface Fate {
  readonly lossShare?: number;
  readonly duplicateShare?: number;
  readonly delayMs?: number;
  readonly jitterMs?: number;
}

interface Flight {
  readonly dueMs: number;
  readonly to: SimulatedEnd;
  readonly bytes: Uint8Array;
}

class SimulatedEnd {
  readonly kcp: Kcp;
  readonly outgoing: Uint8Array;
  sent = 0;
  received = 0;
  isRight = true;
  expected: Uint8Array;
  isStopped = false;

  constructor(options: KcpOptions, outgoing: Uint8Array, expected: Uint8Array) {
    this.outgoing = outgoing;
    this.expected = expected;
    this.kcp = new Kcp(options, {
      fill: (into) => {
        const part = this.outgoing.subarray(this.sent, this.sent + into.length);
        into.set(part);
        this.sent += part.length;
        return part.length;
      },
      onBytes: (bytes) => {
        for (const byte of bytes) this.isRight &&= this.expected[this.received++] === byte;
      },
      wantsBytes: () => !this.isStopped,
    }, 0);
    this.kcp.wake();
  }
}

/** Two ends that carry `bytes` both ways over a network of chance; gives when all had come, and the ends. */
function simulate(options: Partial<KcpOptions>, fate: Fate, seed: number, bytes = 40_000) {
  const random = new SeededRandom(seed);
  const { lossShare = 0, duplicateShare = 0, delayMs = 5, jitterMs = 0 } = fate;
  const all = { ...kcpModes.fast3, mtuBytes: 524, sendWindow: 64, receiveWindow: 64, ...options };
  const [there, back] = [random.fill(new Uint8Array(bytes)), random.fill(new Uint8Array(bytes / 2))];
  const near = new SimulatedEnd({ ...all, conv: 5 }, there, back);
  const far = new SimulatedEnd({ ...all, conv: undefined }, back, there);
  const slab = new Slab(2048);
  let flights: Flight[] = [];
  let nowMs = 0;
  const pump = (from: SimulatedEnd, to: SimulatedEnd) => {
    from.kcp.tick(nowMs);
    for (let length; (length = from.kcp.pull(slab, 0, 2048, nowMs)) > 0;) {
      for (let copy = random.next() < duplicateShare ? 2 : 1; copy > 0; copy--) {
        if (random.next() < lossShare) continue;
        flights.push({ dueMs: nowMs + delayMs + jitterMs * random.next(), to, bytes: slab.bytes.slice(0, length) });
      }
    }
  };
  for (; nowMs < 120_000 && (far.received < bytes || near.received < bytes / 2); nowMs++) {
    far.isStopped = nowMs > 50 && nowMs < 150;
    if (nowMs === 150) far.kcp.resume();
    for (const { to, bytes } of flights.filter(({ dueMs }) => dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs)) {
      slab.bytes.set(bytes);
      to.kcp.receive(slab, 0, bytes.length, nowMs);
    }
    flights = flights.filter(({ dueMs }) => dueMs > nowMs);
    pump(near, far);
    pump(far, near);
  }
  return { near, far, nowMs };
}

const fates: Record<string, Fate> = {
  "a clean path": {},
  "loss": { lossShare: 0.15 },
  "heavy loss": { lossShare: 0.4 },
  "reordering": { jitterMs: 40 },
  "duplicates and loss": { duplicateShare: 0.3, lossShare: 0.1, jitterMs: 10 },
  "a long way": { delayMs: 150, lossShare: 0.02 },
};
const modes: Record<string, Partial<KcpMode>> = { ...kcpModes, "fast3 with nc=0": { congestion: "kcp" } };

for (const [mode, options] of Object.entries(modes)) {
  for (const [name, fate] of Object.entries(fates)) {
    Deno.test(`every byte comes, once and in order: ${mode}, ${name}`, () => {
      for (let seed = 1; seed <= 3; seed++) {
        const { near, far } = simulate(options, fate, seed);
        assertEquals([far.received, near.received], [40_000, 20_000], `seed ${seed}`);
        assertEquals([near.isRight, far.isRight], [true, true], `seed ${seed}`);
      }
    });
  }
}

Deno.test("on a clean path nothing is sent twice", () => {
  const { near, far } = simulate({}, { delayMs: 20 }, 1);
  for (const { kcp: { counters } } of [near, far]) {
    assertEquals([counters.fastResent, counters.earlyResent, counters.timedOut, counters.repeated], [0, 0, 0, 0]);
  }
});

Deno.test("a lost segment mostly costs no time-out", () => {
  const { near } = simulate({ sendWindow: 128, receiveWindow: 128 }, { lossShare: 0.02, delayMs: 20 }, 4, 400_000);
  const { fastResent, earlyResent, timedOut } = near.kcp.counters;
  assertGreater(fastResent, 2 * (timedOut + earlyResent));
});

/** Allows so many bytes in flight, and holds every call against what it knows. */
class StrictCongestion implements Congestion {
  readonly roomAtMs = Infinity;
  readonly inFlight = new Map<number, number>();
  readonly lost = new Set<number>();
  mostBytes = 0;
  turns = 0;
  limitBytes: number;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  roomBytes(inFlightBytes: number): number {
    assertEquals(inFlightBytes, this.#sum());
    return this.limitBytes - inFlightBytes;
  }

  onSent(slot: number, bytes: number, inFlightBytes: number): void {
    assertEquals(inFlightBytes, this.#sum());
    assertEquals(this.inFlight.has(slot), this.lost.delete(slot), `slot ${slot} is in flight`);
    this.inFlight.set(slot, bytes);
    this.mostBytes = Math.max(this.mostBytes, this.#sum());
  }

  onAcked(slot: number, bytes: number, rttMs: number): void {
    assertEquals(this.inFlight.get(slot), bytes);
    assertGreater(rttMs, 0);
    this.inFlight.delete(slot);
    this.lost.delete(slot);
  }

  onLost(slot: number, bytes: number): void {
    assertEquals([this.inFlight.get(slot), this.lost.has(slot)], [bytes, false]);
    this.lost.add(slot);
  }

  onTimeout(): void {}

  onTurn(inFlightBytes: number): void {
    this.turns++;
    assertEquals(inFlightBytes, this.#sum());
  }

  onMoved?(from: number, to: number): void;

  #sum(): number {
    let sum = 0;
    for (const [slot, bytes] of this.inFlight) if (!this.lost.has(slot)) sum += bytes;
    return sum;
  }
}

class MovingCongestion extends StrictCongestion {
  moves = 0;

  override onMoved(from: number, to: number): void {
    this.moves++;
    assertEquals(this.inFlight.has(to), false);
    this.inFlight.set(to, this.inFlight.get(from)!);
    this.inFlight.delete(from);
    if (this.lost.delete(from)) this.lost.add(to);
  }
}

for (const kind of [StrictCongestion, MovingCongestion]) {
  Deno.test(`a congestion scheme is told of every segment and holds it back: ${kind.name}`, () => {
    const congestion = new kind(5000);
    const other = new kind(1_000_000);
    const options = { mtuBytes: 524, sendWindow: 256, receiveWindow: 256, ...kcpModes.fast3 };
    const random = new SeededRandom(9);
    const data = random.fill(new Uint8Array(300_000));
    const near = new SimulatedEnd({ ...options, conv: 1, congestion }, data, new Uint8Array(0));
    const far = new SimulatedEnd({ ...options, conv: 1, congestion: other }, new Uint8Array(0), data);
    const slab = new Slab(2048);
    let flights: Flight[] = [];
    for (let nowMs = 0; nowMs < 60_000 && far.received < data.length; nowMs++) {
      if (congestion.turns > 20) congestion.limitBytes = 30_000; // and the ring grows with segments in flight
      for (const flight of flights.filter(({ dueMs }) => dueMs <= nowMs)) {
        slab.bytes.set(flight.bytes);
        flight.to.kcp.receive(slab, 0, flight.bytes.length, nowMs);
      }
      flights = flights.filter(({ dueMs }) => dueMs > nowMs);
      for (const [from, to] of [[near, far], [far, near]] as const) {
        from.kcp.tick(nowMs);
        for (let length; (length = from.kcp.pull(slab, 0, 2048, nowMs)) > 0;) {
          const dueMs = nowMs + 10 + 5 * random.next();
          if (random.next() > 0.05) flights.push({ dueMs, to, bytes: slab.bytes.slice(0, length) });
        }
      }
    }
    assertEquals([far.received, far.isRight], [data.length, true]);
    assertLess(congestion.mostBytes, 30_000 + 524);
    assertGreater(congestion.turns, 100);
    if (congestion instanceof MovingCongestion) assertGreater(congestion.moves, 0);
  });
}
