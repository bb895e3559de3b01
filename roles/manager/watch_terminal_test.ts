import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { FakeManager } from "./fixtures/fake_manager.ts";
import { quote, Tmux, type TmuxCommand, type TmuxOptions } from "./fixtures/tmux.ts";

const COMMAND = fromFileUrl(import.meta.resolve("./fixtures/main_command.ts"));
const SIZE: TmuxOptions = { columns: 80, rows: 24 };

class World implements AsyncDisposable {
  readonly temp = new TempDirectory();
  readonly #manager: FakeManager;
  readonly tmux: Tmux;

  private constructor(manager: FakeManager, tmux: Tmux, temp: TempDirectory) {
    this.#manager = manager;
    this.tmux = tmux;
    this.temp = temp;
  }

  static async open(size = SIZE, names: readonly string[] = ["kcp", "paqet", "xray"]): Promise<World> {
    const temp = new TempDirectory();
    const manager = await FakeManager.serve(temp.path(""), names.map((name) => ({ name, state: "running", pid: 10 })));
    return new World(manager, await Tmux.open(size), temp);
  }

  get manager(): FakeManager {
    return this.#manager;
  }

  get runDir(): string {
    return this.temp.path("");
  }

  start(...command: readonly string[]): Promise<TmuxCommand> {
    const words = command.length > 0 ? command : ["watch", "--every", "300ms"];
    const flags = ["--run-dir", this.runDir, "--log-dir", this.runDir, "--backend", "own"];
    return this.tmux.start([Deno.execPath(), "run", "-A", COMMAND, ...words, ...flags].map(quote).join(" "));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tmux[Symbol.asyncDispose]();
    await this.#manager[Symbol.asyncDispose]();
    this.temp[Symbol.dispose]();
  }
}

testWith({ tools: ["tmux", "bash"] }, "watch draws each frame at once and clears nothing", async () => {
  await using world = await World.open();
  const { tmux, manager } = world;
  const command = await world.start();
  await tmux.shows("kcp", "running", "3 services");
  manager.set({ name: "kcp", state: "stopped" });
  await tmux.shows("1 stopped");
  manager.set({ name: "paqet", health: "unhealthy", reason: "port 1080 does not listen" });
  await tmux.type("j");
  await tmux.shows("port 1080 does not listen");
  await tmux.type("q");
  assertEquals((await command.ended()).code, 0);
  const raw = await tmux.raw();
  const [, taken = ""] = raw.split("\x1b[?1049h\x1b[?25l\x1b[?7l");
  const [drawn = "", after] = taken.split("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l");
  assert(after !== undefined, "it takes the screen and gives it back");
  // Nothing but whole frames: each begins and ends a synchronized update.
  const frames = drawn.split("\x1b[?2026h").slice(1);
  assert(frames.length >= 4 && drawn.startsWith("\x1b[?2026h"));
  for (const frame of frames) assertEquals(frame.indexOf("\x1b[?2026l"), frame.length - 8);
  for (const clearing of ["\x1b[2J", "\x1b[J", "\x1b[0J", "\x1b[1J", "\x1b[3J", "\x1bc", "\n"]) {
    assert(!drawn.includes(clearing), `it must not write ${JSON.stringify(clearing)}`);
  }
});

const ENDS: Readonly<Record<string, (world: World, command: TmuxCommand) => Promise<void>>> = {
  "the q key": ({ tmux }) => tmux.type("q"),
  "Ctrl-C": ({ tmux }) => tmux.type("C-c"),
  SIGTERM: async (_world, command) => Deno.kill(await command.pid(), "SIGTERM"),
  SIGINT: async (_world, command) => Deno.kill(await command.pid(), "SIGINT"),
  SIGHUP: async (_world, command) => Deno.kill(await command.pid(), "SIGHUP"),
  "the manager's crash and a key": async ({ manager, tmux }) => {
    await manager[Symbol.asyncDispose]();
    await tmux.shows("The manager does not answer");
    await tmux.type("q");
  },
};

testWith({ tools: ["tmux", "bash"] }, "the terminal is as before, whatever has ended watch", async () => {
  for (const [name, end] of Object.entries(ENDS)) {
    await using world = await World.open();
    const { tmux } = world;
    const command = await world.start();
    await tmux.shows("3 services");
    assertEquals(await tmux.state(), { isAlternate: true, hasCursor: false, wraps: false }, name);
    await end(world, command);
    const { code, before, after } = await command.ended();
    assertEquals(code, 0, name);
    assertEquals(after, before, name);
    assertEquals(await tmux.state(), { isAlternate: false, hasCursor: true, wraps: true }, name);
  }
});

