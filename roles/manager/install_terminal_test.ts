import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { quote, Tmux, type TmuxCommand } from "./fixtures/tmux.ts";

const PROGRAM = fromFileUrl(import.meta.resolve("./fixtures/install_program.ts"));
const needs = { tools: ["tmux", "bash"] };

class World implements AsyncDisposable {
  readonly temp = new TempDirectory();
  readonly tmux: Tmux;

  private constructor(tmux: Tmux) {
    this.tmux = tmux;
  }

  static async open(): Promise<World> {
    return new World(await Tmux.open({ columns: 100, rows: 40 }));
  }

  run(name: string, ...flags: string[]): Promise<TmuxCommand> {
    const places = ["--services", this.temp.path("etc/services"), "--run-dir", this.temp.path("run")];
    const more = ["--log-dir", this.temp.path("log"), "--state-dir", this.temp.path("state"), "--backend", "own"];
    const words = [Deno.execPath(), "run", "-A", PROGRAM, name, ...places, ...more, ...flags];
    return this.tmux.start(words.map(quote).join(" "));
  }

  /** Waits until that is on the screen, and answers. */
  async answer(question: string, text: string): Promise<void> {
    await this.tmux.shows(question);
    await this.tmux.type(text, "Enter");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tmux[Symbol.asyncDispose]();
    this.temp[Symbol.dispose]();
  }
}

testWith(needs, "a service is installed by answering on a terminal, and goes by a yes", async () => {
  await using world = await World.open();
  const installing = await world.run("install");
  await world.answer("What shall run here?", "proxy");
  await world.answer("What shall the service be called?", "way-out");
  await world.answer("Where programs find the proxy.", "127.0.0.1:99999");
  await world.answer("It must be host:port", "127.0.0.1:1099");
  await world.answer("A way out;", "<");
  await world.answer("[127.0.0.1:1080] > 127.0.0.1:1099", "127.0.0.1:1098");
  await world.answer("A way out;", "direct:");
  if (Deno.uid() === 0) await world.answer("Which user shall run it?", "root");
  await world.answer("A URL to fetch through it", "");
  await world.tmux.shows("To install way-out (proxy):", "Do this?");
  await assertNothing(world);
  await world.answer("Do this?", "y");
  const { code, before, after } = await installing.ended();
  assertEquals([code, after], [0, before]);
  await world.tmux.shows("way-out is installed");
  const config = await Deno.readTextFile(world.temp.path("etc/way-out.toml"));
  assertStringIncludes(config, '\nlisten = "127.0.0.1:1098"\n');

  const removing = await world.run("uninstall", "way-out");
  await world.answer("Do this? (y/N)", "y");
  assertEquals((await removing.ended()).code, 0);
  assert(!await exists(world.temp.path("etc/services/way-out.toml")));
});

for (const [how, keys] of [["Ctrl-C", ["C-c"]], ["Ctrl-D", ["C-d"]], ["q", ["q", "Enter"]]] as const) {
  testWith(needs, `on a terminal ${how} gives up, and nothing is written`, async () => {
    await using world = await World.open();
    const installing = await world.run("install", "--role", "proxy");
    await world.answer("What shall the service be called?", "");
    await world.tmux.shows("Where programs find the proxy.");
    await world.tmux.type(...keys);
    const { code, before, after } = await installing.ended();
    assertEquals([code, after], [1, before]);
    await world.tmux.shows("Nothing is installed");
    await assertNothing(world);
  });
}

for (
  const [how, keys] of [["answered", ["hush-hush", "Enter", "q", "Enter"]], ["broken off", [
    "hush-hush",
    "C-c",
  ]]] as const
) {
  testWith(
    { tools: [...needs.tools, "stty"] },
    `a secret is not seen while it is typed, and what follows is: ${how}`,
    async () => {
      await using world = await World.open();
      const installing = await world.run(
        "install",
        "keys",
        "--role",
        "gfk",
        "--set",
        "side=server",
        "--set",
        "port=9999",
      );
      await world.tmux.shows("The secret that both ends have.");
      await world.tmux.waitFor("a prompt", (lines) => lines.some((line) => line.trim() === ">"));
      await world.tmux.type(...keys);
      const { code, before, after } = await installing.ended();
      assertEquals([code, after], [1, before]);
      await world.tmux.shows("Nothing is installed");
      assert(!(await world.tmux.lines()).some((line) => line.includes("hush")));
      await assertNothing(world);
    },
  );
}

async function assertNothing({ temp }: World): Promise<void> {
  assertEquals(await Array.fromAsync(Deno.readDir(temp.path("."))), []);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
