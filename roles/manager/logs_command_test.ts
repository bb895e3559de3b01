import { assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { testWith } from "../../testing/requirements.ts";
import { Changes } from "../../testing/waiting.ts";
import { type RunningRole, startRole } from "../role.ts";
import { FakeManager } from "./fixtures/fake_manager.ts";
import { journalLines } from "./journal_lines.ts";
import { logsRole } from "./logs_command.ts";

class World implements Disposable {
  readonly temp = new TempDirectory();
  readonly lines: string[] = [];
  readonly changes = new Changes();

  constructor(names: readonly string[]) {
    for (const name of names) Deno.writeTextFileSync(this.temp.path(`${name}.toml`), "");
  }

  write(name: string, text: string): void {
    Deno.writeTextFileSync(this.temp.path(`${name}.log`), text, { append: true });
  }

  start(settings: Record<string, unknown>, json = false): RunningRole {
    const dir = this.temp.path("");
    const config = logsRole.config.parse({ services: dir, runDir: dir, logDir: dir, backend: "own", ...settings });
    const print = (line: string) => {
      this.lines.push(line);
      this.changes.tell();
    };
    return startRole(logsRole, config, { clock: clockOf(globalThis), stateDir: dir, json, print });
  }

  [Symbol.dispose](): void {
    this.temp[Symbol.dispose]();
  }
}

Deno.test("logs of one are its lines, of several each with its name", async () => {
  using world = new World(["kcp", "paqet"]);
  world.write("kcp", "one\ntwo\nthree\n");
  world.write("paqet", "a\n");
  await world.start({ names: ["kcp"], lines: 2 }).done;
  assertEquals(world.lines.splice(0), ["two", "three"]);
  await world.start({}).done;
  assertEquals(world.lines.splice(0), ["kcp   | one", "kcp   | two", "kcp   | three", "paqet | a"]);
  await world.start({ names: ["paqet"] }, true).done;
  assertEquals(world.lines.map((line) => JSON.parse(line)), [{ service: "paqet", line: "a" }]);
});

Deno.test("logs are followed until a stop, and none waits for another", async () => {
  using world = new World(["kcp", "paqet"]);
  world.write("kcp", "one\n");
  await using running = world.start({ follow: true });
  const has = (line: string) => world.changes.until(() => world.lines.includes(line), line);
  await has("kcp   | one");
  world.write("paqet", "the first\n");
  await has("paqet | the first");
  world.write("kcp", "two\n");
  await has("kcp   | two");
  await running.stop();
});

Deno.test("logs are of the services that the manager knows, or the service files", async () => {
  using world = new World(["kcp"]);
  const wrong = () => world.start({ names: ["kpc"] }).done;
  await assertRejects(wrong, CulvertError, "Cannot find kpc: there is no such service; did you mean kcp?");
  await using _manager = await FakeManager.serve(world.temp.path(""), [{ name: "xray" }]);
  world.write("xray", "here\n");
  await world.start({}).done;
  assertEquals(world.lines, ["here"]);
  await assertRejects(() => world.start({ names: ["kcp"] }).done, CulvertError, "did you mean xray?");
});

Deno.test("names that are paths are none", () => {
  for (const name of ["../etc/passwd", "/etc/passwd", "a/b", "", "UPPER"]) {
    assertEquals(logsRole.config.safeParse({ names: [name] }).success, false, name);
  }
});

testWith(
  { tools: ["journalctl"] },
  "a journal of a unit that was never there is empty, and following it ends with the signal",
  async () => {
    const end = new AbortController();
    const { signal } = end;
    const unit = "culvert-never-was-there.service";
    assertEquals(await Array.fromAsync(journalLines(unit, { lines: 5, follow: false, signal })), []);
    const following = Array.fromAsync(journalLines(unit, { lines: 5, follow: true, signal }));
    end.abort(new Error("It is over"));
    await assertRejects(() => following, Error, "It is over");
  },
);
