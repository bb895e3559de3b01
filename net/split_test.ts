import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { createMetrics } from "../edge/metrics.ts";
import { DialError } from "../protocol/errors.ts";
import { type Measure, type SplitReport, splitReportSchema } from "../protocol/split/report.ts";
import type { CarriedStream } from "../protocol/split/side_record.ts";
import type { Path } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { testPathContract } from "../testing/path_contract.ts";
import { type Script, ScriptedPath } from "../testing/scripted_path.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { split, type SplitOptions, type SplitPath, splitReportOf } from "./combine.ts";
import { common, connect, echo, end, serve, Target } from "./fixtures/tunnel_ends.ts";
import { MeasuredStream } from "./measured_stream.ts";
import { memoryStreamPair } from "./memory.ts";

testPathContract("a split over tunnels", {
  has: ["refusing", "unresolved", "silent"],
  setUp() {
    const servers = [serve(), serve()];
    const tunnels = servers.map((server) => connect(server));
    const target = new Target(echo);
    const members = tunnels.map((path, at) => ({ name: "ab"[at]!, path }));
    return Promise.resolve({
      path: split(members, { ...common, random: new SeededRandom(1), probe: false }),
      echo: target.at,
      refusing: { host: "refused.fails", port: 1 },
      unresolved: { host: "unresolved.fails", port: 1 },
      silent: { host: "hangs", port: 1 },
      async [Symbol.asyncDispose]() {
        await end(...tunnels, ...servers);
        await target.stop();
      },
    });
  },
});

/** Two sides, a and b, over scripted paths. */
class Bench implements Disposable {
  readonly clock = new FakeClock();
  readonly sides = [new ScriptedPath(this.clock), new ScriptedPath(this.clock)] as const;
  readonly path: SplitPath;

  constructor(options: Partial<SplitOptions> = {}, weights: readonly number[] = [1, 1]) {
    const members = this.sides.map((path, at) => ({ name: "ab"[at]!, path, weight: weights[at]! }));
    this.path = split(members, {
      ...{ clock: this.clock, random: new SeededRandom(1), probe: false },
      ...options,
    });
  }

  script(side: 0 | 1, script: Script): void {
    this.sides[side].script = script;
  }

  /** Dials so often, each time to the end, and closes what it gets; gives how many succeeded. */
  async dial(count: number, host = "example.org"): Promise<number> {
    let opened = 0;
    for (let done = 0; done < count; done++) {
      const dialling = this.path.dial({ host, port: 443 });
      dialling.then((stream) => stream.close(), () => {});
      for (let ms = 0; ms < 100; ms += 10) await this.clock.advanceAsync(10);
      opened += await dialling.then(() => 1, () => 0);
    }
    return opened;
  }

  [Symbol.dispose](): void {
    this.path.close();
  }
}

function found(report: SplitReport, measure: Measure): string {
  return report.verdicts.find((verdict) => verdict.measure === measure)!.found;
}

Deno.test("shares are exact by weight, and what is told can cross a socket", async () => {
  using bench = new Bench({}, [3, 1]);
  assertEquals(await bench.dial(100), 100);
  const report = bench.path.report();
  assertEquals(report.sides.map(({ drawn, opened, open }) => [drawn, opened, open]), [[75, 75, 0], [25, 25, 0]]);
  assertEquals(bench.sides.map(({ dials }) => dials), [75, 25]);
  assertEquals(splitReportSchema.parse(JSON.parse(JSON.stringify(report))), report);
  assertEquals(splitReportOf(bench.path)?.sides.length, 2);
  assertEquals(splitReportOf(bench.sides[0] as Path), undefined);
});

