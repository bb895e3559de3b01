import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { CulvertError, DialError, type DialFailure } from "../protocol/errors.ts";
import type { Path, Target } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { type Script, ScriptedPath } from "../testing/scripted_path.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import {
  balance,
  type CombinedPath,
  type CombineOptions,
  failover,
  type Member,
  type MemberStatus,
  race,
  type RaceOptions,
  split,
} from "./combine.ts";
import { memoryStreamPair } from "./memory.ts";

const TARGET: Target = { host: "example.org", port: 443 };
const COMBINATORS = { failover, balance, race, split };

/** Members named a, b, c… over scripted paths, combined, with everything closed and counted at the end. */
class Bench implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly paths: ScriptedPath[];
  readonly changes: string[] = [];
  readonly path: CombinedPath;

  constructor(
    combine: (members: readonly Member[], options: RaceOptions) => CombinedPath,
    setup: { members?: number; seed?: number; weights?: number[]; datagrams?: boolean[] } & Partial<RaceOptions> = {},
  ) {
    const { members = 2, seed = 1, weights, datagrams, ...options } = setup;
    this.paths = Array.from(
      { length: members },
      (_, at) => new ScriptedPath(this.clock, { datagrams: datagrams?.[at] ?? false }),
    );
    const onChange = ({ name, up }: MemberStatus) => void this.changes.push(`${name} ${up ? "up" : "down"}`);
    this.path = combine(
      this.paths.map((path, at) => ({ name: "abcdefgh"[at]!, path, weight: weights?.[at] ?? 1 })),
      { clock: this.clock, random: new SeededRandom(seed), onChange, ...options },
    );
  }

  script(at: number, script: Script): void {
    this.paths[at]!.script = script;
  }

  /** Dials, letting time pass until it settles; gives the letter of the member that the stream went through. */
  async dialAndClose(signal?: AbortSignal): Promise<string> {
    const before = this.paths.map(({ openStreams }) => openStreams);
    using _stream = await this.settle(this.path.dial(TARGET, signal ? { signal } : {}));
    return "abcdefgh"[this.paths.findIndex(({ openStreams }, at) => openStreams > before[at]!)]!;
  }

  /** Lets time pass, in small steps, until the promise settles. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => void (settled = true);
    promise.then(done, done);
    for (let step = 0; step < 10_000 && !settled; step++) await this.clock.advanceAsync(settled || step === 0 ? 0 : 10);
    return await promise;
  }

  get open(): number {
    return this.paths.reduce((sum, { openStreams }) => sum + openStreams, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.path.close();
    await this.clock.advanceAsync(0); // a probe that was under way frees its timer once it has heard of it
    assertEquals(this.clock.pendingTimers, 0, "timers leaked");
    assertEquals(this.open, 0, "streams leaked");
    assert(this.paths.every(({ isClosed }) => isClosed), "a member was not closed");
  }
}

const MEMBER_FAULTS: DialFailure[] = ["path_down", "timeout", "busy", "unauthorized", "failed"];
const ANSWERS: DialFailure[] = ["refused", "denied", "unresolved"];
const LIMITS: DialFailure[] = ["unsupported", "network_unreachable", "host_unreachable"];

for (const [name, combine] of Object.entries(COMBINATORS)) {
  Deno.test(`${name}: a member's failure costs the caller nothing but time`, async () => {
    for (const fail of [...MEMBER_FAULTS, ...LIMITS]) {
      await using bench = new Bench(combine);
      bench.script(0, { fail });
      for (let round = 0; round < 10; round++) assertEquals(await bench.dialAndClose(), "b", fail);
    }
  });

  Deno.test(`${name}: a member that hangs is given up and another tried`, async () => {
    await using bench = new Bench(combine, { dialTimeoutMs: 1000 });
    bench.script(0, { afterMs: Infinity });
    for (let round = 0; round < 6; round++) assertEquals(await bench.dialAndClose(), "b");
    assertEquals(bench.open, 0);
  });

  Deno.test(`${name}: the far side's answer is not held against the member`, async () => {
    for (const fail of [...ANSWERS, ...LIMITS]) {
      await using bench = new Bench(combine, { probe: false });
      bench.script(0, { fail });
      bench.script(1, { fail });
      for (let round = 0; round < 6; round++) {
        const error = await assertRejects(() => bench.dialAndClose(), DialError);
        assertEquals(error.code, fail);
      }
      assert(bench.path.members().every(({ up }) => up), fail);
    }
  });

  Deno.test(`${name}: when all are down every one is tried all the same, and the error names each one's failure`, async () => {
    await using bench = new Bench(combine, { members: 3, probe: false, health: { failuresToDown: 1 } });
    for (const at of [0, 1, 2]) bench.script(at, { fail: at === 1 ? "busy" : "path_down" });
    for (let round = 0; round < 2; round++) {
      const error = await assertRejects(
        () => bench.dialAndClose(),
        DialError,
        "Cannot dial: every path",
      );
      assert(!error.message.includes(TARGET.host), error.message);
      for (const part of ["a: scripted path_down", "b: scripted busy", "c: scripted path_down"]) {
        assertStringIncludes(error.message, part);
      }
    }
    assert(bench.path.members().every(({ up }) => !up));
    bench.script(2, {});
    assertEquals(await bench.dialAndClose(), "c");
  });

  Deno.test(`${name}: an abort is answered at once, is nobody's fault, and what opens later is closed`, async () => {
    await using bench = new Bench(combine, { probe: false, health: { failuresToDown: 1 } });
    for (const at of [0, 1]) bench.script(at, { afterMs: 5000, deaf: true });
    const controller = new AbortController();
    const dialling = bench.path.dial(TARGET, { signal: controller.signal });
    await bench.clock.advanceAsync(400);
    controller.abort(new Error("changed my mind"));
    await assertRejects(() => dialling, Error, "changed my mind");
    await bench.clock.advanceAsync(60_000);
    assertEquals(bench.open, 0);
    assert(bench.paths.some(({ opened }) => opened > 0), "the deaf member did open a stream");
    assert(bench.path.members().every(({ up }) => up));
    await assertRejects(
      () => bench.path.dial(TARGET, { signal: AbortSignal.abort(new Error("too late")) }),
      Error,
      "too late",
    );
  });

  Deno.test(`${name}: closing ends dials and probes under way, and closes what they open later`, async () => {
    const bench = new Bench(combine);
    for (const at of [0, 1]) bench.script(at, { afterMs: 3000, deaf: true });
    const dialling = bench.path.dial(TARGET);
    const refused = assertRejects(() => dialling, DialError, "the path is closed");
    await bench.clock.advanceAsync(1500); // both members' first probes are under way too
    bench.path.close();
    bench.path.close();
    await refused;
    await bench.clock.advanceAsync(10_000);
    assertEquals(bench.open, 0);
    assertEquals(bench.clock.pendingTimers, 0);
    const error = await assertRejects(() => bench.path.dial(TARGET), DialError, "the path is closed");
    assertEquals(error.code, "path_down");
  });

  Deno.test(`${name}: probes alone find a dead member and its return`, async () => {
    await using bench = new Bench(combine);
    await bench.clock.advanceAsync(60_000);
    assertEquals(bench.changes, []);
    bench.script(0, { fail: "path_down" });
    await bench.clock.advanceAsync(30_000);
    assertEquals(bench.changes, ["a down"]);
    assertEquals(bench.path.members()[0]!.lastFailure, "path_down");
    bench.script(0, { afterMs: 40 });
    await bench.clock.advanceAsync(35_000);
    assertEquals(bench.changes, ["a down", "a up"]);
    assertAlmostEquals(bench.path.members()[0]!.latencyMs!, 40, 40);
    assertEquals(bench.open, 0);
  });

  Deno.test(`${name}: with at least one good member every dial succeeds, whatever the others do`, async () => {
    for (const seed of [1, 2, 3]) {
      await using bench = new Bench(combine, { members: 3, seed, dialTimeoutMs: 2000 });
      const chaos = new SeededRandom(seed + 100);
      const pick = <T>(from: readonly T[]) => from[Math.floor(chaos.next() * from.length)]!;
      const bad = (): Script =>
        pick([{ fail: pick(MEMBER_FAULTS) }, { afterMs: Infinity }, { fail: "busy", afterMs: 700 }]);
      const slow = (): Script => ({ afterMs: pick([0, 20, 900]), deaf: chaos.next() < 0.3 });
      let good = 0;
      for (let round = 0; round < 120; round++) {
        if (round % 10 === 0) good = Math.floor(chaos.next() * 3);
        for (const at of [0, 1, 2]) {
          if (at === good) bench.script(at, slow());
          else if (chaos.next() < 0.3) bench.script(at, chaos.next() < 0.5 ? bad() : slow());
        }
        await bench.dialAndClose();
        await bench.clock.advanceAsync(chaos.next() * 20_000);
      }
      for (const at of [0, 1, 2]) bench.script(at, {});
      await bench.clock.advanceAsync(60_000);
      assertEquals(bench.open, 0, `seed ${seed}`);
    }
  });
}

Deno.test("failover: the first member is used while it is up", async () => {
  await using bench = new Bench(failover, { members: 3 });
  for (let round = 0; round < 20; round++) {
    assertEquals(await bench.dialAndClose(), "a");
    await bench.clock.advanceAsync(1000);
  }
  assertEquals(bench.path.members().map(({ openStreams }) => openStreams), [undefined, undefined, undefined]);
});

Deno.test("failover: a down member is not tried first, and is returned to once it has been up for a while", async () => {
  await using bench = new Bench(failover, { health: { settleMs: 20_000 } });
  bench.script(0, { fail: "path_down" });
  await bench.clock.advanceAsync(30_000);
  const dialsBefore = bench.paths[0]!.targets.filter(({ port }) => port === 443).length;
  assertEquals(await bench.dialAndClose(), "b");
  assertEquals(bench.paths[0]!.targets.filter(({ port }) => port === 443).length, dialsBefore);
  bench.script(0, {});
  while (!bench.changes.includes("a up")) await bench.clock.advanceAsync(100);
  assertEquals(await bench.dialAndClose(), "b");
  await bench.clock.advanceAsync(19_000);
  assertEquals(await bench.dialAndClose(), "b");
  await bench.clock.advanceAsync(1_100);
  assertEquals(await bench.dialAndClose(), "a");
});

Deno.test("failover: one that came back lately is used before one that is down", async () => {
  await using bench = new Bench(failover);
  bench.script(0, { fail: "path_down" });
  await bench.clock.advanceAsync(30_000);
  bench.script(0, {});
  bench.script(1, { fail: "path_down" });
  while (bench.changes.length < 3) await bench.clock.advanceAsync(100);
  assertEquals(bench.changes.toSorted(), ["a down", "a up", "b down"]);
  assertEquals(await bench.dialAndClose(), "a");
});

Deno.test("failover: a first member that comes and goes moves traffic at most once per settling time", async () => {
  await using bench = new Bench(failover, { health: { settleMs: 30_000 } });
  let moves = 0;
  let last = "a";
  const hourMs = 3_600_000;
  for (let nowMs = 0, up = true; nowMs < hourMs; nowMs += 2000) {
    if (nowMs % 14_000 === 0) {
      up = !up;
      bench.script(0, up ? {} : { fail: "path_down" });
    }
    const used = await bench.dialAndClose();
    if (used !== last) moves++;
    last = used;
    await bench.clock.advanceAsync(2000);
  }
  assert(moves <= 2 * hourMs / 30_000, `${moves} moves`);
  assert(moves <= 3, `${moves} moves: up for 14 s at a time, it never settles`);
});

Deno.test("failover: a far target that never answers does not take healthy members down", async () => {
  await using bench = new Bench(failover, { dialTimeoutMs: 1000, probe: () => Promise.resolve() });
  for (const at of [0, 1]) bench.script(at, { afterMs: Infinity });
  const dials = Array.from({ length: 5 }, () => bench.path.dial(TARGET));
  for (const result of await bench.settle(Promise.allSettled(dials))) {
    assertEquals(result.status === "rejected" && result.reason.code, "timeout");
  }
  assertEquals(bench.changes, []);
});

Deno.test("failover: without probes a timeout counts, since nothing else can tell", async () => {
  await using bench = new Bench(failover, { dialTimeoutMs: 1000, probe: false });
  bench.script(0, { afterMs: Infinity });
  for (let round = 0; round < 2; round++) await bench.dialAndClose();
  assertEquals(bench.changes, ["a down"]);
});

Deno.test("a timeout brings the probe that decides forward", async () => {
  await using bench = new Bench(failover, {
    dialTimeoutMs: 1000,
    probeTimeoutMs: 1000,
    health: { probeEveryMs: 600_000 },
  });
  await bench.clock.advanceAsync(2000);
  bench.script(0, { afterMs: Infinity });
  await bench.dialAndClose();
  await bench.clock.advanceAsync(5000);
  assertEquals(bench.changes, ["a down"]);
});

for (const [name, combine] of Object.entries(COMBINATORS)) {
  Deno.test(`${name}: streams that end unanswered bring the probe that decides forward`, async () => {
    await using bench = new Bench(combine, { members: 1, health: { probeEveryMs: 600_000 } });
    await bench.clock.advanceAsync(2000);
    bench.script(0, { mute: true });
    using stream = await bench.settle(bench.path.dial(TARGET));
    await bench.clock.advanceAsync(20_000);
    assertEquals(bench.changes, [], "nothing was sent yet");
    await stream.write(new Uint8Array(1));
    assertEquals(await stream.read(new Uint8Array(1)), null);
    await bench.clock.advanceAsync(20_000);
    assertEquals(bench.changes, ["a down"]);
    assertEquals(bench.path.members()[0]!.lastFailure, "failed");
  });
}

Deno.test("failover: a stream that was answered, or that we end, is no hint", async () => {
  await using bench = new Bench(failover, { probe: false, health: { failuresToDown: 1 } });
  for (const mute of [false, true]) {
    bench.script(0, { mute });
    using stream = await bench.settle(bench.path.dial(TARGET));
    await stream.write(new Uint8Array(1));
    if (!mute) await stream.read(new Uint8Array(1));
    stream.close();
    await stream.read(new Uint8Array(1)).catch(() => {});
  }
  assertEquals(bench.changes, []);
});

Deno.test("the default probe fails when the stream opens but nothing comes back", async () => {
  const clock = new FakeClock();
  const mute: Path = {
    dial: () => {
      let wake = () => {};
      return Promise.resolve({
        read: () => new Promise((resolve) => wake = () => resolve(null)),
        write: (from: Uint8Array) => Promise.resolve(from.length),
        closeWrite: () => Promise.resolve(),
        close: () => wake(),
        [Symbol.dispose]() {
          this.close();
        },
      });
    },
    close() {},
    [Symbol.dispose]() {},
  };
  using path = failover([{ name: "mute", path: mute }], { clock, random: new SeededRandom(1) });
  await clock.advanceAsync(20_000);
  const [status] = path.members();
  assertEquals([status?.up, status?.lastFailure], [false, "timeout"]);
});

Deno.test("a probe that is answered with a refusal shows that the data path works", async () => {
  for (const fail of ANSWERS) {
    await using bench = new Bench(failover);
    bench.script(0, { fail });
    await bench.clock.advanceAsync(120_000);
    assertEquals(bench.changes, []);
    assert(bench.path.members()[0]!.latencyMs !== undefined);
  }
});

Deno.test("balance: idle members share by weight", async () => {
  await using bench = new Bench(balance, { members: 3, weights: [1, 2, 5], probe: false });
  const counts = { a: 0, b: 0, c: 0 };
  for (let round = 0; round < 1600; round++) counts[await bench.dialAndClose() as "a" | "b" | "c"]++;
  assertAlmostEquals(counts.a, 200, 60);
  assertAlmostEquals(counts.b, 400, 80);
  assertAlmostEquals(counts.c, 1000, 90);
});

Deno.test("balance: streams that stay open spread evenly by weight", async () => {
  await using bench = new Bench(balance, { weights: [1, 3], probe: false });
  const streams = [];
  for (let round = 0; round < 200; round++) streams.push(await bench.path.dial(TARGET));
  const [a, b] = bench.path.members();
  assertEquals(a!.openStreams! + b!.openStreams!, 200);
  assertAlmostEquals(a!.openStreams!, 50, 12);
  for (const stream of streams) {
    stream.close();
    stream.close();
  }
  assertEquals(bench.path.members().map(({ openStreams }) => openStreams), [0, 0]);
  assertEquals(bench.open, 0);
});

Deno.test("balance: a member with more latency gets fewer streams", async () => {
  await using bench = new Bench(balance);
  bench.script(0, { afterMs: 10 });
  bench.script(1, { afterMs: 100 });
  await bench.clock.advanceAsync(30_000);
  const streams = [];
  for (let round = 0; round < 110; round++) streams.push(await bench.settle(bench.path.dial(TARGET)));
  const [a, b] = bench.path.members().map(({ openStreams }) => openStreams!);
  assert(a! > 2 * b!, `${a} against ${b}`);
  for (const stream of streams) stream.close();
});

Deno.test("balance: a down member gets nothing, and its share again once it is back", async () => {
  await using bench = new Bench(balance);
  bench.script(1, { fail: "path_down" });
  await bench.clock.advanceAsync(30_000);
  const dials = () => bench.paths[1]!.targets.filter(({ port }) => port === 443).length;
  for (let round = 0; round < 50; round++) await bench.dialAndClose();
  assertEquals(dials(), 0);
  bench.script(1, {});
  await bench.clock.advanceAsync(60_000);
  for (let round = 0; round < 50; round++) await bench.dialAndClose();
  assert(dials() > 10);
});

Deno.test("balance: the stream it gives reads, writes and ends like the member's own", async () => {
  await using bench = new Bench(balance);
  using stream = await bench.path.dial(TARGET);
  assertEquals(await stream.write(new Uint8Array(3)), 3);
  assertEquals(await stream.read(new Uint8Array(3)), 1);
  await stream.closeWrite();
  stream.close();
  await assertRejects(() => stream.read(new Uint8Array(1)), CulvertError);
});

Deno.test("balance: a cut reaches the member's stream where it knows one, and frees its place once", async () => {
  const [near, far] = memoryStreamPair();
  const [bare] = memoryStreamPair();
  bare.abort = undefined!;
  const given = [near, bare];
  const path: Path = { dial: () => Promise.resolve(given.shift()!), close() {}, [Symbol.dispose]() {} };
  const options: CombineOptions = { clock: new FakeClock(), random: new SeededRandom(1), probe: false };
  using combined = balance([{ name: "a", path }], options);
  const cut = await combined.dial(TARGET);
  cut.abort!();
  cut.close();
  await assertRejects(() => far.read(new Uint8Array(1)), CulvertError, "cut");
  const plain = await combined.dial(TARGET);
  assertEquals(plain.abort, undefined);
  plain.close();
  assertEquals(combined.members()[0]!.openStreams, 0);
});

Deno.test("race: the far side's answer tells more than a broken way's failure, whichever comes last", async () => {
  await using bench = new Bench(race, { probe: false });
  bench.script(0, { fail: "refused" });
  bench.script(1, { fail: "path_down", afterMs: 50 });
  const error = await assertRejects(() => bench.dialAndClose(), DialError);
  assertEquals(error.code, "refused");
});

Deno.test("race: a good first member wins alone", async () => {
  await using bench = new Bench(race, { members: 3, probe: false });
  bench.script(0, { afterMs: 140 });
  assertEquals(await bench.dialAndClose(), "a");
  assertEquals(bench.paths.map(({ dials }) => dials), [1, 0, 0]);
});

Deno.test("race: a slow first member is overtaken, and its late stream is closed", async () => {
  await using bench = new Bench(race, { members: 3, probe: false });
  bench.script(0, { afterMs: 500, deaf: true });
  bench.script(1, { afterMs: 100 });
  const dialling = bench.path.dial(TARGET);
  await bench.clock.advanceAsync(149);
  assertEquals(bench.paths.map(({ dials }) => dials), [1, 0, 0]);
  await bench.clock.advanceAsync(101);
  using _stream = await dialling;
  assertEquals(bench.paths.map(({ dials }) => dials), [1, 1, 0]);
  await bench.clock.advanceAsync(1000);
  assertEquals(bench.paths.map(({ opened }) => opened), [1, 1, 0]);
  assertEquals(bench.open, 1);
  assert(bench.path.members().every(({ up }) => up), "losing is no fault");
});

Deno.test("race: two that succeed in the same instant leave one stream open", async () => {
  await using bench = new Bench(race, { staggerMs: 0, probe: false });
  for (const at of [0, 1]) bench.script(at, { afterMs: 50, deaf: true });
  const dialling = bench.path.dial(TARGET);
  await bench.clock.advanceAsync(0);
  bench.clock.advance(50); // both timers before any promise
  using _stream = await dialling;
  await bench.clock.advanceAsync(0);
  assertEquals(bench.paths.map(({ opened }) => opened), [1, 1]);
  assertEquals(bench.open, 1);
});

Deno.test("race: a failure starts the next at once", async () => {
  await using bench = new Bench(race, { members: 3, probe: false });
  bench.script(0, { fail: "path_down", afterMs: 10 });
  bench.script(1, { fail: "denied" });
  const dialling = bench.path.dial(TARGET);
  await bench.clock.advanceAsync(10);
  using _stream = await dialling;
  assertEquals(bench.paths.map(({ dials }) => dials), [1, 1, 1]);
  assertEquals(bench.clock.now(), 10);
});

Deno.test("race: no more run at once than the width allows, and all are tried in the end", async () => {
  await using bench = new Bench(race, { members: 4, width: 2, probe: false, dialTimeoutMs: 1000 });
  for (const at of [0, 1, 2]) bench.script(at, { afterMs: Infinity });
  const dialling = bench.path.dial(TARGET);
  await bench.clock.advanceAsync(999);
  assertEquals(bench.paths.map(({ dials }) => dials), [1, 1, 0, 0]);
  await bench.clock.advanceAsync(200);
  using _stream = await dialling;
  assertEquals(bench.paths.map(({ dials }) => dials), [1, 1, 1, 1]);
});

Deno.test("datagrams go through the best member that carries them", async () => {
  for (const combine of Object.values(COMBINATORS)) {
    await using bench = new Bench(combine, { members: 3, datagrams: [false, true, true], probe: false });
    using first = await bench.path.datagrams!();
    assertEquals(await first.receive(new Uint8Array(1)), null);
    assertEquals(bench.paths.map(({ opened }) => opened), [0, 1, 0]);
    bench.script(1, { fail: "path_down" });
    using _second = await bench.path.datagrams!();
    assertEquals(bench.paths.map(({ opened }) => opened), [0, 1, 1]);
  }
});

Deno.test("a combined path offers no datagrams when no member does", async () => {
  await using bench = new Bench(failover);
  assertEquals(bench.path.datagrams, undefined);
});

Deno.test("combined paths combine", async () => {
  const clock = new FakeClock();
  const options: CombineOptions = { clock, random: new SeededRandom(1), probe: false };
  const leaves = [0, 1, 2].map(() => new ScriptedPath(clock));
  leaves[0]!.script = leaves[1]!.script = { fail: "path_down" };
  const pair = race([{ name: "x", path: leaves[0]! }, { name: "y", path: leaves[1]! }], options);
  using path = failover([{ name: "pair", path: pair }, { name: "z", path: leaves[2]! }], options);
  using _stream = await path.dial(TARGET);
  assertEquals(leaves.map(({ opened }) => opened), [0, 0, 1]);
  path.close();
  assert(leaves.every(({ isClosed }) => isClosed));
});

Deno.test("what cannot be combined says why", () => {
  const clock = new FakeClock();
  const options = { clock, random: new SeededRandom(1) };
  const path = new ScriptedPath(clock);
  const rows: [() => unknown, string][] = [
    [() => failover([], options), "members must be at least one path, got none"],
    [() => failover([{ name: "", path }], options), 'name of a member must be given once and not empty, got ""'],
    [() => failover([{ name: "a", path }, { name: "a", path }], options), 'not empty, got "a"'],
    [() => balance([{ name: "a", path, weight: 0 }], options), 'weight of "a" must be above 0, got 0'],
    [() => race([{ name: "a", path }], { ...options, width: 0 }), "width must be a whole number from 1, got 0"],
    [() => race([{ name: "a", path }], { ...options, staggerMs: -1 }), "staggerMs must be a number from 0, got -1"],
    [() => failover([{ name: "a", path }], { ...options, dialTimeoutMs: 0 }), "dialTimeoutMs must be above 0, got 0"],
  ];
  for (const [make, message] of rows) assertThrows(make, CulvertError, message);
  assertEquals(clock.pendingTimers, 0);
});
