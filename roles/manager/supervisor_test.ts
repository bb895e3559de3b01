import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { settle } from "../../testing/fake_clock.ts";
import { fakeService } from "./fixtures/fake_service.ts";
import { World } from "./fixtures/supervisor_world.ts";

Deno.test("what is enabled is started, verified after two seconds, and reported", async () => {
  await using world = await new World(fakeService("web"), fakeService("idle", { enabled: false })).begin();
  assertEquals([world.state("web"), world.state("idle")], ["starting", "stopped"]);
  await world.pass(1_999);
  assertEquals(world.state("web"), "starting");
  await world.pass(1);
  const { pid, backend, services } = world.supervisor.report();
  assertEquals([pid, backend, services.map(({ name }) => name)], [42, "own", ["idle", "web"]]);
  const web = services[1]!;
  assertEquals([web.state, web.health, web.pid, web.sinceMs], ["running", "healthy", 101, world.clock.wallNow()]);
  assertEquals(world.runner.told, ["0 start web"]);
});

Deno.test("a crash is seen at once, and the first restart comes five seconds after it", async () => {
  await using world = await new World(fakeService("web")).run();
  const crashedAtMs = world.clock.now();
  world.runner.crash("web", { signal: "SIGSEGV" });
  await settle();
  const { state, reason, lastExit, nextStartMs } = world.of("web");
  assertEquals([state, lastExit, reason], ["stopped", "SIGSEGV", "It ended by itself: SIGSEGV"]);
  assertEquals(nextStartMs, world.clock.wallNow() + 5_000);
  await world.pass(10_000);
  assertEquals(world.runner.told, [`${crashedAtMs} sweep web`, `${crashedAtMs + 5_000} start web`]);
  assertEquals([world.state("web"), world.of("web").restarts], ["running", 1]);
});

Deno.test("a slow sweep takes nothing away from the wait, and is waited for", async () => {
  await using world = await new World(fakeService("web"), fakeService("slow")).run();
  const brief = Promise.withResolvers<void>();
  const long = Promise.withResolvers<void>();
  world.runner.sweeps.set("web", brief.promise).set("slow", long.promise);
  world.runner.crash("web");
  world.runner.crash("slow");
  await world.pass(4_000);
  brief.resolve();
  await world.pass(1_000);
  assertEquals([world.state("web"), world.state("slow")], ["starting", "stopped"]);
  await world.pass(3_000);
  long.resolve();
  await settle();
  assertEquals(world.state("slow"), "starting");
});

Deno.test("what runs already is adopted and not restarted", async () => {
  await using world = new World(fakeService("web"));
  const { pid } = world.runner.runs("web");
  world.checks.failing.set("web", { level: "port", reason: "Nothing listens on 127.0.0.1:80" });
  await world.begin();
  assertEquals([world.state("web"), world.of("web").pid, world.of("web").health], ["running", pid, "unknown"]);
  await world.pass(25_000);
  world.checks.failing.clear();
  await world.pass(100_000);
  assertEquals([world.runner.told, world.of("web").health], [[], "healthy"]);
  world.runner.crash("web", {});
  await world.pass(5_000);
  assertEquals(world.of("web").reason, "It ended by itself: nobody saw how");
  assertEquals(world.state("web"), "starting");
});

Deno.test("a stop is SIGTERM, and SIGKILL thirty seconds later", async () => {
  await using world = await new World(fakeService("web")).run();
  world.runner.stubborn.add("web");
  const nowMs = world.clock.now();
  world.supervisor.stop("web");
  await world.pass(29_999);
  assertEquals(world.state("web"), "stopping");
  await world.pass(1);
  assertEquals(world.state("web"), "stopped");
  assertEquals(world.runner.told, [
    `${nowMs} SIGTERM web`,
    `${nowMs + 30_000} SIGKILL web`,
    `${nowMs + 30_000} sweep web`,
  ]);
  await world.pass(1_000_000);
  assertEquals(world.runner.told.length, 3);
});

