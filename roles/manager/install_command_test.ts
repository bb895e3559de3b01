import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import { commandWord, signedUnit } from "../../protocol/manager/unit_text.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { defineRole, startRole } from "../role.ts";
import { FakeManager } from "./fixtures/fake_manager.ts";
import type { InstallMachine } from "./install/plan.ts";
import { InstallRecords } from "./install/record.ts";
import { leftBehind } from "./install/removal.ts";
import { isOpenToAll, thisInstallMachine } from "./install/this_machine.ts";
import type { Person } from "./install/wizard.ts";
import { installRole, runInstall } from "./install_command.ts";
import { runUninstall, uninstallRole } from "./uninstall_command.ts";

/** A machine in a folder of its own, and whoever sits there. */
class World implements Disposable {
  readonly #temp = new TempDirectory();
  readonly printed: string[] = [];
  readonly told: string[] = [];
  /** What of the machine is otherwise than here. */
  machine: Partial<InstallMachine> = { isRoot: false, hasSystemd: false };

  path(name: string): string {
    return this.#temp.path(name);
  }

  get places() {
    return {
      services: this.path("etc/services"),
      runDir: this.path("run"),
      logDir: this.path("log"),
      backend: "own" as const,
    };
  }

  get records(): InstallRecords {
    return new InstallRecords(this.path("state"));
  }

  async install(flags: Record<string, unknown>, person?: Person): Promise<void> {
    const role = defineRole({
      ...installRole,
      run: (settings, context) => {
        const machine = { ...thisInstallMachine(settings, context), ...this.machine };
        return runInstall(settings, context, machine, person);
      },
    });
    await using running = startRole(role, role.config.parse({ ...this.places, ...flags }), this.#options);
    await running.done;
  }

  async uninstall(flags: Record<string, unknown>, person?: Person): Promise<void> {
    const role = defineRole({ ...uninstallRole, run: (settings, context) => runUninstall(settings, context, person) });
    await using running = startRole(role, role.config.parse({ ...this.places, ...flags }), this.#options);
    await running.done;
  }

  /** Every file and folder there is, from the world's own folder on. */
  files(): string[] {
    return [...walk(this.path("."), "")].toSorted();
  }

  get #options() {
    return {
      stateDir: this.path("state"),
      print: (line: string) => void this.printed.push(line),
      tell: (line: string) => void this.told.push(line),
    };
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}

function* walk(folder: string, before: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    yield before + name + (isDirectory ? "/" : "");
    if (isDirectory) yield* walk(join(folder, name), `${before}${name}/`);
  }
}

/** Answers one after the other, and keeps what it was told and asked. */
class Answering implements Person {
  readonly heard: string[] = [];
  readonly #answers: string[];

  constructor(...answers: string[]) {
    this.#answers = answers;
  }

  say(line: string): void {
    this.heard.push(line);
  }

