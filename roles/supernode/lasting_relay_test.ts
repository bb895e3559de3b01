import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { FakeRelay } from "../fixtures/fake_relay.ts";
import { LastingRelay, type Relay } from "./lasting_relay.ts";

const KEY = new Uint8Array(32);
const SESSION = { sessionId: "one", clientKey: KEY, exitKey: KEY };

/** Relays that a test can end, in the order in which they were started. */
class Started {
  readonly relays: (FakeRelay & Relay)[] = [];
  readonly ends: ((error?: Error) => void)[] = [];
  failures = 0;

  readonly start = (onLearned: LastingRelay["onLearned"]): Promise<Relay> => {
    if (this.failures > 0) {
      this.failures--;
      return Promise.reject(new Error("no room"));
    }
    const { promise: ended, resolve } = Promise.withResolvers<Error | undefined>();
    const relay = Object.assign(new FakeRelay(), {
      ended,
      close() {
        resolve(undefined);
        return Promise.resolve();
      },
    });
    relay.onLearned = onLearned;
    this.relays.push(relay);
    this.ends.push(resolve);
    return Promise.resolve(relay);
  };
}

function startLasting(started: Started, clock: FakeClock): Promise<LastingRelay> {
  const { start } = started;
  return LastingRelay.start({ portCount: 100, start, clock, random: new SeededRandom(1), log: silentLog });
}

Deno.test("what cannot be started is not", async () => {
  const started = new Started();
  started.failures = 1;
  await assertRejects(() => startLasting(started, new FakeClock()), Error, "no room");
});

Deno.test("a relay that ends by itself is started again, as often as it takes, and whoever uses it is told", async () => {
  const clock = new FakeClock();
  const started = new Started();
  const relay = await startLasting(started, clock);
  let resets = 0;
  relay.onReset = () => resets++;
  assertEquals([await relay.open(SESSION), relay.problem], [40_000, undefined]);
  started.failures = 2;
  started.ends[0]!(new Error("it broke"));
  await settle();
  assertEquals(relay.problem, "The relay has ended, and is being started again");
  assertEquals((await assertRejects(() => relay.open(SESSION), CulvertError)).code, "no_relay");
  await relay.end("one");
  assertEquals(await relay.counts(), []);
  await clock.advanceAsync(10_000);
  assertEquals([resets, started.relays.length, relay.problem], [1, 2, undefined]);
  const learned: string[] = [];
  relay.onLearned = (sessionId, side) => learned.push(`${sessionId} ${side}`);
  await relay.open(SESSION);
  started.relays[1]!.learn("one", "exit", { address: new Uint8Array(4), port: 1 });
  assertEquals(learned, ["one exit"]);
  await relay[Symbol.asyncDispose]();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("it can be closed while it is being started again", async () => {
  const clock = new FakeClock();
  const started = new Started();
  const relay = await startLasting(started, clock);
  started.failures = 100;
  started.ends[0]!(new Error("it broke"));
  await clock.advanceAsync(5_000);
  await relay[Symbol.asyncDispose]();
  assertEquals([clock.pendingTimers, started.relays.length], [0, 1]);
});
