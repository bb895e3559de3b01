/**
 * A manager and what it keeps up, as an operator meets them: processes of their own, killed with signals, asked by commands.
 */

import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { isRunning } from "../../native/process_exits.ts";
import { readProcStat } from "../../native/proc_files.ts";
import type { ServiceReport } from "../../protocol/manager/report.ts";
import { freePort } from "../../testing/program.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { ManagerWorld } from "./fixtures/manager_world.ts";

const SLEEP = 'command = ["/bin/sleep", "1000"]\n';

function runs({ state, health }: ServiceReport): boolean {
  return state === "running" && health !== "unhealthy";
}

/** Whether a process that was seen under that pid is gone. */
function whenSeen(pid: number): () => boolean {
  const stat = readProcStat(pid)!;
  return () => isRunning({ pid, startTicks: stat.startTicks });
}

testWith(
  {},
  "what is killed is started again, and a proxy of ours counts as up once it carries a request",
  async () => {
    const at = `127.0.0.1:${freePort()}`;
    await using world = await ManagerWorld.open({
      sleeper: SLEEP,
      web: [
        'role = "proxy"',
        `flags = ["--listen", "${at}"]`,
        `listen = ["${at}"]`,
        "[probe]",
        `through = "socks5://${at}"`,
        'url = "http://hello.culvert/"',
      ].join("\n"),
    });
    await world.until("web", "is healthy", ({ state, health }) => state === "running" && health === "healthy");
    for (const name of ["web", "sleeper"]) {
      const before = await world.until(name, "runs", runs);
      Deno.kill(before.pid!, "SIGKILL");
      const after = await world.until(name, "runs again", (service) => runs(service) && service.pid !== before.pid);
      assertEquals(after.restarts, 1);
      assertStringIncludes(after.lastExit!, "SIGKILL");
    }
    assertEquals(await world.stop(), 0);
  },
);

testWith({}, "a manager that is killed leaves its services alone, and the next takes them over", async () => {
  await using world = await ManagerWorld.open({ sleeper: SLEEP });
  const before = await world.until("sleeper", "runs", runs);
  const isAlive = whenSeen(before.pid!);
  await world.crash();
  assert(isAlive());
  await world.start();
  const after = await world.until("sleeper", "runs", runs);
  assertEquals([after.pid, after.restarts], [before.pid, 0]);
  assertAlmostEquals(after.startedMs!, before.startedMs!, 1000);
  // It is watched as before.
  Deno.kill(before.pid!, "SIGKILL");
  await world.until("sleeper", "runs again", (service) => runs(service) && service.pid !== before.pid);
  const isAliveAgain = whenSeen((await world.service("sleeper")).pid!);
  assertEquals(await world.stop(), 0);
  assert(!isAliveAgain());
  assertEquals([...Deno.readDirSync(world.path("run"))].map(({ name }) => name), []);
});

testWith({}, "a second signal ends the manager at once, and no service outlives it", async () => {
  await using world = await ManagerWorld.open({
    stubborn: 'command = ["/bin/sh", "-c", "trap : TERM; while :; do sleep 1; done"]\n[watchdog]\nstop_timeout = 600\n',
  });
  const isAlive = whenSeen((await world.until("stubborn", "runs", runs)).pid!);
  const isManagerAlive = whenSeen(world.pid);
  await eventually("the manager has ended", () => {
    if (isManagerAlive()) Deno.kill(world.pid, "SIGTERM");
    return !isManagerAlive();
  });
  assertEquals([await world.ended(), isAlive()], [130, false]);
});

testWith({}, "what a killed manager has left does not outlive its test", async () => {
  const world = await ManagerWorld.open({ sleeper: SLEEP });
  const isAlive = whenSeen((await world.until("sleeper", "runs", runs)).pid!);
  await world.crash();
  assert(isAlive());
  await world[Symbol.asyncDispose]();
  await eventually("it is gone", () => !isAlive());
});

testWith({}, "of two managers one wins, and the other says who", async () => {
  await using world = await ManagerWorld.open({ sleeper: SLEEP });
  const { code, err } = await world.ask("");
  assertEquals(code, 1);
  assertStringIncludes(err, `process ${world.pid}`);
  assertEquals((await world.report()).pid, world.pid);
});

