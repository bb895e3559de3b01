import { assertEquals } from "@std/assert";
import type { RelayRecord, RelayRegistration } from "../protocol/directory.ts";
import { silentLog } from "../protocol/log.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { RelayRegistrar } from "./relay_registration.ts";

class FakeBase {
  readonly told: RelayRegistration[] = [];
  isDown = false;

  registerRelay(registration: RelayRegistration): Promise<RelayRecord> {
    if (this.isDown) return Promise.reject(new Error("base is down"));
    this.told.push(registration);
    return Promise.resolve({ ...registration, registeredAtMs: 0, expiresAtMs: 60_000 });
  }
}

const lasting: Omit<RelayRegistration, "load"> = {
  relayId: "a".repeat(26),
  kind: "upstream",
  publicKey: "",
  sealingKey: "",
  sealingKeySignature: "",
  region: "local",
  url: "http://127.0.0.1:1",
  version: "0.1.0",
};

function run(base: FakeBase, clock: FakeClock, load: () => number): { registrar: RelayRegistrar } & AsyncDisposable {
  const stop = new AbortController();
  const registrar = new RelayRegistrar({
    directory: base,
    clock,
    random: new SeededRandom(2),
    log: silentLog,
    registration: () => ({ ...lasting, load: load() }),
  });
  const running = registrar.run(stop.signal);
  return {
    registrar,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

Deno.test("a relay is registered at once, and again before base forgets it, with what is then true", async () => {
  const [base, clock] = [new FakeBase(), new FakeClock()];
  let load = 0;
  await using running = run(base, clock, () => load);
  await clock.advanceAsync(0);
  assertEquals(base.told.map((each) => each.load), [0]);
  assertEquals(running.registrar.problem, undefined);
  load = 0.5;
  await clock.advanceAsync(20_000);
  assertEquals(base.told.map((each) => each.load), [0, 0.5]);
});

Deno.test("what matters to others is told soon, and not more often than twice a second", async () => {
  const [base, clock] = [new FakeBase(), new FakeClock()];
  await using running = run(base, clock, () => 1);
  await clock.advanceAsync(0);
  for (let turn = 0; turn < 100; turn++) {
    running.registrar.hurry();
    await clock.advanceAsync(10);
  }
  assertEquals(base.told.length, 3);
});

Deno.test("while base is away it is tried again, and the problem is known", async () => {
  const [base, clock] = [new FakeBase(), new FakeClock()];
  base.isDown = true;
  await using running = run(base, clock, () => 1);
  await clock.advanceAsync(5000);
  assertEquals(running.registrar.problem, "base is down");
  base.isDown = false;
  await clock.advanceAsync(20_000);
  assertEquals(base.told.length > 0, true);
  assertEquals(running.registrar.problem, undefined);
});
