import { assert, assertEquals, assertGreater, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import type { ServicePort } from "../../protocol/manager/service.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { Program } from "../../testing/program.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { OwnRunnerWorld } from "./fixtures/own_runner_world.ts";
import * as programs from "./fixtures/programs.ts";
import { never, said } from "./fixtures/runner_contract.ts";
import { startOwnProcess } from "./own_process.ts";
import { SeenProcesses } from "./strays.ts";

const service = plainService("one", programs.stays);

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
  "one whose program needs more has that beside its user's rights",
  async () => {
    await using world = await OwnRunnerWorld.open();
    const script =
      `echo "$(id -un) $(id -Gn)"; grep -E "^(Cap(Eff|Amb|Bnd)|NoNewPrivs)" /proc/self/status; exec sleep 1000`;
    const port: ServicePort = { kind: "tcp", at: { host: "127.0.0.1", port: 80 } };
    const own = plainService("one", programs.shell(script), { user: "nobody", listen: [port] });
    const process = await world.runner.start(own, never);
    await said(world, own, "NoNewPrivs:\t1");
    const log = await world.logOf(own);
    assertStringIncludes(log, "nobody nogroup\n");
    for (const set of ["Eff", "Bnd", "Amb"]) assertStringIncludes(log, `Cap${set}:\t0000000000000400\n`);
    await world.succeed();
    assertEquals((await world.runner.find([own])).map((one) => one?.pid), [process.pid]);
  },
);

testWith(
  { root: true, tools: ["setpriv"] },
  "what a service's own environment leads to has never more than the service's rights",
  async () => {
    await using world = await OwnRunnerWorld.open();
    const folder = world.path("open");
    await Deno.mkdir(folder);
    await Deno.chmod(folder, 0o777);
    for (const name of ["setpriv", "env", "sh"]) {
      await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\ntouch ${folder}/taken-$(id -u)\n`);
      await Deno.chmod(`${folder}/${name}`, 0o755);
    }
    // The linker writes a file from within every program that has these: a library of the service's would be loaded there too.
    const environment = {
      PATH: `${folder}:/usr/bin:/bin`,
      LD_DEBUG: "statistics",
      LD_DEBUG_OUTPUT: `${folder}/linker`,
      log: "its own",
    };
    const own = plainService("one", programs.shell('echo "up, $log, $LD_DEBUG"; exec /bin/sleep 1000'), {
      user: "nobody",
      capabilities: ["CAP_NET_RAW"],
      environment,
    });
    await world.runner.start(own, never);
    await said(world, own, "up, its own, statistics");
    for await (const { name } of Deno.readDir(folder)) {
      if (["setpriv", "env", "sh"].includes(name)) continue;
      assertStringIncludes(name, "linker");
      assertEquals((await Deno.stat(`${folder}/${name}`)).uid, 65534, name);
    }
  },
);

testWith(
  { root: true, tools: ["setpriv"] },
  "a service with a user never gets more rights, and begins in no folder of ours",
  async () => {
    await using world = await OwnRunnerWorld.open();
    const script = `echo "in $(pwd)"; grep -E "^(CapEff|NoNewPrivs)" /proc/self/status; echo done; exec sleep 1000`;
    const own = plainService("one", programs.shell(script), { user: "nobody" });
    await world.runner.start(own, never);
    await said(world, own, "done");
    assertEquals(await world.logOf(own), "in /\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\ndone\n");
  },
);

testWith(
  { root: true, tools: ["setpriv"] },
  "where the manager has less than a service asks for, that is what it gets",
  async () => {
    await using world = await OwnRunnerWorld.open();
    const talks = programs.shell("grep CapEff /proc/self/status; exec sleep 1000");
    const own = plainService("one", talks, { user: "nobody", capabilities: ["CAP_NET_RAW"] });
    const { run, logs } = world.places;
    const program = fromFileUrl(new URL("fixtures/own_manager.ts", import.meta.url));
    const less = ["setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw", "--"] as const;
    await using manager = new Program([
      ...less,
      Deno.execPath(),
      "run",
      "-A",
      program,
      run,
      logs,
      JSON.stringify([own]),
    ]);
    assertEquals(Object.keys((await manager.readJson()).started as Record<string, number>), ["one"]);
    await said(world, own, "CapEff:\t0000000000000000");
  },
);

testWith({ tools: ["mkfifo"] }, "it is known by its mark before the program itself is there", async () => {
  using temp = new TempDirectory();
  const logPath = temp.path("log");
  await new Deno.Command("mkfifo", { args: [logPath] }).output();
  const [mark, log, env] = [`${temp.path("run")}:one`, new LogCollector(), () => undefined];
  const start = { service, account: undefined, mark, logPath, notifyPath: undefined, env, log };
  // The shell waits until somebody reads the log, and nobody does.
  const child = await startOwnProcess(start, never);
  try {
    const processes = new SeenProcesses();
    await eventually("the mark", async () => {
      return (await processes.look()).some((seen) => seen.pid === child.pid && seen.mark === mark && !seen.isMain);
    });
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

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