  ask(prompt: string): Promise<string | undefined> {
    this.heard.push(prompt);
    return Promise.resolve(this.#answers.shift());
  }
}

const proxy = { role: "proxy", set: ["listen=127.0.0.1:1099"] };

Deno.test("a service is installed unattended, and all of it goes again", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  assertEquals(world.files(), [
    "etc/",
    "etc/out.toml",
    "etc/services/",
    "etc/services/out.toml",
    "state/",
    "state/installed/",
    "state/installed/out.json",
    "state/services/",
    "state/services/out/",
  ]);
  assertStringIncludes(await Deno.readTextFile(world.path("etc/out.toml")), '\nlisten = "127.0.0.1:1099"\n');
  const service = await Deno.readTextFile(world.path("etc/services/out.toml"));
  assertStringIncludes(service, '\nrole = "proxy"\n');
  assertStringIncludes(service, '\nlisten = ["127.0.0.1:1099"]\n');
  assertEquals(Deno.statSync(world.path("etc/out.toml")).mode! & 0o777, 0o600);
  assertStringIncludes(world.told.at(-1)!, "start it with: culvert manager");
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(world.files().filter((path) => !path.endsWith("/")), []);
});

Deno.test("a dry run prints every file without its secrets, and writes none", async () => {
  using world = new World();
  await world.install({ role: "tunnel", set: ["token=hush"], dryRun: true });
  assertEquals(world.files(), []);
  const printed = world.printed.join("\n");
  assertStringIncludes(printed, `=== ${world.path("etc/tunnel.toml")} (mode 0600)`);
  assertStringIncludes(printed, `=== ${world.path("etc/services/tunnel.toml")} (mode 0600)`);
  assert(!printed.includes("hush"));
});

Deno.test("a dry run for root with systemd shows the user and both units", async () => {
  using world = new World();
  const places = { ...thisPlaces(world), backend: "systemd" as const };
  world.machine = {
    isRoot: true,
    hasSystemd: true,
    places,
    hasUser: () => Promise.resolve(false),
    isOpenToAll: () => Promise.resolve(true),
    readText: () => Promise.resolve(undefined),
  };
  await world.install({ role: "kcp-server", set: ["carrier=raw"], dryRun: true });
  const printed = world.printed.join("\n");
  assertStringIncludes(printed, "Make the user culvert-kcp-server, who cannot log in");
  assertStringIncludes(printed, "=== /etc/systemd/system/culvert-manager.service");
  assertStringIncludes(printed, "=== /etc/systemd/system/culvert-kcp-server.service (made by the manager)");
  assertStringIncludes(printed, "\nUser=culvert-kcp-server\n");
  assertStringIncludes(printed, "\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW\n");
  assertStringIncludes(printed, `\nReadWritePaths="-${world.path("culvert-kcp-server")}"\n`);
  assertEquals(world.files(), []);
});

for (
  const { says, ...row } of [
    { role: "proxy", set: [], says: ["\nAmbientCapabilities=\n", "\ncapabilities = []\n"] },
    { role: "kcp-client", set: ["server=kcp+udp://K@192.0.2.7:1/"], says: ["\nAmbientCapabilities=\n"] },
    { role: "vtcp-server", set: ["carrier=udp"], says: ["\nAmbientCapabilities=\n"] },
    { role: "vtcp-client", set: ["server=vtcp://K@192.0.2.7:1/"], says: ["Capabilities=CAP_NET_ADMIN CAP_NET_RAW\n"] },
    {
      role: "client",
      set: ["supernode=https://abcdefghijklmnopqrstuvwxya@sn.example:8443/"],
      says: ["\nAmbientCapabilities=\n"],
    },
  ]
) {
  Deno.test(`a unit has the rights that its settings ask for and no others: ${row.role} ${row.set.join()}`, async () => {
    using world = new World();
    const places = { ...thisPlaces(world), backend: "systemd" as const };
    world.machine = { isRoot: true, hasSystemd: true, places, isOpenToAll: () => Promise.resolve(true) };
    await world.install({ ...row, dryRun: true });
    for (const line of says) assertStringIncludes(world.printed.join("\n"), line);
  });
}

Deno.test("a manager that is to run the services itself gets no unit, which would not let it", async () => {
  using world = new World();
  const notThere = { hasUser: () => Promise.resolve(false), isOpenToAll: () => Promise.resolve(true) };
  world.machine = { isRoot: true, hasSystemd: true, ...notThere };
  await world.install({ ...proxy, name: "out", dryRun: true });
  assert(!world.printed.join("\n").includes("culvert-manager.service"));
  world.machine = { isRoot: false, hasSystemd: true, isOpenToAll: () => Promise.resolve(true) };
  await world.install({ ...proxy, name: "out", yes: true });
  assertStringIncludes(world.told.at(-1)!, "start it with: culvert manager --services");
  assertStringIncludes(world.told.at(-1)!, "--backend own");
});

const oldUnits = [
  { name: "of an earlier version", is: "replaced", text: outdatedUnit(["/old/deno", "manager"]) },
  { name: "of a manager of other places", is: "kept", text: outdatedUnit(["/old/deno", "manager", "--run-dir", "/r"]) },
  { name: "edited by hand", is: "kept", text: outdatedUnit(["/old/deno", "manager"]) + "# mine\n" },
];

function outdatedUnit(command: [string, ...string[]]): string {
  return signedUnit([["Service", [`ExecStart=${command.map(commandWord).join(" ")}`]]]);
}

for (const { name, is, text } of oldUnits) {
  Deno.test(`a manager's unit ${name} is ${is}, when something is installed and by --refresh`, async () => {
    using world = new World();
    const places = { ...thisPlaces(world), backend: "systemd" as const };
    const readText = (path: string) => Promise.resolve(path.endsWith("culvert-manager.service") ? text : undefined);
    const machine = { isRoot: true, hasSystemd: true, places, readText, managerFlags: [] };
    world.machine = { ...machine, isOpenToAll: () => Promise.resolve(true) };
    for (const flags of [{ ...proxy, name: "out" }, { refresh: true }]) {
      world.printed.length = 0;
      await world.install({ ...flags, dryRun: true });
      const isWritten = /Write \S+culvert-manager.service anew/.test(world.printed.join("\n"));
      assertEquals(isWritten, is === "replaced");
    }
    await assertRejects(
      () => world.install({ ...proxy, refresh: true }),
      CulvertError,
      "--refresh must be given alone",
    );
  });
}

function thisPlaces(world: World): InstallMachine["places"] {
  const { services, runDir, logDir } = world.places;
  const [run, logs] = [runDir, logDir];
  return { services, run, logs, socket: join(run, "manager.sock"), watchdogFiles: [], backend: "own" };
}

Deno.test("the same with --json is one object", async () => {
  using world = new World();
  const role = defineRole({ ...installRole });
  const options = { stateDir: world.path("state"), json: true, print: (line: string) => void world.printed.push(line) };
  const settings = role.config.parse({
    ...world.places,
    role: "tunnel",
    set: ["token=hush"],
    user: "root",
    dryRun: true,
  });
  await using running = startRole(role, settings, options);
  await running.done;
  const [line, ...more] = world.printed;
  assertEquals([JSON.parse(line!).name, JSON.parse(line!).dryRun, more], ["tunnel", true, []]);
  assert(!line!.includes("hush"));
});

Deno.test("when a step fails, what the steps before have made is gone again", async () => {
  using world = new World();
  // Its place is taken by a folder, which shows only when it is written.
  await Deno.mkdir(world.path("etc/services/out.toml"), { recursive: true });
  world.machine = { ...world.machine, readText: () => Promise.resolve(undefined) };
  await assertRejects(() => world.install({ ...proxy, name: "out", yes: true }), Error);
  assertEquals(world.files(), ["etc/", "etc/services/", "etc/services/out.toml/", "state/", "state/installed/"]);
});

const refused: readonly { name: string; flags: Record<string, unknown>; says: string }[] = [
  { name: "nobody to ask", flags: proxy, says: "--yes must be given where nobody can be asked" },
  { name: "no role", flags: { yes: true }, says: "--role must be given" },
  { name: "no such role", flags: { role: "prxy", yes: true }, says: "did you mean proxy?" },
  { name: "a role that ends", flags: { role: "keys", yes: true }, says: "Cannot install keys" },
  { name: "settings of no role", flags: { set: ["a=b"], yes: true }, says: "--role must be given where --set is" },
  { name: "what is missing", flags: { role: "kcp-client", yes: true }, says: "--set server=… must be given" },
  { name: "a bad value", flags: { ...proxy, set: ["listen=x"], yes: true }, says: "--set listen must be host:port" },
  { name: "a name of the manager's own", flags: { ...proxy, name: "watchdog", yes: true }, says: "none of manager" },
  { name: "a user, by others than root", flags: { ...proxy, user: "x", yes: true }, says: "only root can run" },
];

for (const { name, flags, says } of refused) {
  Deno.test(`installing is refused in words: ${name}`, async () => {
    using world = new World();
    await assertRejects(() => world.install(flags), CulvertError, says);
    assertEquals(world.files(), []);
  });
}

Deno.test("a user that cannot read the program is told of before anything is written", async () => {
  using world = new World();
  const isOpenToAll = () => Promise.resolve(false);
  world.machine = { isRoot: true, hasSystemd: false, hasUser: () => Promise.resolve(false), isOpenToAll };
  const installing = () => world.install({ ...proxy, name: "out", yes: true });
  await assertRejects(installing, CulvertError, "the user culvert-out cannot run");
  assertEquals(world.files(), []);
});

Deno.test("what everybody may read is no program yet", async () => {
  assertEquals([await isOpenToAll("/etc/passwd"), await isOpenToAll("/etc/passwd", "run")], [true, false]);
  assertEquals(await isOpenToAll("/bin/sh", "run"), true);
});

Deno.test("a program that is not there yet is told of, and its files can be seen all the same", async () => {
  using world = new World();
  await world.install({ role: "xray", set: ["program=/nonexistent/xray"], dryRun: true });
  const printed = world.printed.join("\n");
  assertStringIncludes(printed, "Note: /nonexistent/xray is not there yet");
  assertStringIncludes(printed, '"protocol": "socks"');
});

const findRoute = () =>
  Promise.resolve({ interfaceName: "eth0", source: "192.0.2.7", gatewayMac: "00:00:5e:00:53:01" });

Deno.test("the server's side of a program of others is installed by what a server needs", async () => {
  for (const role of ["paqet", "gfk"]) {
    using world = new World();
    world.machine = { ...world.machine, findRoute };
    await world.install({ role, set: ["side=server", "port=9999", "key=K"], dryRun: true });
    assertStringIncludes(world.printed.join("\n"), "9999");
    const withoutPort = () => world.install({ role, set: ["side=server", "key=K"], dryRun: true });
    await assertRejects(withoutPort, CulvertError, "--set port=… must be given");
  }
});

Deno.test("a program of others is installed with the configuration that it has", async () => {
  using world = new World();
  await world.install({ role: "gfk", set: ["config=/etc/gfk.yaml"], dryRun: true });
  assertStringIncludes(world.printed.join("\n"), '"-config", "/etc/gfk.yaml"');
});

Deno.test("on a terminal a server is asked for its port, and not for its server", async () => {
  using world = new World();
  world.machine = { ...world.machine, findRoute };
  const person = new Answering(..."paqet||server|9999|K|y".split("|"));
  await world.install({}, person);
  assert(!person.heard.some((line) => line.includes("client: the server")));
  assertStringIncludes(await Deno.readTextFile(world.path("etc/paqet.yaml")), "9999");
});

Deno.test("a service that is there is not written over; a configuration that is there is kept", async () => {
  using world = new World();
  await Deno.mkdir(world.path("etc"));
  await Deno.writeTextFile(world.path("etc/out.toml"), "# mine\n");
  await world.install({ ...proxy, name: "out", yes: true });
  assertEquals(await Deno.readTextFile(world.path("etc/out.toml")), "# mine\n");
  await assertRejects(
    () => world.install({ ...proxy, name: "out", yes: true }),
    CulvertError,
    "such a service already",
  );
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(await Deno.readTextFile(world.path("etc/out.toml")), "# mine\n");
});

Deno.test("a configuration that is there is told of where its user cannot read it", async () => {
  using world = new World();
  await Deno.mkdir(world.path("etc"));
  const isOpenToAll = () => Promise.resolve(true);
  world.machine = { isRoot: true, hasSystemd: false, isOpenToAll, hasUser: () => Promise.resolve(false) };
  for (const [role, set, path] of [["proxy", [], "etc/out.toml"], ["xray", ["config="], "etc/x.json"]] as const) {
    await Deno.writeTextFile(world.path(path), "", { mode: 0o600 });
    await world.install({ role, set: set.map((start) => start + world.path(path)), name: "out", dryRun: true });
    assertStringIncludes(world.printed.join("\n"), `culvert-out, who runs it, cannot read ${world.path(path)}`);
  }
});

Deno.test("of a configuration that is kept the manager is told what that says", async () => {
  using world = new World();
  await Deno.mkdir(world.path("etc"));
  await Deno.writeTextFile(
    world.path("etc/out.toml"),
    'listen = ["127.0.0.1:7"]\npath = ["kcp+raw://K@192.0.2.7:1/"]\n',
  );
  await world.install({ ...proxy, name: "out", probe: "http://h/", yes: true });
  const service = await Deno.readTextFile(world.path("etc/services/out.toml"));
  assertStringIncludes(service, '\nlisten = ["127.0.0.1:7"]\n');
  assertStringIncludes(service, '\nprobe.through = "socks5://127.0.0.1:7"\n');
  assertStringIncludes(service, '\ncapabilities = ["CAP_NET_ADMIN", "CAP_NET_RAW"]\n');
});

Deno.test("what was edited by hand is kept and told, and goes with --purge", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.writeTextFile(world.path("etc/out.toml"), "\n# mine\n", { append: true });
  await Deno.writeTextFile(world.path("etc/services/out.toml"), "\n# mine\n", { append: true });
  await Deno.writeTextFile(world.path("state/services/out/kept"), "");
  await world.uninstall({ names: ["out"], yes: true });
  const told = world.told.join("\n");
  assertStringIncludes(told, `Keep ${world.path("etc/out.toml")}, which was edited by hand`);
  assertStringIncludes(told, `to ${world.path("etc/services/out.toml.kept")}`);
  const files = world.files().filter((path) => !path.endsWith("/"));
  assertEquals(files, [
    "etc/out.toml",
    "etc/services/out.toml.kept",
    "state/installed/out.json",
    "state/services/out/kept",
  ]);
  await world.uninstall({ names: ["out"], yes: true, purge: true });
  assertEquals(world.files().filter((path) => !path.endsWith("/")), ["etc/services/out.toml.kept"]);
});

