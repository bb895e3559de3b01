import { assertEquals } from "@std/assert";
import { supernode } from "../../kv/fixtures/records.ts";
import { silentLog } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { BaseMembership } from "./base_membership.ts";

/** A membership that runs against a base played by the test. */
function setUp() {
  const clock = new FakeClock();
  const { status, ...registration } = supernode(1);
  const base = {
    told: [] as number[],
    exits: 0,
    registrations: 0,
    isDown: false,
    knows: true,
    /** What a call waits for. */
    before: Promise.resolve(),
  };
  const hear = async (what: number) => {
    await base.before;
    if (base.isDown) throw new Error("base is down");
    base.told.push(what);
  };
  const membership = new BaseMembership({
    directory: {
      register({ status }) {
        base.registrations++;
        return hear(status.exits).then(() => undefined as never);
      },
      heartbeat: ([heartbeat]) =>
        hear(heartbeat!.exits).then(() => ({
          unknown: base.knows ? [] : [heartbeat!.supernodeId],
          nextWithinMs: 10_000,
        })),
    },
    registration: () => registration,
    status: () => ({ ...status, exits: base.exits }),
    clock,
    random: randomOf(crypto),
    log: silentLog,
  });
  const stop = new AbortController();
  const running = membership.run(stop.signal);
  return {
    clock,
    base,
    membership,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

Deno.test("what changes while base is being told is told soon afterwards", async () => {
  await using rig = setUp();
  await settle();
  const { promise, resolve } = Promise.withResolvers<void>();
  rig.base.before = promise;
  await rig.clock.advanceAsync(10_000);
  rig.base.exits = 1;
  rig.membership.hurry();
  resolve();
  await rig.clock.advanceAsync(250);
  assertEquals(rig.base.told, [0, 0, 1]);
});

Deno.test("what is to be registered anew while a registration is under way is registered after it", async () => {
  await using rig = setUp();
  rig.membership.registerAnew();
  await rig.clock.advanceAsync(250);
  assertEquals(rig.base.registrations, 2);
});

Deno.test("however often exits come and go, base is told four times a second at most", async () => {
  await using rig = setUp();
  await settle();
  for (let turn = 0; turn < 100; turn++) {
    rig.membership.hurry();
    await rig.clock.advanceAsync(10);
  }
  assertEquals(rig.base.told.length, 5);
});

Deno.test("a supernode that base does not know any more registers again", async () => {
  await using rig = setUp();
  await settle();
  rig.base.knows = false;
  await rig.clock.advanceAsync(10_000);
  assertEquals(rig.base.told, [0, 0, 0]);
});

Deno.test("while base is down it says why, and tries again soon", async () => {
  await using rig = setUp();
  rig.base.isDown = true;
  await settle();
  assertEquals(rig.membership.problem, "base is down");
  rig.base.isDown = false;
  await rig.clock.advanceAsync(3_000);
  assertEquals([rig.membership.problem, rig.base.told], [undefined, [0]]);
});
