/**
 * Plays a story: types its commands one after the other, holds what they print and how they end against what the document and
 * the story say, and stops what stays, the last first.
 */

import { assert, assertEquals } from "@std/assert";
import type { DocumentCommand } from "./commands.ts";
import { turnOf } from "./documents.ts";
import type { Machine, Running } from "./scene/machine.ts";
import { Scene } from "./scene/scene.ts";
import { differenceInShape } from "./shape.ts";
import { type Play, staysByItself, type Story, type Turn } from "./story.ts";

/** What every role that stays prints once it works. */
const READY = /^ready {2}/m;
const ONE_MACHINE = { here: {} };

interface Started {
  readonly running: Running;
  readonly turn: Partial<Turn>;
  readonly text: string;
}

export interface PlayOptions {
  readonly denoCache: string;
  /** Say what is typed, and when. */
  readonly isTold: boolean;
}

export async function play(
  story: Story,
  commands: readonly DocumentCommand[],
  { denoCache, isTold }: PlayOptions,
): Promise<void> {
  const startedMs = performance.now();
  const { machines = ONE_MACHINE, files = {} } = story;
  const name = story.document.replace(/\.md$/, "").replace(/^docs\//, "").replaceAll("/", "-").toLowerCase();
  await using scene = await Scene.open({ name, machines, files, denoCache });
  const player = new Player(story, scene);
  await story.before?.(player);
  for (const command of commands) {
    if (isTold) console.log(`  ${Math.round(performance.now() - startedMs)} ms  ${command.text}`);
    await player.type(command.text, turnOf(story, command) ?? {}, command).catch((cause) => {
      throw new Error(`${command.document}:${command.line}: ${command.text}\n${cause.message}`, { cause });
    });
  }
  await player.stopAll();
}

class Player implements Play {
  readonly scene: Scene;
  readonly known: Map<string, string>;
  readonly #started: Started[] = [];

  constructor(story: Story, scene: Scene) {
    this.scene = scene;
    this.known = new Map(Object.entries(story.known ?? {}));
  }

  async type(text: string, turn: Partial<Turn> = {}, { prints }: Partial<DocumentCommand> = {}): Promise<string> {
    await turn.before?.(this);
    const typed = this.#asTyped(text, turn);
    let output = "";
    for (const machine of this.#machinesFor(text, turn)) {
      output = turn.stays ?? staysByItself(text)
        ? await this.#start(machine, { text, typed, turn })
        : await this.#run(machine, typed, turn);
    }
    for (const [name, pattern] of Object.entries(turn.learns ?? {})) {
      const [, value] = pattern.exec(output) ?? [];
      assert(value !== undefined, `It must have printed ${pattern}, for ${name}, but printed\n${output}`);
      this.known.set(name, value);
    }
    if (prints && prints.length > 0) {
      assertEquals(differenceInShape(prints, output.split("\n"), turn), undefined, output);
    }
    await turn.after?.(this);
    return output;
  }

  async stop(begins: string): Promise<void> {
    const at = this.#started.findLastIndex(({ text }) => text.startsWith(begins));
    assert(at !== -1, `Nothing runs that begins with "${begins}"`);
    await this.#stop(this.#started.splice(at, 1)[0]!);
  }

  async stopAll(): Promise<void> {
    for (const started of this.#started.splice(0).reverse()) await this.#stop(started);
  }

  async #run(machine: Machine, typed: string, { input, code = 0, prints }: Partial<Turn>): Promise<string> {
    const order = await machine.run(typed, { input });
    const output = order.output();
    assertEquals(order.code(), code, `The exit code of "${typed}", which printed\n${output}`);
    if (prints) assert(prints.test(output), `It must have printed ${prints}, but printed\n${output}`);
    return output;
  }

  async #start(machine: Machine, started: Omit<Started, "running"> & { typed: string }): Promise<string> {
    const { typed, turn, text } = started;
    const running = await machine.start(typed, { input: turn.input });
    this.#started.push({ running, turn, text });
    await running.prints(turn.prints ?? READY);
    return running.order.output();
  }

  async #stop({ running, turn: { stopCode = 0 } }: Started): Promise<void> {
    const { text, output } = running.order;
    assertEquals(
      await running.stop(),
      stopCode,
      `The exit code after SIGTERM of "${text}", which printed\n${output()}`,
    );
  }

  #machinesFor(text: string, { on }: Partial<Turn>): Machine[] {
    const all = [...this.scene.machines.values()];
    // What a shell is told once, a reader tells each.
    if (on === "all" || on === undefined && text.startsWith("export ")) return all;
    return on === undefined ? all.slice(0, 1) : on.split(" ").map((name) => this.scene.machine(name));
  }

  #asTyped(text: string, { instead = [] }: Partial<Turn>): string {
    let typed = text;
    for (const [part, other] of instead) {
      assert(typed.includes(part), `"${text}" must have "${part}" in it, which the story replaces`);
      typed = typed.replaceAll(part, other);
    }
    for (const [name, value] of this.known) {
      const pattern = new RegExp(`(?<![\\w$-])${RegExp.escape(name)}(?!\\w)`, "g");
      typed = typed.replaceAll(pattern, () => name.replace(/^\w+/, value));
    }
    return typed;
  }
}
