import { assert, assertEquals, assertGreater, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readBootId, readProcStat } from "../../native/proc_files.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import { commandHashOf, formatPidFile } from "../../protocol/manager/pid_file.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { Program } from "../../testing/program.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { OwnRunnerWorld } from "./fixtures/own_runner_world.ts";
import * as programs from "./fixtures/programs.ts";
import { childrenOf, never, said, testRunnerContract } from "./fixtures/runner_contract.ts";
import type { RunningProcess } from "./runner.ts";

const MANAGER = fromFileUrl(new URL("fixtures/own_manager.ts", import.meta.url));

testRunnerContract("own runner", { setUp: () => OwnRunnerWorld.open() });

const service = plainService("one", programs.stays);

function manager(world: OwnRunnerWorld, services: readonly Service[]): Program {
  const { run, logs } = world.places;
  return new Program([Deno.execPath(), "run", "-A", MANAGER, run, logs, JSON.stringify(services)]);
}

function pidPath(world: OwnRunnerWorld): string {
  return `${world.places.run}/one.pid`;
}

async function found(world: OwnRunnerWorld, of: Service = service): Promise<RunningProcess | undefined> {
  return (await world.runner.find([of]))[0];
}

function foreigner(): Deno.ChildProcess {
  return new Deno.Command("/bin/sleep", { args: ["1000"], stdin: "null", stdout: "null" }).spawn();
}

const identity = { startTicks: 1, bootId: readBootId(), commandHash: commandHashOf(service) };

/** What may lie there, given the pid of a process that is not ours. */
const badPidFiles: Readonly<Record<string, (pid: number) => string>> = {
  "is empty": () => "",
  "holds no number": () => "one\n",
  "was written by half": (pid) => formatPidFile(pid, identity).slice(0, -20),
  "names a process that is gone": () => formatPidFile(4_000_000, identity),
  "names another process": (pid) => formatPidFile(pid, identity),
  "has a number alone, as others write it": (pid) => `${pid}\n`,
  "is from before the last boot": (pid) =>
    formatPidFile(pid, {
      ...identity,
      startTicks: readProcStat(pid)!.startTicks,
      bootId: "00000000-0000-0000-0000-000000000000",
    }),
  "is long": () => "1".repeat(1_000_000),
};

for (const [what, text] of Object.entries(badPidFiles)) {
  Deno.test(`a pid file that ${what} is told and taken away, and nobody is harmed`, async () => {
    await using world = await OwnRunnerWorld.open();
    const other = foreigner();
    await Deno.writeTextFile(pidPath(world), text(other.pid));
    assertEquals(await found(world), undefined);
    assertStringIncludes(world.log.text("warn"), "A pid file was of no use and is taken away");
    await assertRejects(() => Deno.stat(pidPath(world)), Deno.errors.NotFound);
    await Deno.writeTextFile(pidPath(world), text(other.pid));
    const process = await world.runner.start(service, never);
    await world.runner.signal(service, process, "SIGKILL");
    await within("its end", world.runner.exited(service, process));
    await world.runner.sweep(service);
    assert(await world.isAlive(other.pid));
    other.kill("SIGKILL");
    await other.status;
  });
}

for (const [what, text] of [["is gone", undefined], ["is empty", ""], ["was written by half", "12"]] as const) {
  Deno.test(`a service whose pid file ${what} is found by its mark, and has a pid file again`, async () => {
    await using world = await OwnRunnerWorld.open();
    const other = { ...service, name: "other" };
    const process = await world.runner.start(service, never);
    await said(world, service, "up");
    const before = await Deno.readTextFile(pidPath(world));
    await world.succeed();
    if (text === undefined) await Deno.remove(pidPath(world));
    else await Deno.writeTextFile(pidPath(world), text);
    assertEquals((await world.runner.find([other, service])).map((one) => one?.pid), [undefined, process.pid]);
    assertEquals(await Deno.readTextFile(pidPath(world)), before);
  });
}

Deno.test("a pid file that cannot be written leaves the service running, and is told", async () => {
  await using world = await OwnRunnerWorld.open();
  await Deno.mkdir(pidPath(world));
  const process = await world.runner.start(service, never);
  await said(world, service, "up");
  assertStringIncludes(world.log.text("warn"), "A pid file cannot be written");
  await world.succeed();
  assertEquals((await found(world))?.pid, process.pid);
});

Deno.test("the pid file's first line is the bare pid, and it is gone as soon as the process is", async () => {
  await using world = await OwnRunnerWorld.open();
  const process = await world.runner.start(service, never);
  assertEquals((await Deno.readTextFile(pidPath(world))).split("\n")[0], String(process.pid));
  Deno.kill(process.pid, "SIGKILL");
  await within("its end", world.runner.exited(service, process));
  await assertRejects(() => Deno.stat(pidPath(world)), Deno.errors.NotFound);
  assertEquals([...Deno.readDirSync(world.places.run)], []);
});