Deno.test("a side that fails now and then: the caller gets its stream, the side its blame, and the other is not measured by it", async () => {
  using bench = new Bench({ health: { failuresToDown: 1000 } });
  bench.script(1, { fail: "path_down" });
  assertEquals(await bench.dial(60), 60);
  const [a, b] = bench.path.report().sides;
  assertEquals([a!.drawn, a!.opened, a!.tookOver, a!.dialMs.count], [30, 30, 30, 30]);
  assertEquals([b!.drawn, b!.opened, b!.failed, b!.success.hits, b!.success.total], [30, 0, 30, 0, 30]);
  assertEquals(found(bench.path.report(), "success"), "first_is_better");
});

Deno.test("a side that is down is not tried, and all the same its share of streams counts against it", async () => {
  using bench = new Bench({ health: { failuresToDown: 2 } });
  bench.script(0, { fail: "path_down" });
  assertEquals(await bench.dial(40), 40);
  const [a, b] = bench.path.report().sides;
  assertEquals([bench.sides[0].dials, a!.failed, a!.up, a!.lastFailure], [2, 20, false, "path_down"]);
  assertEquals([b!.opened, b!.tookOver], [20, 20]);
});

Deno.test("a side whose streams open and end unanswered has failed them, whatever it said", async () => {
  const metrics = createMetrics();
  using bench = new Bench({ metrics });
  bench.script(1, { mute: true });
  for (let done = 0; done < 60; done++) {
    using stream = await bench.path.dial({ host: "example.org", port: 443 });
    await stream.write(new Uint8Array(1));
    await stream.read(new Uint8Array(1));
  }
  const report = bench.path.report();
  const [a, b] = report.sides;
  assertEquals([a!.unanswered, a!.success.hits, a!.success.total], [0, 30, 30]);
  assertEquals([b!.unanswered, b!.success.hits, b!.success.total], [b!.opened, 0, b!.drawn]);
  assertEquals(found(report, "success"), "first_is_better");
  const text = await metrics.text();
  assert(text.includes(`split_unanswered_streams_total{side="b"} ${b!.opened}`), text);
});

Deno.test("when the side that a stream is drawn for is down and the other fails, it is tried after all", async () => {
  using bench = new Bench({ health: { failuresToDown: 1 } });
  for (const side of [0, 1] as const) bench.script(side, { fail: "path_down" });
  assertEquals(await bench.dial(4), 0);
  const isUp = bench.path.members().map(({ up }) => up);
  bench.script(0, {});
  const before = bench.path.report().sides;
  assertEquals([isUp, await bench.dial(10)], [[false, false], 10]);
  const [a, b] = bench.path.report().sides;
  const more = (what: "opened" | "failed" | "tookOver") => [a![what] - before[0]![what], b![what] - before[1]![what]];
  // What was drawn for a went by a: neither its failure nor another's stream.
  assertEquals([more("opened"), more("failed"), more("tookOver")], [[5, 0], [0, 5], [5, 0]]);
});

Deno.test("an answer of the target is nobody's failure, and who does not wait is counted by itself", async () => {
  using bench = new Bench();
  for (const side of [0, 1] as const) bench.script(side, { fail: "refused" });
  assertEquals(await bench.dial(10), 0);
  for (const side of [0, 1] as const) bench.script(side, { afterMs: 5000 });
  const waiting = new AbortController();
  const dialling = bench.path.dial({ host: "example.org", port: 1 }, { signal: waiting.signal });
  await bench.clock.advanceAsync(10);
  waiting.abort(new Error("too slow"));
  await assertRejects(() => dialling, Error, "too slow");
  const { sides } = bench.path.report();
  assertEquals(sides.map(({ declined, failed, success }) => [declined, failed, success.total]), [[5, 0, 0], [5, 0, 0]]);
  assertEquals(sides[0]!.abandoned + sides[1]!.abandoned, 1);
});

Deno.test("the slower side is told apart by its dials, and nothing is said of sides that are alike", async () => {
  using bench = new Bench();
  assertEquals(found(bench.path.report(), "dialMs"), "few");
  bench.script(0, { afterMs: 30 });
  bench.script(1, { afterMs: 10 });
  await bench.dial(60);
  const report = bench.path.report();
  assertEquals([found(report, "dialMs"), found(report, "success"), found(report, "bytesPerS")], [
    "other_is_better",
    "same",
    "few",
  ]);
  assertAlmostEquals(report.sides[0]!.dialMs.p50!, 30, 10);
});

