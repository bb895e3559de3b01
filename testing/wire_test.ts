import { assert, assertEquals, assertThrows } from "@std/assert";
import { FakeClock } from "./fake_clock.ts";
import { SeededRandom } from "./seeded_random.ts";
import { type Conditions, Wire } from "./wire.ts";

/** Sends datagrams numbered from 0, all at once, and gives [number, arrival time] in order of arrival. */
function sendMany(conditions: Conditions, count: number, sizeBytes = 100): [number, number][] {
  const clock = new FakeClock();
  const wire = new Wire(clock, new SeededRandom(1), conditions);
  const arrivals: [number, number][] = [];
  for (let name = 0; name < count; name++) wire.send(sizeBytes, () => arrivals.push([name, clock.now()]));
  clock.advance(3_600_000);
  assertEquals(clock.pendingTimers, 0);
  return arrivals;
}

Deno.test("latency delays every datagram by the same", () => {
  assertEquals(sendMany({ latencyMs: 20 }, 3), [[0, 20], [1, 20], [2, 20]]);
});

Deno.test("jitter spreads arrivals but keeps their order", () => {
  const arrivals = sendMany({ latencyMs: 20, jitterMs: 10 }, 100);
  assertEquals(arrivals.map(([name]) => name), Array.from({ length: 100 }, (_, name) => name));
  assert(arrivals.every(([, ms]) => ms >= 20 && ms < 30));
  assert(arrivals[99]![1] - arrivals[0]![1] > 1);
});

Deno.test("bandwidth spaces datagrams out, and a full queue drops the rest", () => {
  const arrivals = sendMany({ bandwidthBitsPerS: 8000, queueBytes: 500 }, 10, 100);
  assertEquals(arrivals, [[0, 100], [1, 200], [2, 300], [3, 400], [4, 500]]);
});

Deno.test("loss takes about its share, duplication gives it", () => {
  const lossy = sendMany({ loss: 0.3 }, 1000).length;
  assert(lossy > 650 && lossy < 750, `${lossy}`);
  const doubled = sendMany({ duplicate: 0.3 }, 1000).length;
  assert(doubled > 1250 && doubled < 1350, `${doubled}`);
});

Deno.test("reordering holds some back so that others overtake them", () => {
  const arrivals = sendMany({ latencyMs: 5, reorder: 0.2, reorderMs: 7 }, 100);
  const late = arrivals.filter(([, ms]) => ms === 12).length;
  assert(late > 10 && late < 30, `${late}`);
  assertEquals(arrivals.length, 100);
});

Deno.test("a cut wire loses datagrams and holds what must arrive until it heals", () => {
  const clock = new FakeClock();
  const wire = new Wire(clock, new SeededRandom(1), { latencyMs: 10 });
  const arrivals: string[] = [];
  wire.send(1, () => arrivals.push(`before@${clock.now()}`));
  wire.cut();
  wire.send(1, () => arrivals.push("never"));
  wire.carry(1, () => arrivals.push(`first@${clock.now()}`));
  wire.carry(1, () => arrivals.push(`second@${clock.now()}`));
  clock.advance(1000);
  wire.heal();
  clock.advance(1000);
  assertEquals(arrivals, ["before@10", "first@1010", "second@1010"]);
});

Deno.test("for a reliable stream a loss is a delay, and order is kept", () => {
  const clock = new FakeClock();
  const wire = new Wire(clock, new SeededRandom(3), { latencyMs: 10, loss: 0.2 });
  const arrivals: [number, number][] = [];
  for (let name = 0; name < 50; name++) wire.carry(100, () => arrivals.push([name, clock.now()]));
  clock.advance(60_000);
  assertEquals(arrivals.map(([name]) => name), Array.from({ length: 50 }, (_, name) => name));
  assert(arrivals[49]![1] > 1000);
});

const badRows: readonly [Conditions, string][] = [
  [{ loss: 1 }, "Cannot shape a wire: loss must be in [0, 1), got 1"],
  [{ reorder: -0.1 }, "Cannot shape a wire: reorder must be in [0, 1), got -0.1"],
  [{ latencyMs: NaN }, "Cannot shape a wire: latencyMs must be at least 0, got NaN"],
  [{ bandwidthBitsPerS: 0 }, "Cannot shape a wire: bandwidthBitsPerS must be above 0, got 0"],
];

for (const [conditions, message] of badRows) {
  Deno.test(`conditions that cannot be: ${JSON.stringify(conditions)}`, () => {
    assertThrows(() => new Wire(new FakeClock(), new SeededRandom(1), conditions), RangeError, message);
  });
}
