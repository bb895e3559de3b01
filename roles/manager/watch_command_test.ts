import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { orAborted } from "../../protocol/abort.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { ConfigError } from "../config.ts";
import { defineRole, type RunningRole, startRole } from "../role.ts";
import { FakeManager } from "./fixtures/fake_manager.ts";
import { Picture } from "./fixtures/picture.ts";
import type { Key } from "./keys.ts";
import type { OwnTerminal, TerminalEvents } from "./terminal.ts";
import { runWatch, watchRole } from "./watch_command.ts";

const clock = clockOf(globalThis);

/** A terminal whose keys and events a test gives. */
class TypedTerminal extends Picture implements OwnTerminal {
  isThere = true;
  hasJobControl = false;
  events: TerminalEvents | undefined;
  #next = Promise.withResolvers<readonly Key[]>();

  type(...keys: readonly Key[]): void {
    this.#next.resolve(keys);
  }

  /** The next key cannot be read. */
  fail(error: Error): void {
    this.#next.reject(error);
  }

  async *keys(signal: AbortSignal): AsyncGenerator<readonly Key[]> {
    for (;;) {
      const keys = await orAborted(this.#next.promise, signal);
      this.#next = Promise.withResolvers();
      yield keys;
    }
  }

  listen(events: TerminalEvents): Disposable {
    this.events = events;
    return { [Symbol.dispose]: () => this.events = undefined };
  }

  stop(): boolean {
    return this.hasJobControl;
  }

  async shows(text: string): Promise<void> {
    const instead = () => this.lines.join("\n");
    await eventually(text, () => this.lines.some((line) => line.includes(text)), { instead });
  }

  get isGivenBack(): boolean {
    return !this.isRaw && this.modes.has("7") && this.modes.has("25") && !this.modes.has("1049") && !this.events;
  }
}

class World implements AsyncDisposable {
  readonly terminal = new TypedTerminal({ columns: 80, rows: 24 });
  readonly temp: TempDirectory;
  readonly manager: FakeManager;

  private constructor(temp: TempDirectory, manager: FakeManager) {
    this.temp = temp;
    this.manager = manager;
  }

  static async open(): Promise<World> {
    const temp = new TempDirectory();
    return new World(temp, await FakeManager.serve(temp.path(""), [{ name: "kcp", state: "running", pid: 1 }]));
  }

  start(): RunningRole {
    const dir = this.temp.path("");
    const role = defineRole({ ...watchRole, run: (config, context) => runWatch(config, context, this.terminal) });
    const config = role.config.parse({ services: dir, runDir: dir, logDir: dir, backend: "own", every: "200ms" });
    return startRole(role, config, { clock, stateDir: dir });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager[Symbol.asyncDispose]();
    this.temp[Symbol.dispose]();
  }
}

Deno.test("the terminal is given back when something fails that nobody expected", async () => {
  await using world = await World.open();
  const { terminal } = world;
  await using running = world.start();
  await terminal.shows("1 service");
  assert(!terminal.isGivenBack);
  terminal.fail(new Error("nobody expected this"));
  await assertRejects(() => running.done, Error, "nobody expected this");
  assert(terminal.isGivenBack);
});

Deno.test("a manager that crashes is asked again until it is back", async () => {
  await using world = await World.open();
  const { terminal, manager, temp } = world;
  await using running = world.start();
  await terminal.shows("1 running");
  await manager[Symbol.asyncDispose]();
  await terminal.shows("The manager does not answer");
  await terminal.shows("kcp");
  terminal.type("s");
  await terminal.shows("Cannot ask the manager: none runs here");
  await manager.begin(temp.path(""));
  await terminal.shows("1 running");
  terminal.type("q");
  await running.done;
  assert(terminal.isGivenBack);
});

Deno.test("a hang-up, the process's end and a stop by a signal give it back as well", async () => {
  await using world = await World.open();
  const { terminal } = world;
  {
    await using running = world.start();
    await terminal.shows("1 running");
    terminal.events!.onHangUp();
    await running.done;
    assert(terminal.isGivenBack);
  }
  await using running = world.start();
  await eventually("a second watch", () => terminal.isRaw);
  terminal.events!.onExit();
  assert(!terminal.isRaw && !terminal.modes.has("1049"));
  await running.stop();
  assert(terminal.isGivenBack);
});

Deno.test("Ctrl-Z gives it back until it is continued; where nobody would, it goes on at once", async () => {
  await using world = await World.open();
  const { terminal } = world;
  await using running = world.start();
  await terminal.shows("1 running");
  terminal.type("ctrl-z");
  const taken = () => terminal.writes.filter((text) => text.includes("\x1b[?1049h")).length;
  await eventually("it is taken again", () => taken() === 2);
  terminal.hasJobControl = true;
  terminal.type("ctrl-z");
  await eventually("it is given back", () => !terminal.isRaw);
  terminal.events!.onContinue();
  await eventually("it is taken once more", () => taken() === 3 && terminal.isRaw);
  terminal.type("q");
  await running.done;
  assert(terminal.isGivenBack);
});

Deno.test("a terminal of another size is drawn whole", async () => {
  await using world = await World.open();
  const { terminal } = world;
  await using running = world.start();
  await terminal.shows("OUT/S");
  terminal.resize({ columns: 40, rows: 10 });
  terminal.events!.onResize();
  assertEquals(terminal.lines.length, 10);
  assert(
    terminal.lines.some((line) => line.includes("HEALTH")) && !terminal.lines.some((line) => line.includes("OUT/S")),
  );
  terminal.type("q");
  await running.done;
});

Deno.test("it wants a terminal and a manager before it takes anything", async () => {
  await using world = await World.open();
  const { terminal, manager } = world;
  terminal.isThere = false;
  await assertRejects(() => world.start().done, ConfigError, "must be a terminal");
  terminal.isThere = true;
  await manager[Symbol.asyncDispose]();
  await assertRejects(() => world.start().done, Error, "none runs here");
  assertEquals(terminal.writes, []);
});