Deno.test("no service waits for another", async () => {
  await using world = await new World(fakeService("a"), fakeService("b"), fakeService("c")).run();
  world.runner.stubborn.add("a");
  world.runner.starts.set("b", [new Promise(() => {})]);
  world.supervisor.restart("a");
  world.supervisor.restart("b");
  await settle();
  world.runner.crash("c");
  await world.pass(8_000);
  assertEquals(["a", "b", "c"].map((name) => world.state(name)), ["stopping", "starting", "running"]);
});

Deno.test("a port that another has taken is a failed start, and nothing is started", async () => {
  await using world = new World(fakeService("web"));
  world.checks.taken.set("web", "127.0.0.1:80 is taken by nginx (pid 7)");
  await world.begin();
  assertEquals([world.state("web"), world.of("web").reason], ["stopped", "127.0.0.1:80 is taken by nginx (pid 7)"]);
  world.checks.taken.clear();
  await world.pass(5_000);
  assertEquals(world.runner.told, ["5000 start web"]);
});

Deno.test("a program that cannot be started is told, tried again and given up; start begins afresh", async () => {
  await using world = new World(fakeService("web"));
  world.runner.starts.set("web", Array.from({ length: 6 }, () => new Error("there is no /usr/bin/web")));
  await world.begin();
  await world.pass(200_000);
  assertEquals(world.runner.told, [0, 5, 15, 35, 75, 155].map((s) => `${s * 1000} start web`));
  assertEquals([world.of("web").gaveUp, world.of("web").reason], [true, "there is no /usr/bin/web"]);
  assertEquals(world.alerts.map(({ event }) => event), ["restarting", "restarting", "restarting", "gave_up"]);
  assertEquals(world.alerts[3]!.atMs, world.clock.wallNow() - 45_000);
  world.supervisor.start("web");
  await world.pass(2_000);
  assertEquals([world.state("web"), world.of("web").gaveUp, world.of("web").recentRestarts], ["running", false, 0]);
});

Deno.test("a start lasts until its ports listen and it says that it is ready, or its time is over", async () => {
  await using world = new World(fakeService("web", { notifies: true }), fakeService("dead"));
  world.checks.lacking.set("web", "Nothing listens on 127.0.0.1:80").set("dead", "Nothing listens on 127.0.0.1:81");
  await world.begin();
  await world.pass(10_000);
  world.checks.lacking.delete("web");
  await world.pass(1_000);
  assertEquals(world.state("web"), "starting");
  world.runner.says("web", { readyAtMs: world.clock.now(), status: "all is well" });
  assertEquals(world.of("web").says, "all is well");
  await world.pass(250);
  assertEquals(world.state("web"), "running");
  await world.pass(20_000);
  assertEquals(world.of("dead").reason, "It did not start within 30 s: Nothing listens on 127.0.0.1:81");
  assert(world.runner.told.includes("30000 SIGTERM dead"));
});

Deno.test("a stop while its process is coming gives up on it", async () => {
  await using world = new World(fakeService("web"));
  const coming = Promise.withResolvers<void>();
  world.runner.starts.set("web", [coming.promise]);
  await world.begin();
  world.supervisor.stop("web");
  assertEquals(world.state("web"), "stopping");
  coming.resolve();
  await world.pass(0);
  assertEquals([world.state("web"), world.runner.processOf("web")], ["stopped", undefined]);
});

Deno.test("a failed check is confirmed after a second, then the service is restarted", async () => {
  await using world = await new World(fakeService("web")).run();
  world.checks.failing.set("web", { level: "end-to-end", reason: "No answer" });
  await world.pass(29_500);
  assertEquals([world.state("web"), world.of("web").health], ["running", "healthy"]);
  world.checks.failing.clear();
  await world.pass(30_000);
  assertEquals(world.runner.told, []);
  world.checks.failing.set("web", { level: "end-to-end", reason: "No answer" });
  await world.pass(2_000);
  assertEquals(world.of("web").reason, "No answer");
  assertEquals(world.runner.told.map((line) => line.replace(/^\d+ /, "")), ["SIGTERM web", "sweep web"]);
  world.checks.failing.clear();
  await world.pass(8_000);
  assertEquals([world.state("web"), world.of("web").health, world.of("web").reason], ["running", "healthy", undefined]);
});

