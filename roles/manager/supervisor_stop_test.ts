import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { settle } from "../../testing/fake_clock.ts";
import { fakeService } from "./fixtures/fake_service.ts";
import { World } from "./fixtures/supervisor_world.ts";

Deno.test("a stop of all that is cut short kills what still runs at once, and leaves when that is swept", async () => {
  await using world = await new World(fakeService("web"), fakeService("quick")).run();
  world.runner.stubborn.add("web");
  const hard = new AbortController();
  const stopped = world.supervisor.stopAll(hard.signal);
  await world.pass(5_000);
  assertEquals([world.state("web"), world.state("quick")], ["stopping", "stopped"]);
  hard.abort(new Error("the process ends now"));
  assertEquals(world.runner.processOf("web"), undefined, "it is killed before the abort returns");
  await world.clock.runUntil(stopped, 3_000);
  assertEquals(world.state("web"), "stopped");
});

Deno.test("what cannot be swept after it was killed keeps nobody waiting", async () => {
  await using world = await new World(fakeService("web")).run();
  world.runner.stubborn.add("web");
  const sweep = Promise.withResolvers<void>();
  world.runner.sweeps.set("web", sweep.promise);
  const hard = new AbortController();
  const stopped = world.supervisor.stopAll(hard.signal);
  hard.abort(new Error("the process ends now"));
  await world.clock.runUntil(stopped, 3_000);
  sweep.resolve();
});

Deno.test("while all are being stopped nothing is started, and files are not read", async () => {
  await using world = await new World(fakeService("web"), fakeService("slow")).run();
  world.runner.stubborn.add("slow");
  const stopped = world.supervisor.stopAll(new AbortController().signal);
  await settle();
  const refusals = [
    assertThrows(() => world.supervisor.start("web"), CulvertError),
    assertThrows(() => world.supervisor.restart("slow"), CulvertError),
    await assertRejects(() => world.supervisor.reload(), CulvertError),
  ];
  assertEquals(refusals.map(({ code }) => code), ["stopping", "stopping", "stopping"]);
  await world.clock.runUntil(stopped, 31_000);
  assert(world.runner.told.every((line) => !line.includes("start")), world.runner.told.join());
});

Deno.test("what a load under way still brings is stopped too", async () => {
  await using world = await new World(fakeService("web")).run();
  const reading = Promise.withResolvers<void>();
  world.reading = reading.promise;
  world.write(fakeService("web"), fakeService("new"), fakeService("found"));
  const reloaded = world.supervisor.reload();
  await settle();
  const stopped = world.supervisor.stopAll(new AbortController().signal);
  world.runner.runs("found");
  reading.resolve();
  await reloaded;
  await world.clock.runUntil(stopped, 31_000);
  assertEquals(["web", "new", "found"].map((name) => world.state(name)), ["stopped", "stopped", "stopped"]);
  assertEquals(world.runner.processOf("found"), undefined);
  assert(world.runner.told.every((line) => !line.includes("start")), world.runner.told.join());
});

Deno.test("what runs without a service file is told until it has one", async () => {
  await using world = new World(fakeService("web"));
  world.unclaimed.push("web", "lost");
  await world.begin();
  assertEquals(world.supervisor.report().problems, ["lost runs"]);
  world.write(fakeService("web"), fakeService("lost"));
  await world.supervisor.reload();
  assertEquals(world.supervisor.report().problems, []);
});

Deno.test("what was stopped by hand or given up stays so under the next manager, until it is started", async () => {
  await using world = await new World(fakeService("web"), fakeService("dead", { watchdog: { maxRestarts: 0 } })).run();
  world.supervisor.stop("web");
  world.runner.crash("dead");
  await settle();
  assertEquals(Object.fromEntries(world.resting), {
    web: { gaveUp: false },
    dead: { gaveUp: true, reason: "It ended by itself: exit code 1" },
  });
  await using next = new World(fakeService("web"), fakeService("dead"), fakeService("other"));
  for (const [name, resting] of world.resting) next.resting.set(name, resting);
  await next.begin();
  assertEquals(["web", "dead", "other"].map((name) => next.state(name)), ["stopped", "stopped", "starting"]);
  assertEquals([next.of("dead").gaveUp, next.of("dead").reason], [true, "It ended by itself: exit code 1"]);
  next.supervisor.start("web");
  next.supervisor.start("dead");
  await next.pass(3_000);
  assertEquals([next.state("web"), next.state("dead"), next.of("dead").gaveUp], ["running", "running", false]);
  assertEquals(next.resting.size, 0);
});

Deno.test("the manager's own stop is nobody's wish that a service stays stopped, and what runs was not stopped", async () => {
  await using world = await new World(fakeService("web")).run();
  await world.clock.runUntil(world.supervisor.stopAll(new AbortController().signal), 31_000);
  assertEquals(world.resting.size, 0);
  await using next = new World(fakeService("web"));
  next.resting.set("web", { gaveUp: true });
  next.runner.runs("web");
  await next.begin();
  assertEquals([next.state("web"), next.of("web").gaveUp, next.resting.size], ["running", false, 0]);
});
