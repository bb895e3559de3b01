import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { commandWord, signedUnit } from "../../protocol/manager/unit_text.ts";
import { defineRole, startRole } from "../role.ts";
import { FakeManager } from "./fixtures/fake_manager.ts";
import { isOpenToAll } from "./install/this_machine.ts";
import { installRole } from "./install_command.ts";
import { findRoute, InstallWorld, proxy, thisPlaces } from "./fixtures/install_world.ts";

Deno.test("a service is installed unattended, and all of it goes again", async () => {
  using world = new InstallWorld();
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
  using world = new InstallWorld();
  await world.install({ role: "tunnel", set: ["token=hush"], dryRun: true });
  assertEquals(world.files(), []);
  const printed = world.printed.join("\n");
  assertStringIncludes(printed, `=== ${world.path("etc/tunnel.toml")} (mode 0600)`);
  assertStringIncludes(printed, `=== ${world.path("etc/services/tunnel.toml")} (mode 0600)`);
  assert(!printed.includes("hush"));
});

Deno.test("a dry run for root with systemd shows the user and both units", async () => {
  using world = new InstallWorld();
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

Deno.test("a program in one file needs no modules beside it, and a checkout has them put where services read them", async () => {
  using world = new InstallWorld();
  const places = { ...thisPlaces(world), backend: "systemd" as const };
  const yes = () => Promise.resolve(true);
  const machine = { isRoot: true, hasSystemd: true, places, isThere: yes, isOpenToAll: yes, hasUser: yes };
  const commands = [["/usr/local/bin/culvert"], ["/usr/bin/deno", "run", "-A", "/opt/culvert/roles/main.ts"]] as const;
  for (const ownCommand of commands) {
    const isCheckout = ownCommand.length > 1;
    world.machine = { ...machine, ownCommand, readText: () => Promise.resolve(undefined) };
    for (const flags of [{ ...proxy, name: "out" }, { refresh: true }]) {
      world.printed.length = 0;
      await world.install({ ...flags, dryRun: true });
      const printed = world.printed.join("\n");
      assertEquals(printed.includes("Put the modules of culvert into"), isCheckout, printed);
      // A refresh shows no files.
      if ("refresh" in flags) continue;
      assertEquals(printed.includes("DENO_DIR"), isCheckout, printed);
      assertStringIncludes(printed, ownCommand[0]);
    }
  }
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
    using world = new InstallWorld();
    const places = { ...thisPlaces(world), backend: "systemd" as const };
    world.machine = { isRoot: true, hasSystemd: true, places, isOpenToAll: () => Promise.resolve(true) };
    await world.install({ ...row, dryRun: true });
    for (const line of says) assertStringIncludes(world.printed.join("\n"), line);
  });
}

Deno.test("a manager that is to run the services itself gets no unit, which would not let it", async () => {
  using world = new InstallWorld();
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
    using world = new InstallWorld();
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

Deno.test("the same with --json is one object", async () => {
  using world = new InstallWorld();
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
  using world = new InstallWorld();
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
    using world = new InstallWorld();
    await assertRejects(() => world.install(flags), CulvertError, says);
    assertEquals(world.files(), []);
  });
}

Deno.test("a user that cannot read the program is told of before anything is written", async () => {
  using world = new InstallWorld();
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
  using world = new InstallWorld();
  await world.install({ role: "xray", set: ["program=/nonexistent/xray"], dryRun: true });
  const printed = world.printed.join("\n");
  assertStringIncludes(printed, "Note: /nonexistent/xray is not there yet");
  assertStringIncludes(printed, '"protocol": "socks"');
});

Deno.test("the server's side of a program of others is installed by what a server needs", async () => {
  for (const role of ["paqet", "gfk"]) {
    using world = new InstallWorld();
    world.machine = { ...world.machine, findRoute };
    await world.install({ role, set: ["side=server", "port=9999", "key=K"], dryRun: true });
    assertStringIncludes(world.printed.join("\n"), "9999");
    const withoutPort = () => world.install({ role, set: ["side=server", "key=K"], dryRun: true });
    await assertRejects(withoutPort, CulvertError, "--set port=… must be given");
  }
});

Deno.test("a program of others is installed with the configuration that it has", async () => {
  using world = new InstallWorld();
  await world.install({ role: "gfk", set: ["config=/etc/gfk.yaml"], dryRun: true });
  assertStringIncludes(world.printed.join("\n"), '"-config", "/etc/gfk.yaml"');
});

Deno.test("a service that is there is not written over; a configuration that is there is kept", async () => {
  using world = new InstallWorld();
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
  using world = new InstallWorld();
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
  using world = new InstallWorld();
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

Deno.test("a manager that runs is told, starts what is new and stops what goes", async () => {
  using world = new InstallWorld();
  await Deno.mkdir(world.path("run"));
  await using manager = await FakeManager.serve(world.path("run"), [{ name: "out", state: "stopped" }]);
  await world.install({ ...proxy, name: "out", yes: true });
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(manager.orders, [{ do: "start", names: ["out"] }, { do: "stop", names: ["out"] }]);
});

Deno.test("with --no-start a manager that sees the new service does not start it", async () => {
  using world = new InstallWorld();
  await Deno.mkdir(world.path("run"));
  await using manager = await FakeManager.serve(world.path("run"), [{ name: "out", state: "stopped" }]);
  await world.install({ ...proxy, name: "out", yes: true, start: false });
  assertEquals(manager.orders, []);
  assertStringIncludes(await Deno.readTextFile(world.path("etc/services/out.toml")), "\nenabled = false\n");
  assertStringIncludes(world.told.at(-1)!, "not started: culvert manager start out does");
});