Deno.test("a process that is gone without a word has crashed", async () => {
  await using world = await new World(fakeService("web")).run();
  world.runner.vanish("web");
  await world.pass(31_000);
  assertEquals([world.state("web"), world.runner.told.length], ["stopped", 1]);
  await world.pass(5_000);
  assertEquals(world.state("web"), "starting");
});

Deno.test("what no longer says that it is alive hangs", async () => {
  await using world = await new World(fakeService("web")).run();
  world.runner.says("web", { aliveAtMs: world.clock.now() });
  await world.pass(29_000);
  world.runner.says("web", { aliveAtMs: world.clock.now() });
  await world.pass(31_000);
  assertEquals(world.state("web"), "running");
  await world.pass(31_000);
  assertEquals(world.of("web").reason, "It hangs: it has not said that it is alive for 61 s");
  assert(world.runner.told[0]!.endsWith("SIGTERM web"));
});

Deno.test("a role of ours that hangs before it has ever said that it is alive is seen", async () => {
  await using world = await new World(fakeService("web", { role: "proxy", notifies: true })).begin();
  await world.pass(10_000);
  world.runner.says("web", { readyAtMs: world.clock.now() });
  await world.pass(29_000);
  assertEquals(world.state("web"), "running");
  await world.pass(3_000);
  assertEquals(world.of("web").reason, "It hangs: it has not said that it is alive for 31 s");
});

Deno.test("a role of ours that hung before it was adopted is seen, and one that speaks is left alone", async () => {
  const role = { role: "proxy", notifies: true };
  await using world = new World(
    fakeService("hung", role),
    fakeService("web", role),
    fakeService("other", { notifies: true }),
  );
  for (const name of ["hung", "web", "other"]) world.runner.runs(name);
  await world.begin();
  for (let beats = 0; beats < 5; beats++) {
    world.runner.says("web", { aliveAtMs: world.clock.now() });
    await world.pass(15_000);
  }
  assertEquals(world.of("hung").reason, "It hangs: it has not said that it is alive for 61 s");
  assertEquals([world.state("web"), world.state("other")], ["running", "running"]);
});

Deno.test("what cannot be looked at counts neither as started nor as failing", async () => {
  await using world = await new World(fakeService("web")).run();
  world.checks.isBlind = true;
  await world.pass(61_000);
  assertEquals([world.state("web"), world.of("web").health], ["running", "unknown"]);
  assertEquals(world.of("web").reason, "It cannot be looked at: too many open files");
  world.checks.isBlind = false;
  await world.pass(30_000);
  assertEquals([world.of("web").health, world.of("web").reason], ["healthy", undefined]);
  world.checks.isBlind = true;
  world.supervisor.restart("web");
  await world.pass(29_000);
  assertEquals(world.state("web"), "starting");
  await world.pass(2_000);
  assertEquals(world.of("web").reason, "It did not start within 30 s: It cannot be looked at: too many open files");
});

Deno.test("a process whose end cannot be waited for is looked for until it is gone", async () => {
  await using world = new World(fakeService("web"));
  world.runner.blind.add("web");
  await world.run();
  world.checks.isBlind = true;
  world.supervisor.stop("web");
  await world.pass(10_000);
  assertEquals(world.state("web"), "stopping", "too many files are open to see whether it is there");
  world.checks.isBlind = false;
  await world.pass(1_000);
  assertEquals([world.state("web"), world.of("web").lastExit], ["stopped", "nobody saw how"]);
});

Deno.test("what uses too much for too long is restarted before it harms others", async () => {
  const limits = { memoryBytes: 100 * 2 ** 20, overMs: 20_000 };
  await using world = await new World(fakeService("web", { limits }), fakeService("free")).run();
  const over = { memoryBytes: 150 * 2 ** 20, openFiles: 3 };
  world.samples.set("web", over).set("free", over);
  await world.pass(18_000);
  world.samples.set("web", { ...over, memoryBytes: 2 ** 20 });
  await world.pass(10_000);
  world.samples.set("web", over);
  await world.pass(20_000);
  assertEquals(world.runner.told, []);
  await world.pass(10_000);
  assertEquals(world.of("web").reason, "It uses 150 MiB of memory, above 100 MiB of memory, for 20 s");
  assertEquals([world.state("web"), world.state("free")], ["stopped", "running"]);
});

