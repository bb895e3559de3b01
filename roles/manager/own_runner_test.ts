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
  first.crash();
  await first.stop();
  await Deno.remove(pidPath(world)); // as if it had been killed before that
  {
    await using second = manager(world, services);
    assertEquals(await second.readJson(), { taken: started, started: {} });
  }
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

Deno.test("a log that is filled is cut again and again, and the service does not notice", async () => {
  await using world = await OwnRunnerWorld.open();
  const maxBytes = 256 * 1024;
  const full = plainService("one", programs.fillsLog, { log: { maxBytes } });
  const process = await world.runner.start(full, never);
  const path = `${world.places.logs}/one.log`;
  const inodes = new Set<number>();
  await eventually("three cuts", async () => {
    const older = await Deno.stat(`${path}.1`).catch(() => undefined);
    if (older) {
      inodes.add(older.ino!);
      assert(older.size <= maxBytes + 256 * 1024, `${older.size} bytes are kept`);
    }
    return inodes.size >= 3;
  });
  assertEquals((await found(world, full))?.pid, process.pid);
  Deno.kill(process.pid, "SIGKILL");
  await within("its end", world.runner.exited(full, process));
  await world.succeed(); // which waits for the last cut
  assert((await Deno.stat(path)).size <= maxBytes);
});

Deno.test("without a log a service runs all the same, and that is told", async () => {
  await using world = await OwnRunnerWorld.open();
  await Deno.mkdir(`${world.places.logs}/one.log`, { recursive: true });
  const process = await world.runner.start(service, never);
  await eventually(
    "the program itself",
    async () => (await Deno.readTextFile(`/proc/${process.pid}/comm`)) === "sleep\n",
  );
  assertStringIncludes(world.log.text("warn"), "A service has no log");
});

testWith(
  { root: true, tools: ["mount", "umount"] },
  "on a full disk a service goes on, which is told once",
  async () => {
    await using world = await OwnRunnerWorld.open();
    const { logs } = world.places;
    const mount = (program: string, ...args: string[]) => new Deno.Command(program, { args }).outputSync().success;
    assert(mount("mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "culvert-test", logs));
    using _mount = { [Symbol.dispose]: () => void mount("umount", "--lazy", logs) };
    const chatty = plainService("one", programs.shell(`while echo "$$ is still here" || :; do sleep 0.01; done`));
    Deno.writeFileSync(`${logs}/ballast`, new Uint8Array(60 * 1024));
    const process = await world.runner.start(chatty, never);
    await world.log.waitFor("The disk is full");
    assertStringIncludes(world.runner.notes(chatty).join(), "the disk of its log is full");
    assertEquals((await found(world, chatty))?.pid, process.pid);
    Deno.removeSync(`${logs}/ballast`);
    await world.log.waitFor("The disk has room again");
    assertEquals(world.runner.notes(chatty), []);
    assertEquals(world.log.lines.filter(({ message }) => message.includes("The disk is full")).length, 1);
    const bytes = (await world.logOf(chatty)).length;
    await eventually("more of its log", async () => (await world.logOf(chatty)).length > bytes);
    Deno.kill(process.pid, "SIGKILL");
    await within("its end", world.runner.exited(chatty, process));
    await world.succeed();
  },
);

testWith({ root: true }, "a service with a user has that user's rights, home and log, and is heard", async () => {
  await using world = await OwnRunnerWorld.open();
  const script = `echo "$(id -un) $(id -Gn) $HOME $USER"; exec sleep 1000`;
  const own = plainService("one", programs.shell(script), { user: "nobody", notifies: true });
  const process = await world.runner.start(own, never);
  await said(world, own, "nobody nogroup /nonexistent nobody");
  const { uid, mode } = await Deno.stat(`${world.places.logs}/one.log`);
  assertEquals([uid, mode! & 0o777], [65534, 0o640]);
  await world.runner.signal(own, process, "SIGTERM");
  assertEquals(await within("its end", world.runner.exited(own, process)), { signal: "SIGTERM" });
  const unknown = { ...own, user: "no-such-user" };
  await assertRejects(() => world.runner.start(unknown, never), CulvertError, "the user must be in /etc/passwd");
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
    await world.runner.sweep(service);
    await within("its end", forger.status);
  },
);

Deno.test("a service has nothing of the manager's environment but what every program needs", async () => {
  await using world = await OwnRunnerWorld.open();
  Deno.env.set("CULVERT_TEST_SECRET", "not for services");
  try {
    const curious = plainService("one", programs.shell("env; echo done; exec sleep 1000"));
    await world.runner.start(curious, never);
    await said(world, curious, "done");
    const environment = await world.logOf(curious);
    assertStringIncludes(environment, "PATH=");
    assert(!environment.includes("CULVERT_TEST_SECRET"));
  } finally {
    Deno.env.delete("CULVERT_TEST_SECRET");
  }
});

Deno.test("it may open twice the files at which it is restarted, or as many as the manager may", async () => {
  await using world = await OwnRunnerWorld.open();
  for (const [openFiles, says] of [[100, /^200$/m], [10_000_000, /^\d{4,}$/m]] as const) {
    const counted = plainService(`files-${openFiles}`, programs.shell("ulimit -Sn; exec sleep 1000"), {
      limits: { openFiles, overMs: 1000 },
    });
    await world.runner.start(counted, never);
    await said(world, counted, "\n");
    assertMatch(await world.logOf(counted), says);
  }
});

Deno.test("what no shell can run ends at once, and the log says why", async () => {
  await using world = await OwnRunnerWorld.open();
  const path = world.path("program");
  await Deno.writeTextFile(path, "#!/nowhere/to/be/found\n");
  const broken = plainService("one", [path]);
  await assertRejects(() => world.runner.start(broken, never), CulvertError, "must be a program");
  await Deno.chmod(path, 0o755);
  const process = await world.runner.start(broken, never);
  const { code } = await within("its end", world.runner.exited(broken, process));
  assertGreater(code!, 125);
  await said(world, broken, "not found");
  const nowhere = { ...service, directory: "/nowhere/to/be/found" };
  await assertRejects(() => world.runner.start(nowhere, never), CulvertError, "directory must be a folder");
});