testWith({ tools: ["tmux", "bash"] }, "keys act on the chosen service, and ask before they stop one", async () => {
  await using world = await World.open();
  const { tmux, manager } = world;
  const command = await world.start();
  await tmux.shows("3 services");
  await tmux.type("Down", "x");
  await tmux.shows("stop paqet? y/n");
  await tmux.type("n");
  await tmux.shows("q quit");
  await tmux.type("x", "y");
  await tmux.shows("1 stopped");
  await tmux.type("s");
  await tmux.shows("3 running");
  await tmux.type("/", "xr", "Enter", "r", "y");
  await tmux.shows("filter: xr", "restart xray: the manager sees to it");
  assertEquals(manager.orders, [
    { do: "stop", names: ["paqet"] },
    { do: "start", names: ["paqet"] },
    { do: "restart", names: ["xray"] },
  ]);
  await Deno.writeTextFile(`${world.runDir}/xray.log`, "a line\nanother \x1b[2J\n");
  await tmux.type("l");
  await tmux.shows("Log of xray", "a line", "another \\u001b[2J");
  await Deno.writeTextFile(`${world.runDir}/xray.log`, "a third\n", { append: true });
  await tmux.shows("a third");
  await tmux.type("Escape");
  await tmux.shows("3 services", "filter: xr");
  await tmux.type("q");
  assertEquals((await command.ended()).code, 0);
});

testWith({ tools: ["tmux", "bash"] }, "narrow, low and resized terminals show what fits", async () => {
  const names = Array.from({ length: 30 }, (_, at) => `service-${String(at).padStart(2, "0")}`);
  await using world = await World.open({ columns: 40, rows: 10 }, names);
  const { tmux } = world;
  const command = await world.start();
  await tmux.shows("30 services", "SERVICE", "service-00");
  assert((await tmux.lines()).every((line) => !line.includes("OUT/S")), "what does not fit is left out");
  await tmux.type("End");
  await tmux.shows("service-29");
  await tmux.resize({ columns: 100, rows: 40 });
  await tmux.shows("OUT/S", "service-00", "service-29", "q quit");
  await tmux.resize({ columns: 30, rows: 4 });
  await tmux.waitFor("the chosen service alone", (lines) => {
    return lines.length === 4 && lines[0]!.startsWith("  service-2") &&
      lines.some((line) => line.startsWith("> service-29"));
  });
  await tmux.resize({ columns: 80, rows: 24 });
  await tmux.shows("SERVICE", "OUT/S", "service-29");
  await tmux.type("q");
  assertEquals((await command.ended()).code, 0);
});

testWith({ tools: ["tmux", "bash"] }, "Ctrl-Z gives the terminal to the shell, and fg takes it back", async () => {
  await using world = await World.open();
  const { tmux } = world;
  await world.start();
  await tmux.shows("3 services");
  await tmux.type("C-z");
  await tmux.shows("Stopped");
  assertEquals(await tmux.state(), { isAlternate: false, hasCursor: true, wraps: true });
  await tmux.type("fg", "Enter");
  await tmux.shows("3 services", "q quit");
  assertEquals(await tmux.state(), { isAlternate: true, hasCursor: false, wraps: false });
  await tmux.type("q");
  await tmux.waitFor("the shell", (lines) => lines.every((line) => !line.includes("3 services")));
  assertEquals(await tmux.state(), { isAlternate: false, hasCursor: true, wraps: true });
});

testWith({ tools: ["tmux", "bash"] }, "SIGTSTP from elsewhere does the same", async () => {
  await using world = await World.open();
  const { tmux } = world;
  const command = await world.start();
  await tmux.shows("3 services");
  Deno.kill(await command.pid(), "SIGTSTP");
  await tmux.shows("Stopped");
  assertEquals(await tmux.state(), { isAlternate: false, hasCursor: true, wraps: true });
  await tmux.type("fg", "Enter");
  await tmux.shows("3 services", "q quit");
  await tmux.type("q");
});

testWith(
  { tools: ["tmux", "bash"] },
  "on a terminal it is shown how a start gets on, and nothing of that stays",
  async () => {
    await using world = await World.open(SIZE, ["kcp", "paqet"]);
    const { tmux, manager } = world;
    for (const name of ["kcp", "paqet"]) manager.set({ name, state: "stopped" });
    manager.onOrder = (_deed, service) => ({ ...service, state: "starting", sinceMs: Date.now() });
    const command = await world.start("start", "--all");
    await tmux.shows("kcp starting 1s · paqet starting 1s");
    manager.set({ name: "kcp", state: "running", pid: 77 });
    await tmux.shows("kcp    runs, pid 77", "paqet starting");
    manager.set({ name: "paqet", gaveUp: true, state: "stopped", reason: "no such program" });
    assertEquals((await command.ended()).code, 1);
    await tmux.shows("paqet  did not start: no such program", "Cannot start: paqet did not start");
    assert((await tmux.lines()).every((line) => !line.includes("starting")));
  },
);

Deno.test("without a terminal watch says so and exits with 2", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", COMMAND, "watch", "--log-format", "text"],
    stdin: "null",
  }).output();
  assertEquals(code, 2);
  assertEquals(stdout.length, 0);
  assertMatch(new TextDecoder().decode(stderr), /must be a terminal; elsewhere there is culvert manager stats/);
});