testWith({}, "what dies again and again is given up, until somebody starts it", async () => {
  await using world = await ManagerWorld.open({ broken: 'command = ["/bin/sh", "-c", "echo dying; exit 3"]\n' });
  const given = await world.until("broken", "is given up", ({ gaveUp }) => gaveUp);
  assertEquals([given.state, given.restarts, given.lastExit], ["stopped", 3, "exit code 3"]);
  assertStringIncludes((await world.ask("logs", "broken")).out, "dying");
  world.writeFile("broken", SLEEP);
  Deno.kill(world.pid, "SIGHUP");
  await world.until("broken", "has been read again", ({ gaveUp }) => gaveUp);
  const { code, err } = await world.ask("start", "broken");
  assertEquals(code, 0, err);
  const started = await world.service("broken");
  assert(runs(started) && !started.gaveUp, JSON.stringify(started));
});

testWith(
  {},
  "SIGHUP brings new services, lets go of those whose file is gone, and tells of what cannot be read",
  async () => {
    await using world = await ManagerWorld.open({ one: SLEEP, two: SLEEP });
    const one = await world.until("one", "runs", runs);
    const two = await world.until("two", "runs", runs);
    world.writeFile("three", SLEEP);
    world.writeFile("one", "command = 7\n");
    Deno.removeSync(world.path("services/two.toml"));
    Deno.kill(world.pid, "SIGHUP");
    await world.until("three", "runs", (service) => service && runs(service));
    assertEquals((await world.service("two")).pid, two.pid);
    assertEquals((await world.ask("stop", "two")).code, 0);
    await eventually("two is forgotten", async () => await world.service("two") === undefined);
    const { services, problems } = await world.report();
    assertEquals(services.find(({ name }) => name === "one")!.pid, one.pid);
    assert(problems.some((problem) => problem.includes("one.toml")), problems.join("\n"));
  },
);

testWith({}, "services are stopped, started and restarted by commands, which wait for it", async () => {
  await using world = await ManagerWorld.open({ one: SLEEP, two: SLEEP });
  const before = await world.until("one", "runs", runs);
  for (const [command, state] of [["stop", "stopped"], ["start", "running"]] as const) {
    const { code, err } = await world.ask(command, "one");
    assertEquals(code, 0, err);
    assertEquals((await world.service("one")).state, state);
  }
  const { code, err } = await world.ask("restart", "--all");
  assertEquals(code, 0, err);
  const after = await world.service("one");
  assertNotEquals(after.pid, before.pid);
  // They were asked for, and count as no failures.
  assertEquals(after.recentRestarts, 0);
  const unknown = await world.ask("start", "onne");
  assertNotEquals(unknown.code, 0);
  assertStringIncludes(unknown.err, "one");
});

testWith({}, "a proxy that hangs is ended and started again, though its port takes connections", async () => {
  const at = `127.0.0.1:${freePort()}`;
  await using world = await ManagerWorld.open({
    web: [
      'role = "proxy"',
      `flags = ["--listen", "${at}"]`,
      `listen = ["${at}"]`,
      "[probe]",
      `through = "socks5://${at}"`,
      'url = "http://hello.culvert/"',
      'timeout = "3s"',
    ].join("\n"),
  });
  const before = await world.until("web", "is healthy", ({ health }) => health === "healthy");
  Deno.kill(before.pid!, "SIGSTOP");
  const after = await world.until("web", "runs again", (service) => runs(service) && service.pid !== before.pid);
  assert(after.restarts > before.restarts, JSON.stringify(after));
});

testWith({}, "a service whose port is another's does not start, and is told whose", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const at = `127.0.0.1:${taken.addr.port}`;
  await using world = await ManagerWorld.open({
    web: `role = "proxy"\nflags = ["--listen", "${at}"]\nlisten = ["${at}"]\n`,
  });
  const given = await world.until("web", "is given up", ({ gaveUp }) => gaveUp);
  assertStringIncludes(given.reason!, `${at} is taken by`);
  assertStringIncludes(given.reason!, `pid ${Deno.pid}`);
  taken.close();
  const { code, err } = await world.ask("start", "web");
  assertEquals(code, 0, err);
});
