/**
 * How long a central keeps a session, on a clock of its own: the client's is the real one, so time passes here in steps
 * between which the two speak.
 */

import { assert, assertEquals } from "@std/assert";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Path, Stream } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually } from "../../testing/waiting.ts";
import { memoryStreamPair } from "../memory.ts";
import { CentralWorld } from "./fixtures/central_world.ts";
import { PlayedClient } from "./fixtures/played_client.ts";

const STEP_MS = 1000;

/** Keeps what is dialled, and says nothing there. */
class Quiet implements Path {
  readonly far: Stream[] = [];

  dial(): Promise<Stream> {
    const [near, far] = memoryStreamPair();
    this.far.push(far);
    return Promise.resolve(near);
  }

  close(): void {}
  [Symbol.dispose](): void {}
}

/** How often central has heard something. */
class Hearing {
  count = 0;
  readonly metrics: Metrics = {
    counter: (name) => ({ add: () => void (this.count += name === "central_messages_total" ? 1 : 0) }),
    gauge: () => ({ set() {}, add() {}, remove() {} }),
    histogram: () => ({ observe() {} }),
  };
}

interface Passing {
  readonly world: CentralWorld;
  readonly clock: FakeClock;
  /** The client is there: no more time passes before central has heard of it. */
  readonly hearing?: Hearing;
}

/** Lets so much of central's time pass, or less when the session has ended; gives how much. */
async function pass({ world, clock, hearing }: Passing, upToMs: number): Promise<number> {
  const isOver = () => world.central.sessionCount === 0;
  for (let passedMs = 0;; passedMs += STEP_MS) {
    if (passedMs >= upToMs || isOver()) return passedMs;
    const before = hearing?.count ?? -1;
    await clock.advanceAsync(STEP_MS);
    await eventually("a sign of the client", () => isOver() || (hearing?.count ?? 0) > before);
  }
}

Deno.test("a session without a stream ends when its time is over", async () => {
  const [clock, hearing] = [new FakeClock(Date.now()), new Hearing()];
  await using world = await CentralWorld.make(1, {
    clock,
    metrics: hearing.metrics,
    limits: { idleTimeoutMs: 40_000 },
  });
  await using _client = await PlayedClient.open(world);
  const passedMs = await pass({ world, clock, hearing }, 60_000);
  assert(passedMs >= 40_000 && passedMs <= 46_000, `${passedMs}`);
});

Deno.test("a session that was asked for, and of which nothing is heard again, ends soon", async () => {
  const clock = new FakeClock(Date.now());
  await using world = await CentralWorld.make(1, { clock });
  assert((await world.open()).ok);
  const passedMs = await pass({ world, clock }, 60_000);
  assert(passedMs >= 10_000 && passedMs <= 31_000, `${passedMs}`);
});

Deno.test("a session with a stream stays as long as its client is there, and ends some time after the stream", async () => {
  const [clock, hearing, onward] = [new FakeClock(Date.now()), new Hearing(), new Quiet()];
  const limits = { idleTimeoutMs: 20_000 };
  await using world = await CentralWorld.make(2, { clock, onward, limits, metrics: hearing.metrics });
  await using client = await PlayedClient.open(world);
  const stream = await client.path.dial({ host: "quiet.example", port: 1 });
  assertEquals([await pass({ world, clock, hearing }, 60_000), world.central.sessionCount], [60_000, 1]);
  stream.close();
  onward.far[0]!.close();
  await eventually("the end of the stream", () => world.central.streamCount === 0);
  const passedMs = await pass({ world, clock, hearing }, 60_000);
  assert(passedMs >= 20_000 && passedMs <= 35_000, `${passedMs}`);
});

Deno.test("a session whose client has vanished ends, with what it had dialled", async () => {
  const clock = new FakeClock(Date.now());
  const onward = new Quiet();
  await using world = await CentralWorld.make(2, { clock, onward });
  await using client = await PlayedClient.open(world);
  await client.path.dial({ host: "quiet.example", port: 1 });
  for (const relay of [...world.upstreams, ...world.downstreams]) client.blackHoles.add(relay);
  const passedMs = await pass({ world, clock }, 120_000);
  assert(passedMs >= 10_000 && passedMs <= 31_000, `${passedMs}`);
  assertEquals(await onward.far[0]!.read(new Uint8Array(1)).catch(() => null), null);
});

Deno.test("a session that nobody uses gives way when all places are taken, and its names are free", async () => {
  const clock = new FakeClock(Date.now());
  await using world = await CentralWorld.make(1, { clock, limits: { maxSessions: 1 } });
  const first = world.attempt();
  assert((await world.open(first)).ok);
  assert(!(await world.open()).ok);
  await clock.advanceAsync(10_001);
  const again = world.attempt({ secret: first.request.secret });
  assert(!(await world.open(again)).ok, "its name is still taken");
  assert((await world.open(world.attempt({ sentAtMs: clock.wallNow() }))).ok);
  assertEquals(world.central.sessionCount, 1);
  assert(!(await world.open(world.attempt({ secret: first.request.secret }))).ok, "the place is taken");
});