Deno.test("what a killed manager has started is taken over by the next one, and none of it is restarted", async () => {
  await using world = await OwnRunnerWorld.open();
  const script = `echo up; while :; do sleep 0.05; echo going; done`;
  const services = ["one", "two", "three"].map((name) => plainService(name, programs.shell(script)));
  const first = manager(world, services);
  const { started } = await first.readJson() as { started: Record<string, number> };
  assertEquals(Object.keys(started), ["one", "two", "three"]);
  for (const one of services) await said(world, one, "up"); // it is the program itself that is taken over without a pid file
  first.crash();
  await first.stop();
  await Deno.remove(pidPath(world)); // as if it had been killed before that
  const second = manager(world, services);
  assertEquals(await second.readJson(), { taken: started, started: {} });
  assertEquals(await second.stop(), 0, "one that ends by itself leaves them running as well");
  const adopted = await world.runner.find(services);
  assertEquals(adopted.map((one) => one?.pid), Object.values(started));
  // Each still writes, to the same file, and has been started once.
  const logBytes = (await world.logOf(service)).length;
  await eventually("more of its log", async () => (await world.logOf(service)).length > logBytes);
  assertEquals((await world.logOf(service)).match(/up/g)?.length, 1);
  // The end of one that is not our child is told at once as well.
  const exit = world.runner.exited(services[0]!, adopted[0]!);
  Deno.kill(adopted[0]!.pid, "SIGKILL");
  assertEquals(await within("its end", exit), {});
  assertEquals((await world.runner.find(services)).map((one) => one?.pid), [
    undefined,
    ...Object.values(started).slice(1),
  ]);
});

Deno.test("a manager that ends by itself, and is the parent, leaves its services running", async () => {
  await using world = await OwnRunnerWorld.open();
  const first = manager(world, [service]);
  const { started } = await first.readJson() as { started: Record<string, number> };
  assertEquals(await first.stop(), 0);
  assertEquals((await found(world))?.pid, started.one);
});

Deno.test("one that is taken over is heard by the manager that it has now", async () => {
  await using world = await OwnRunnerWorld.open();
  const talker = plainService("one", programs.notifies("all is well"), { notifies: true });
  await world.runner.start(talker, never);
  await eventually("its first words", () => world.runner.notices(talker).aliveAtMs !== undefined);
  await world.succeed();
  const adopted = await found(world, talker);
  assertEquals(world.runner.notices(talker), {});
  await world.runner.signal(talker, adopted!, "SIGTERM");
  await eventually("its last words", () => world.noticed.length >= 3);
  await within("its end", world.runner.exited(talker, adopted!));
});

Deno.test("a service that is to say when it is ready is not started where nobody could hear it", async () => {
  await using world = await OwnRunnerWorld.open();
  const talker = plainService("one", programs.stays, { notifies: true });
  await Deno.mkdir(`${world.places.run}/one.notify/full`, { recursive: true });
  await assertRejects(() => world.runner.start(talker, never));
  assertEquals(await found(world, talker), undefined);
});

Deno.test("of two managers the second says who has it, and a killed one is in nobody's way", async () => {
  await using world = await OwnRunnerWorld.open();
  const first = manager(world, []);
  await first.readJson();
  const second = manager(world, [service]);
  assertMatch(
    String((await second.readJson()).error),
    new RegExp(`no other manager may be at it, and process ${first.pid} is`),
  );
  assertEquals(await second.ended(), 1);
  await second.stop();
  assertEquals(await found(world), undefined, "it has started nothing");
  first.crash();
  await first.stop();
  await using third = manager(world, []);
  assertEquals(await third.readJson(), { taken: {}, started: {} });
});

Deno.test("nobody is started twice", async () => {
  await using world = await OwnRunnerWorld.open();
  await world.runner.start(service, never);
  await assertRejects(() => world.runner.start(service, never), CulvertError, "none of it may run");
  await world.succeed();
  await assertRejects(() => world.runner.start(service, never), CulvertError, "none of it may run");
});

Deno.test("the log of one that is started at once again is cut no more for the one before", async () => {
  await using world = await OwnRunnerWorld.open();
  const log = { maxBytes: 8 * 1024 * 1024 };
  const chatty = plainService("one", programs.shell("head -c 10000000 /dev/zero"), { log });
  for (let round = 0; round < 3; round++) {
    await within("its end", world.runner.exited(chatty, await world.runner.start(chatty, never)));
    const next = { ...service, log };
    const process = await world.runner.start(next, never);
    await said(world, next, "up");
    await world.runner.signal(next, process, "SIGKILL");
    await within("its end", world.runner.exited(next, process));
    assertEquals(await world.logOf(next), "up\n", `round ${round}`);
  }
});