Deno.test("a service's environment goes with it, and what is left when the manager goes is named", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.mkdir(world.path("run"));
  await Deno.writeTextFile(world.path("run/out.env"), "SECRET=hush");
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(world.files().filter((path) => path.endsWith(".env")), []);
  const left = await leftBehind({ ...thisPlaces(world), watchdogFiles: [world.path("w.conf")] }, world.path("modules"));
  assertEquals(left, [world.path("etc/services")]);
});

Deno.test("what was kept of a service once is not written over when it is uninstalled again", async () => {
  using world = new World();
  for (const text of ["# first", "# second", "# third"]) {
    await world.install({ ...proxy, name: "out", yes: true });
    await Deno.writeTextFile(world.path("etc/services/out.toml"), text);
    await world.uninstall({ names: ["out"], yes: true });
  }
  const kept = ["kept", "kept.1", "kept.2"].map((end) => Deno.readTextFile(world.path(`etc/services/out.toml.${end}`)));
  assertEquals(await Promise.all(kept), ["# first", "# second", "# third"]);
});

Deno.test("what an installation that was killed has left is taken up by the next, and goes with it", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.remove(world.path("etc/services/out.toml"));
  await world.install({ ...proxy, name: "out", yes: true });
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(world.files().filter((path) => !path.endsWith("/")), []);
});