Deno.test("without the watchdog nothing is mended, and what is wrong is told once", async () => {
  const limits = { openFiles: 10, overMs: 0 };
  await using world = await new World(fakeService("web", { limits, watchdog: { enabled: false } })).run();
  world.samples.set("web", { memoryBytes: 1, openFiles: 11 });
  await world.pass(100_000);
  assertEquals([world.state("web"), world.of("web").reason], [
    "running",
    "It uses 11 open files, above 10 open files, for 90 s",
  ]);
  world.samples.clear();
  world.samples.set("web", { memoryBytes: 1, openFiles: 9 });
  await world.pass(10_000);
  assertEquals(world.of("web").reason, undefined);
  world.runner.crash("web");
  await world.pass(100_000);
  assertEquals([world.state("web"), world.of("web").gaveUp], ["stopped", false]);
  assertEquals(world.alerts.map(({ event }) => event), ["unhealthy", "crashed"]);
});

Deno.test("a watchdog that is switched off while a restart is waited for says that there will be none", async () => {
  await using world = await new World(fakeService("web")).run();
  world.runner.crash("web");
  await settle();
  world.write(fakeService("web", { watchdog: { enabled: false } }));
  await world.supervisor.reload();
  await world.pass(100_000);
  assertEquals([world.state("web"), world.alerts.map(({ message }) => message)], [
    "stopped",
    ["It ended by itself: exit code 1. It is no longer restarted: no watchdog"],
  ]);
});

Deno.test("new files are started, changed ones wait for a restart, settings hold at once", async () => {
  await using world = await new World(fakeService("web", { listen: [port(80)] })).run();
  const changed = fakeService("web", {
    command: ["/usr/bin/web", "--new"],
    listen: [port(81)],
    watchdog: { checkIntervalMs: 1_000, backoffBaseMs: 100 },
  });
  world.write(changed, fakeService("more"), fakeService("idle", { enabled: false }));
  const nowMs = world.clock.now();
  await world.supervisor.reload();
  await world.pass(1_500);
  assertEquals([world.state("more"), world.state("idle")], ["starting", "stopped"]);
  assertEquals(world.runner.told, [`${nowMs} start more`]);
  assertEquals(world.of("web").notes, ["Its file has changed since it was started: a restart applies that"]);
  assertEquals(world.checks.looks, [`${nowMs + 1_000} web 80`]);
  world.runner.crash("web");
  await world.pass(100);
  await world.pass(3_000);
  assertEquals([world.state("web"), world.of("web").notes], ["running", []]);
  assert(world.checks.looks.at(-1)!.endsWith("web 81"), world.checks.looks.join());
});

Deno.test("limits and logs that are settled at the start wait for a restart", async () => {
  await using world = await new World(fakeService("web")).run();
  for (
    const [wish, isSettled] of [
      [{ limits: { overMs: 30_000, openFiles: 100 } }, true],
      [{ log: { maxBytes: 1 } }, true],
      [{ limits: { overMs: 30_000, memoryBytes: 100 }, watchdog: { stopTimeoutMs: 5 } }, false],
    ] as const
  ) {
    world.write(fakeService("web", wish));
    await world.supervisor.reload();
    assertEquals(world.of("web").notes.length, isSettled ? 1 : 0, JSON.stringify(wish));
  }
});

Deno.test("a service whose file is gone goes on, and is forgotten once it has ended", async () => {
  await using world = await new World(fakeService("web"), fakeService("idle", { enabled: false })).run();
  world.write();
  await world.supervisor.reload();
  await settle();
  assertEquals(world.supervisor.report().services.map(({ name }) => name), ["web"]);
  assertEquals(world.of("web").notes, ["Its file is gone: it is forgotten once it has ended"]);
  assertStringIncludes(await world.metrics.text(), 'manager_service_up{service="web"} 1');
  world.runner.crash("web");
  await world.pass(60_000);
  assertEquals(world.supervisor.report().services, []);
  assertEquals((await world.metrics.text()).includes('service="'), false, "nothing is counted of it any more");
  assertEquals(world.runner.told.map((line) => line.replace(/^\d+ /, "")), ["forget idle", "sweep web", "forget web"]);
});