Deno.test("one whose command has changed since it was started is told when it is taken over", async () => {
  await using world = await OwnRunnerWorld.open();
  await world.runner.start(service, never);
  await world.succeed();
  const changed = { ...service, command: programs.ignoresTerm };
  const process = await found(world, changed);
  assertStringIncludes(world.runner.notes(changed).join(), "its file has changed since it was started");
  await world.runner.signal(changed, process!, "SIGKILL");
  await within("its end", world.runner.exited(changed, process!));
  await world.runner.start(changed, never);
  assertEquals(world.runner.notes(changed), []);
});

Deno.test("a child that has thrown its environment away is known by its session", async () => {
  await using world = await OwnRunnerWorld.open();
  const forgetful = plainService("one", programs.forgetsEnvironment);
  const process = await world.runner.start(forgetful, never);
  await eventually("a child", async () => (await childrenOf(world, forgetful)).length === 1);
  Deno.kill(process.pid, "SIGKILL");
  await within("its end", world.runner.exited(forgetful, process));
  assertEquals(await world.runner.sweep(forgetful), 1);
  assertStringIncludes(world.runner.notes(forgetful).join(), "its last process left 1 behind");
  assert(!await world.isAlive((await childrenOf(world, forgetful))[0]!));
});

Deno.test("what one that was asked to end leaves behind is ended without a word", async () => {
  await using world = await OwnRunnerWorld.open();
  const daemon = plainService("one", programs.leavesDaemon);
  const process = await world.runner.start(daemon, never);
  await eventually("a daemon", async () => (await childrenOf(world, daemon)).length === 1);
  await world.runner.signal(daemon, process, "SIGTERM");
  await within("its end", world.runner.exited(daemon, process));
  const [one, other] = await Promise.all([world.runner.sweep(daemon), world.runner.sweep(daemon)]);
  assertEquals(one, other, "two sweeps at once are one");
  assertEquals(world.runner.notes(daemon), []);
  assert(!await world.isAlive((await childrenOf(world, daemon))[0]!));
});

Deno.test("a start waits for the sweep of what was before, which takes nothing of the new process", async () => {
  await using world = await OwnRunnerWorld.open();
  const daemon = plainService("one", programs.leavesDaemon);
  const process = await world.runner.start(daemon, never);
  await eventually("a daemon", async () => (await childrenOf(world, daemon)).length === 1);
  Deno.kill(process.pid, "SIGKILL");
  await within("its end", world.runner.exited(daemon, process));
  const sweep = world.runner.sweep(daemon);
  await world.runner.start(daemon, never);
  assertGreater(await sweep, 0);
  await eventually("its own daemon", async () => (await childrenOf(world, daemon)).length === 2);
  assertEquals(await world.runner.sweep(daemon), 0, "nothing is swept while it runs");
  const [before, now] = await childrenOf(world, daemon);
  assertEquals([await world.isAlive(before!), await world.isAlive(now!)], [false, true]);
});

Deno.test("what was left behind while there was no manager is ended before the next start", async () => {
  await using world = await OwnRunnerWorld.open();
  const daemon = plainService("one", programs.leavesDaemon);
  const process = await world.runner.start(daemon, never);
  await eventually("a daemon", async () => (await childrenOf(world, daemon)).length === 1);
  await world.succeed();
  Deno.kill(process.pid, "SIGKILL");
  await eventually("its end", async () => !await world.isAlive(process.pid));
  assertEquals(await found(world, daemon), undefined, "its daemon is not taken for it");
  await world.runner.start(service, never);
  assert(!await world.isAlive((await childrenOf(world, daemon))[0]!));
});

testWith(
  { root: true, tools: ["setpriv"] },
  "another user's process cannot pass for a service by its mark",
  async () => {
    await using world = await OwnRunnerWorld.open();
    const forger = new Deno.Command("setpriv", {
      args: ["--reuid=65534", "--clear-groups", "sh", "-c", "export CULVERT_SERVICE_PID=$$; exec sleep 1000"],
      env: { CULVERT_SERVICE: `${world.places.run}:one` },
      stdin: "null",
    }).spawn();
    await eventually("the forgery", async () => (await Deno.readTextFile(`/proc/${forger.pid}/comm`)) === "sleep\n");
    assertEquals(await found(world), undefined);
    forger.kill("SIGKILL");
    await within("its end", forger.status);
  },
);
