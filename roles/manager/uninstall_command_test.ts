import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { leftBehind } from "./install/removal.ts";
import { Answering, InstallWorld, proxy, thisPlaces } from "./fixtures/install_world.ts";

Deno.test("what was edited by hand is kept and told, and goes with --purge", async () => {
  using world = new InstallWorld();
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
  using world = new InstallWorld();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.mkdir(world.path("run"));
  await Deno.writeTextFile(world.path("run/out.env"), "SECRET=hush");
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(world.files().filter((path) => path.endsWith(".env")), []);
  const left = await leftBehind({ ...thisPlaces(world), watchdogFiles: [world.path("w.conf")] }, world.path("modules"));
  assertEquals(left, [world.path("etc/services")]);
});

Deno.test("what was kept of a service once is not written over when it is uninstalled again", async () => {
  using world = new InstallWorld();
  for (const text of ["# first", "# second", "# third"]) {
    await world.install({ ...proxy, name: "out", yes: true });
    await Deno.writeTextFile(world.path("etc/services/out.toml"), text);
    await world.uninstall({ names: ["out"], yes: true });
  }
  const kept = ["kept", "kept.1", "kept.2"].map((end) => Deno.readTextFile(world.path(`etc/services/out.toml.${end}`)));
  assertEquals(await Promise.all(kept), ["# first", "# second", "# third"]);
});

Deno.test("what an installation that was killed has left is taken up by the next, and goes with it", async () => {
  using world = new InstallWorld();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.remove(world.path("etc/services/out.toml"));
  await world.install({ ...proxy, name: "out", yes: true });
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(world.files().filter((path) => !path.endsWith("/")), []);
});

Deno.test("what is left of a service without its file can be taken away as well", async () => {
  using world = new InstallWorld();
  await world.install({ ...proxy, name: "out", yes: true });
  await Deno.remove(world.path("etc/services/out.toml"));
  await world.uninstall({ names: ["out"], yes: true });
  assertEquals(world.files().filter((path) => !path.endsWith("/")), []);
});

Deno.test("uninstalling asks, and does nothing without a yes", async () => {
  using world = new InstallWorld();
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

Deno.test("a process without a manager keeps its service from being uninstalled", async () => {
  using world = new InstallWorld();
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

Deno.test("the manager stays while other services are left", async () => {
  using world = new InstallWorld();
  await world.install({ ...proxy, name: "out", yes: true });
  const removing = () => world.uninstall({ manager: true, yes: true });
  await assertRejects(removing, CulvertError, "no other service is left, and there is out");
  await assertRejects(() => world.uninstall({ yes: true }), CulvertError, "give the names of services, or --manager");
});
