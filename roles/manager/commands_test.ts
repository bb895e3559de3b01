import { assert, assertEquals, assertRejects } from "@std/assert";
import type { z } from "zod";
import { formatPidFile } from "../../protocol/manager/pid_file.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { ServiceReport } from "../../protocol/manager/report.ts";
import { readBootId, readProcStat } from "../../native/proc_files.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { ConfigError } from "../config.ts";
import { type Role, startRole as run } from "../role.ts";
import { FakeManager } from "./fixtures/fake_manager.ts";
import { listRole } from "./list_command.ts";
import { restartRole } from "./restart_command.ts";
import { startRole } from "./start_command.ts";
import { statsRole } from "./stats_command.ts";
import { statusRole } from "./status_command.ts";
import { stopRole } from "./stop_command.ts";

type Said = (Partial<ServiceReport> & { name: string })[];

/** A manager with these services, and what commands print. */
class World implements AsyncDisposable {
  readonly temp: TempDirectory;
  readonly manager: FakeManager;

  private constructor(temp: TempDirectory, manager: FakeManager) {
    this.temp = temp;
    this.manager = manager;
  }

  static async open(services: Said): Promise<World> {
    const temp = new TempDirectory();
    return new World(temp, await FakeManager.serve(temp.path(""), services));
  }

  /** The lines it prints; rejects as it fails. `lines` gets them all the same. */
  async run(role: Role, args: Record<string, unknown> = {}, lines: string[] = [], json = false): Promise<string[]> {
    const dir = this.temp.path("");
    const config = role.config.parse({ services: dir, runDir: dir, logDir: dir, backend: "own", ...args });
    await using running = run(role, config as z.output<z.ZodObject>, {
      ...{ json, stateDir: dir },
      print: (line) => void lines.push(line),
      tell: (line) => void lines.push(line),
    });
    await running.done;
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager[Symbol.asyncDispose]();
    this.temp[Symbol.dispose]();
  }
}

const services = (): Said => [
  {
    name: "kcp",
    state: "running",
    pid: 10,
    startedMs: Date.now() - 7_200_000,
    sinceMs: Date.now() - 7_200_000,
    health: "healthy",
    listen: ["tcp 127.0.0.1:1080"],
  },
  { name: "paqet", gaveUp: true, reason: "it ended 5 times within 300 s", restarts: 5, recentRestarts: 5 },
  {
    name: "xray",
    enabled: false,
    nextStartMs: Date.now() + 90.5 * 60_000,
    lastExit: "SIGSEGV",
    notes: ["its unit was edited by hand"],
  },
];

Deno.test("list names services, their states and what they are for", async () => {
  await using world = await World.open(services());
  world.manager.problems = ["bad.toml: command must be given"];
  const lines = await world.run(listRole);
  assertEquals(lines.slice(0, 4), [
    "SERVICE  STATE    AT BOOT  LISTENS             WHAT IT IS",
    "kcp      running  starts   tcp 127.0.0.1:1080  What kcp is for",
    "paqet    gave up  starts   -                   What paqet is for",
    "xray     waiting  -        -                   What xray is for",
  ]);
  assertEquals(lines.slice(4), ["bad.toml: command must be given"]);
});

Deno.test("status tells of the manager and each service, in at most 80 characters", async () => {
  await using world = await World.open(services());
  const lines = await world.run(statusRole);
  assertEquals(lines[0], "manager runs for 1h, pid 4711, processes by itself");
  assert(lines.some((line) => line.includes("gave up") && line.includes("it ended 5 times")), lines.join("\n"));
  assert(lines.some((line) => line.includes("starts again in 1h30m")), lines.join("\n"));
  assert(lines.every((line) => line.length <= 80), lines.join("\n"));
});

Deno.test("status of one tells all there is to know of it", async () => {
  await using world = await World.open(services());
  assertEquals(
    await world.run(statusRole, { names: ["kcp"] }),
    [
      "service   kcp: What kcp is for",
      "state     running for 2h",
      "process   pid 10, started 2h ago",
      "health    healthy",
      "restarts  0 since the manager started, 0 of them of late",
      "listens   tcp 127.0.0.1:1080",
      "at boot   starts with the manager",
    ],
  );
  const other = await world.run(statusRole, { names: ["xray"] });
  assert(
    other.includes("last end  SIGSEGV") && other.includes("note      its unit was edited by hand"),
    other.join("\n"),
  );
});

Deno.test("stats are of those that are named, for programs as the manager tells them", async () => {
  await using world = await World.open(services());
  world.manager.stats.set("kcp", {
    cpuPercent: 12.34,
    memoryBytes: 2 ** 20,
    connections: 3,
    inBitsPerS: 1e6,
    uptimeMs: 1000,
  });
  const [, kcp, ...others] = await world.run(statsRole, { names: ["kcp"] });
  assertEquals(kcp!.split(/ +/), ["kcp", "running", "1s", "12%", "1.0M", "3", "1.0M", "-", "0", "ok"]);
  assertEquals(others, []);
  assert((await world.run(statsRole, { names: ["paqet"] }))[1]!.startsWith("paqet    gave up "));
  const [json] = await world.run(statsRole, {}, [], true);
  assertEquals(JSON.parse(json!).stats.map(({ name }: { name: string }) => name), ["kcp", "paqet", "xray"]);
});