Deno.test("files that cannot be used are told, and change nothing of what runs", async () => {
  await using world = await new World(fakeService("web")).run();
  world.files = { services: [], problems: ["web.toml: command must be a list"], broken: ["web"] };
  await world.supervisor.reload();
  assertEquals(world.supervisor.report().problems, ["web.toml: command must be a list"]);
  assertEquals([world.state("web"), world.of("web").notes], ["running", []]);
  world.files = new CulvertError("invalid", "watchdog.conf:3: MAX_RESTARTS must be a number");
  await assertRejects(() => world.supervisor.reload(), CulvertError, "MAX_RESTARTS");
  assertEquals(world.supervisor.report().problems, ["watchdog.conf:3: MAX_RESTARTS must be a number"]);
  assertEquals(world.state("web"), "running");
});

Deno.test("a folder that is gone at a reload changes nothing: a service that waits for its restart is restarted", async () => {
  await using world = await new World(fakeService("web")).run();
  world.runner.crash("web");
  await settle();
  world.files = new CulvertError("no_folder", "/services must be a folder of service files; there is none");
  await assertRejects(() => world.supervisor.reload(), CulvertError, "there is none");
  await world.pass(10_000);
  assertEquals(world.state("web"), "running");
});

Deno.test("a folder that is not there at the begin is told once, and holds no services", async () => {
  await using world = new World();
  world.files = new CulvertError("no_folder", "/services must be a folder of service files; there is none");
  await world.begin();
  assertEquals(world.supervisor.report().services, []);
  assertEquals(world.log.lines.map(({ level }) => level), ["warn"]);
  world.write(fakeService("web"));
  await world.supervisor.reload();
  assertEquals(world.state("web"), "starting");
});

Deno.test("a name that nobody has is refused", async () => {
  await using world = await new World(fakeService("web")).run();
  const error = assertThrows(() => world.supervisor.start("wob"), CulvertError);
  assertEquals([error.code, error.message], ["unknown_service", "Cannot start wob: there is no service of that name"]);
  assertThrows(() => world.supervisor.report(["web", "wob"]), CulvertError);
});

Deno.test("the manager's end leaves services running, and stopAll stops them", async () => {
  const world = await new World(fakeService("web")).run();
  await world[Symbol.asyncDispose]();
  assertEquals([world.runner.told, world.runner.processOf("web")!.isThere], [[], true]);

  await using other = await new World(fakeService("web"), fakeService("slow")).run();
  other.runner.stubborn.add("slow");
  const stopped = other.supervisor.stopAll(new AbortController().signal);
  await other.clock.runUntil(stopped, 31_000);
  assertEquals([other.state("web"), other.state("slow")], ["stopped", "stopped"]);
});

Deno.test("every change is told to whoever looks on", async () => {
  await using world = await new World(fakeService("web")).run();
  world.supervisor.stop("web");
  await settle();
  assertEquals(world.events.filter((event) => event !== "web -"), [
    "web starting",
    "web started",
    "web stopping",
    "web stopped",
  ]);
});

function port(number: number) {
  return { kind: "tcp", at: { host: "127.0.0.1", port: number } } as const;
}

Deno.test("metrics tell what is down from what was stopped on purpose, also in the wait for a restart", async () => {
  await using world = await new World(fakeService("web"), fakeService("idle", { enabled: false })).run();
  const shown = async (name: string) => {
    const text = await world.metrics.text();
    return ["up", "wanted"].map((what) =>
      new RegExp(`^manager_service_${what}\\{service="${name}"\\} (\\d)`, "m").exec(text)?.[1]
    ).join();
  };
  assertEquals([await shown("web"), await shown("idle")], ["1,1", ","]);
  world.runner.crash("web");
  await settle();
  assertEquals(await shown("web"), "0,1");
  world.supervisor.stop("web");
  assertEquals([world.state("web"), await shown("web")], ["stopped", "0,0"]);
  world.supervisor.start("web");
  await world.pass(10_000);
  assertEquals(await shown("web"), "1,1");
  world.supervisor.stop("web");
  await world.pass(60_000);
  assertEquals([world.state("web"), await shown("web")], ["stopped", "0,0"]);
});