Deno.test("what is left of a service without its file can be taken away as well", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.remove(world.path("etc/services/out.toml"));
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(world.files().filter((path) => !path.endsWith("/")), []);
});

Deno.test("uninstalling asks, and does nothing without a yes", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  const before = world.files();
  await assertRejects(() => world.uninstall({ names: ["out"] }, new Answering("")), CulvertError, "Nothing is removed");
  await assertRejects(() => world.uninstall({ names: ["out"] }), CulvertError, "--yes must be given");
  await assertRejects(() => world.uninstall({ names: ["uot"], yes: true }), CulvertError, "did you mean out?");
  await world.uninstall({ names: ["out"], dryRun: true });
  assertEquals(world.files(), before);
  await world.uninstall({ names: ["out"] }, new Answering("y"));
  assertEquals(world.files().filter((path) => !path.endsWith("/")), []);
});

Deno.test("a manager that runs is told, starts what is new and stops what goes", async () => {
  using world = new World();
  await Deno.mkdir(world.path("run"));
  await using manager = await FakeManager.serve(world.path("run"), [{ name: "out", state: "stopped" }]);
  await world.install({ ...proxy, name: "out", yes: true });
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(manager.orders, [{ do: "start", names: ["out"] }, { do: "stop", names: ["out"] }]);
});