Deno.test("start waits until services run, and tells of each", async () => {
  await using world = await World.open([{ name: "kcp" }, { name: "paqet", state: "running", pid: 5 }]);
  const { manager } = world;
  manager.onOrder = (_deed, service) =>
    service.state === "running" ? service : { ...service, state: "starting", sinceMs: Date.now() };
  let reports = 0;
  manager.onReport = () => {
    if (++reports === 3) manager.set({ name: "kcp", state: "running", pid: 42 });
  };
  assertEquals(await world.run(startRole, { all: true }), ["paqet  runs already", "kcp    runs, pid 42"]);
  assertEquals(manager.orders, [{ do: "start", names: ["kcp", "paqet"] }]);
});

Deno.test("start fails with the first failed start, and says that it is tried again", async () => {
  await using world = await World.open([{ name: "kcp" }, { name: "paqet" }]);
  world.manager.onOrder = (_deed, service) =>
    service.name === "paqet" ? { ...service, state: "running", pid: 7, sinceMs: Date.now() } : {
      ...service,
      ...{ sinceMs: Date.now(), reason: "it ended at once with code 3", nextStartMs: Date.now() + 5000 },
    };
  const lines: string[] = [];
  const error = await assertRejects(() => world.run(startRole, { names: ["kcp", "paqet"] }, lines), CulvertError);
  assertEquals(error.code, "failed");
  assert(error.message.startsWith("Cannot start: kcp did not start: it ended at once with code 3"), error.message);
  assert(lines.includes("paqet  runs, pid 7"), lines.join("\n"));
});

Deno.test("stop and restart wait as well; what takes too long is told and goes on", async () => {
  await using world = await World.open([{ name: "kcp", state: "running", pid: 5, startedMs: 1 }]);
  assertEquals(await world.run(restartRole, { names: ["kcp", "kcp"] }), ["kcp  runs, pid 6"]);
  assertEquals(await world.run(stopRole, { names: ["kcp"] }), ["kcp  is stopped: ended with code 0"]);
  assertEquals(await world.run(stopRole, { names: ["kcp"] }), ["kcp  was stopped already"]);
  world.manager.onOrder = (_deed, service) => ({ ...service, state: "starting" });
  const start = () => world.run(startRole, { names: ["kcp"], timeout: "300ms" });
  await assertRejects(start, CulvertError, "Cannot start: kcp is still starting after 0.3 s");
});

Deno.test("for programs there is one object, whatever fails", async () => {
  await using world = await World.open([{ name: "kcp" }]);
  world.manager.onOrder = (_deed, service) => ({
    ...service,
    sinceMs: Date.now(),
    gaveUp: true,
    reason: "no such program",
  });
  const lines: string[] = [];
  await assertRejects(() => world.run(startRole, { names: ["kcp"] }, lines, true), CulvertError);
  assertEquals(lines.map((line) => JSON.parse(line)), [{
    done: false,
    services: [{
      name: "kcp",
      done: false,
      said: "did not start: no such program",
      state: "stopped",
      reason: "no such program",
    }],
  }]);
});

Deno.test("many services are named in requests that are not too long", async () => {
  const names = Array.from({ length: 250 }, (_, at) => `a-service-with-a-long-name-${at}`);
  await using world = await World.open(names.map((name) => ({ name })));
  await world.run(startRole, { all: true });
  assertEquals(world.manager.orders.flatMap((order) => order.names), names);
});

Deno.test("wrong names are told, with what may have been meant, and nothing is done", async () => {
  await using world = await World.open([{ name: "kcp" }]);
  const wrong = () => world.run(stopRole, { names: ["kpc"] });
  await assertRejects(wrong, CulvertError, "Cannot find kpc: there is no such service; did you mean kcp?");
  await assertRejects(() => world.run(stopRole), ConfigError, "give the names of services, or --all");
  await assertRejects(() => world.run(stopRole, { names: ["kcp"], all: true }), ConfigError);
  assertEquals(world.manager.orders, []);
});

Deno.test("without a manager commands say so, and tell what is known all the same", async () => {
  await using world = await World.open([]);
  await world.manager[Symbol.asyncDispose]();
  const { temp } = world;
  for (const name of ["kcp", "paqet", "xray"]) Deno.writeTextFileSync(temp.path(`${name}.toml`), "");
  const bootId = readBootId();
  const own = { bootId, startTicks: readProcStat(Deno.pid)!.startTicks, commandHash: "0".repeat(16) };
  Deno.writeTextFileSync(temp.path("kcp.pid"), formatPidFile(Deno.pid, own));
  // Another process has that pid by now.
  Deno.writeTextFileSync(temp.path("paqet.pid"), formatPidFile(Deno.pid, { ...own, startTicks: 1 }));
  for (const role of [listRole, statusRole]) {
    const lines: string[] = [];
    await assertRejects(() => world.run(role as Role, {}, lines), CulvertError, "start it with: culvert manager");
    assertEquals(lines, [
      `kcp    runs, pid ${Deno.pid}, watched by nobody`,
      "paqet  does not run",
      "xray   does not run",
    ]);
  }
  for (const role of [startRole, stopRole, restartRole, statsRole]) {
    await assertRejects(() => world.run(role as Role, { names: ["kcp"] }), CulvertError, "none runs here");
  }
});