Deno.test("sticky: a host has one side, hosts are spread, and no order of dials changes that", async () => {
  using bench = new Bench({ sticky: true });
  const hosts = Array.from({ length: 40 }, (_, at) => `host-${at}.example`);
  for (const host of [...hosts, ...hosts.toReversed().map((host) => host.toUpperCase())]) await bench.dial(1, host);
  const [a, b] = bench.sides.map(({ targets }) => new Set(targets.map(({ host }) => host.toLowerCase())));
  assertEquals(a!.intersection(b!).size, 0);
  assert(a!.size > 8 && b!.size > 8, `${a!.size} and ${b!.size}`);
  assertEquals(a!.size + b!.size, 40);
});

Deno.test("metrics count by side", async () => {
  const metrics = createMetrics();
  using bench = new Bench({ metrics });
  bench.script(1, { fail: "path_down" });
  await bench.dial(4);
  const text = await metrics.text();
  assert(text.includes('split_dials_total{side="a",result="opened"} 2'), text);
  assert(text.includes('split_dials_total{side="b",result="failed"} 2'), text);
  assert(text.includes('split_dials_total{side="a",result="took_over"} 2'), text);
});

/** A measured stream, its far end, and what it has told. */
function measured(capacityBytes?: number) {
  const clock = new FakeClock();
  const [near, far] = memoryStreamPair(capacityBytes);
  const told: CarriedStream[] = [];
  return { clock, far, told, stream: new MeasuredStream(near, clock, (carried) => void told.push(carried)) };
}

Deno.test("a stream's first byte and speed are taken from when bytes came, and told once", async () => {
  const { clock, far, told, stream } = measured(1_000_000);
  const into = new Uint8Array(500_000);
  clock.advance(5000); // nobody has asked for anything yet
  await stream.write(new Uint8Array(10));
  clock.advance(40);
  await far.write(new Uint8Array(1000));
  assertEquals(await stream.read(into), 1000);
  for (let part = 0; part < 4; part++) {
    clock.advance(240);
    await far.write(new Uint8Array(249_750));
    assertEquals(await stream.read(into), 249_750);
  }
  clock.advance(60_000);
  await far.closeWrite();
  assertEquals(await stream.read(into), null);
  stream.close();
  stream.abort!();
  const carried = { sentBytes: 10, receivedBytes: 1_000_000, firstByteMs: 40, bytesPerS: 1_000_000 };
  assertEquals(told, [{ ...carried, isBroken: false, isUnanswered: false }]);
});

Deno.test("a stream that is cut has broken; one that we close or cut has not", async () => {
  for (const who of ["far", "abort", "close"] as const) {
    const { far, told, stream } = measured();
    const reading = stream.read(new Uint8Array(1)).catch((error) => error);
    if (who === "far") {
      far.abort();
      await reading;
      stream.close();
    } else {
      stream[who]!();
      far.close();
      await reading;
    }
    assertEquals(told.map(({ isBroken }) => isBroken), [who === "far"], who);
  }
});

Deno.test("where the far side speaks first there is no first byte to time, and of little no speed", async () => {
  const { clock, far, told, stream } = measured();
  await far.write(new Uint8Array(1000));
  await stream.read(new Uint8Array(500));
  clock.advance(5);
  await stream.write(new Uint8Array(1));
  await stream.read(new Uint8Array(500));
  stream.close();
  assertEquals(told, [{ sentBytes: 1, receivedBytes: 1000, isBroken: false, isUnanswered: false }]);
});

Deno.test("a dial through a split that was closed says so", async () => {
  using bench = new Bench();
  bench.path.close();
  await assertRejects(() => bench.path.dial({ host: "example.org", port: 1 }), DialError, "closed");
});