Deno.test("with --no-start a manager that sees the new service does not start it", async () => {
  using world = new World();
  await Deno.mkdir(world.path("run"));
  await using manager = await FakeManager.serve(world.path("run"), [{ name: "out", state: "stopped" }]);
  await world.install({ ...proxy, name: "out", yes: true, start: false });
  assertEquals(manager.orders, []);
  assertStringIncludes(await Deno.readTextFile(world.path("etc/services/out.toml")), "\nenabled = false\n");
  assertStringIncludes(world.told.at(-1)!, "not started: culvert manager start out does");
});

Deno.test("a process without a manager keeps its service from being uninstalled", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.mkdir(world.path("run"));
  const ticks = (await Deno.readTextFile("/proc/self/stat")).split(") ")[1]!.split(" ")[19];
  const boot = (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim();
  await Deno.writeTextFile(world.path("run/out.pid"), `${Deno.pid}\n${ticks} ${boot} 0123456789abcdef\n`);
  const removing = () => world.uninstall({ names: ["out"], yes: true });
  await assertRejects(removing, CulvertError, `process ${Deno.pid} does, without a manager`);
  // Of an earlier boot, it is nobody's.
  await Deno.writeTextFile(world.path("run/out.pid"), `${Deno.pid}\n1 ${boot} 0123456789abcdef\n`);
  await removing();
});

Deno.test("on a terminal it asks for what it must know, and writes after the last yes alone", async () => {
  using world = new World();
  const person = new Answering(
    ..."?|kcp client|way out|way-out|nonsense|kcp+udp://K@192.0.2.7:4000/|localhost:x|127.0.0.1:1081".split("|"),
    ..."ftp://x|http://example.com/|s|y".split("|"),
  );
  await world.install({}, person);
  const heard = person.heard.join("\n");
  assertStringIncludes(heard, "kcp-client ");
  assertStringIncludes(heard, "A name has lower-case letters");
  assertStringIncludes(heard, "It must be host:port");
  assertStringIncludes(heard, "It must be a URL that starts with http");
  assertStringIncludes(heard, `=== ${world.path("etc/way-out.toml")}`);
  const config = await Deno.readTextFile(world.path("etc/way-out.toml"));
  assertStringIncludes(config, '\nlisten = ["127.0.0.1:1081"]\n');
  const service = await Deno.readTextFile(world.path("etc/services/way-out.toml"));
  assertStringIncludes(service, '\nprobe.through = "socks5://127.0.0.1:1081"\n');
});

Deno.test("one can go back, as far as to the first question", async () => {
  using world = new World();
  const person = new Answering(
    ..."<|tunnel|<|proxy|a|127.0.0.1:1|<|127.0.0.1:2|<|127.0.0.1:3|direct:||<||y".split("|"),
  );
  await world.install({}, person);
  assertStringIncludes(person.heard.join("\n"), "This is the first question.");
  assertStringIncludes(await Deno.readTextFile(world.path("etc/a.toml")), '\nlisten = "127.0.0.1:3"\n');
});

Deno.test("from the last question of all one can go back to each before", async () => {
  using world = new World();
  const person = new Answering(..."proxy|a|127.0.0.1:1|direct:||<|<|<|127.0.0.1:2|direct:||y".split("|"));
  await world.install({}, person);
  assertStringIncludes(await Deno.readTextFile(world.path("etc/a.toml")), '\nlisten = "127.0.0.1:2"\n');
  // Where flags have said all, that is the first.
  const second = new Answering("<", "y");
  await world.install({ ...proxy, set: ["listen=127.0.0.1:3", "path=direct:"], name: "b", probe: "http://h/" }, second);
  assertEquals(second.heard.filter((line) => line.startsWith("Do this?")).length, 2);
});

Deno.test("what is wrong with flags is told before anything is asked", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "there", yes: true });
  const rows: [flags: Record<string, unknown>, says: string][] = [
    [{ role: "proxy", set: ["listen=x"] }, "--set listen must be host:port"],
    [{ ...proxy, name: "No" }, "a service's name must be lower-case letters"],
    [{ ...proxy, name: "there" }, "such a service already"],
    [{ user: "x" }, "only root can run"],
  ];
  for (const [flags, says] of rows) {
    const person = new Answering("out", "", "", "", "y");
    await assertRejects(() => world.install(flags, person), CulvertError, says);
    assertEquals(person.heard, []);
  }
});

Deno.test("what flags do not say yet is asked, though the role cannot do without", async () => {
  using world = new World();
  const person = new Answering(..."||https://b.example||y".split("|"));
  await world.install({ role: "relay" }, person);
  assertStringIncludes(await Deno.readTextFile(world.path("etc/relay.toml")), "https://b.example");
});

Deno.test("what shows to be wrong at last is answered anew, and flags still hold", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "there", yes: true });
  const person = new Answering(..."there|direct:|<|out|direct:|y".split("|"));
  await world.install({ ...proxy, probe: "http://h/" }, person);
  assertStringIncludes(person.heard.join("\n"), "such a service already");
  assertStringIncludes(await Deno.readTextFile(world.path("etc/services/out.toml")), 'probe.url = "http://h/"');
});

for (const [how, answers] of [["q", ["q"]], ["Ctrl-D", []], ["n at the end", ["", "", "", "", "n"]]] as const) {
  Deno.test(`given up by ${how}, nothing is written`, async () => {
    using world = new World();
    const person = new Answering("proxy", ...answers);
    await assertRejects(() => world.install({}, person), CulvertError, "Nothing is installed");
    assertEquals(world.files(), []);
  });
}

Deno.test("what flags say is not asked", async () => {
  using world = new World();
  const person = new Answering("", "", "y");
  await world.install({ ...proxy, name: "out" }, person);
  assert(!person.heard.some((line) => line.includes("Where programs find the proxy")));
  assertEquals(dirname(world.path("etc/out.toml")), world.path("etc"));
  assertStringIncludes(await Deno.readTextFile(world.path("etc/out.toml")), '\nlisten = "127.0.0.1:1099"\n');
});

Deno.test("the manager stays while other services are left", async () => {
  using world = new World();
  await world.install({ ...proxy, name: "out", yes: true });
  const removing = () => world.uninstall({ manager: true, yes: true });
  await assertRejects(removing, CulvertError, "no other service is left, and there is out");
  await assertRejects(() => world.uninstall({ yes: true }), CulvertError, "give the names of services, or --manager");
});
