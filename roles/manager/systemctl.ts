/**
 * Asks and tells systemd, by its program `systemctl`: what is known of units, start, stop, kill, read the files again.
 *
 *   show(units) ─┐
 *   show(units) ─┴─▶ one program for all that ask while another runs
 *
 * A program costs some ten milliseconds, so nobody asks for one unit where many are wanted, and what is asked while systemd
 * is being asked waits for the next. Jobs are only put into systemd's queue (`--no-block`).
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { hasEnded, parseUnitStates, UNIT_PROPERTIES, type UnitState } from "../../protocol/manager/unit_state.ts";

/** Reading every unit again takes a second on a slow machine with many. */
const ANSWER_WITHIN_MS = 20_000;
const MAX_SHOWN = 400;

export interface SystemctlOptions {
  readonly clock: Clock;
  /** Default `systemctl`. */
  readonly program?: string;
}

export class Systemctl {
  readonly #options: SystemctlOptions;
  readonly #shows: Batches<string, ReadonlyMap<string, UnitState>>;
  readonly #reloads: Batches<"all", void>;

  constructor(options: SystemctlOptions) {
    this.#options = options;
    this.#shows = new Batches((units) => this.#show(units));
    this.#reloads = new Batches(async () => void await this.#run(["daemon-reload"]));
  }

  /** By their whole names, those that have no file included. */
  async show(units: readonly string[]): Promise<ReadonlyMap<string, UnitState>> {
    return units.length === 0 ? new Map() : await this.#shows.add(units);
  }

  /** What is known of one. */
  async showOne(unit: string): Promise<UnitState> {
    const state = (await this.show([unit])).get(unit);
    if (!state) throw new CulvertError("systemd", `Cannot ask systemd: it says nothing of ${unit}`);
    return state;
  }

  /** Reads all files of units again, those that were written before the call. */
  async reload(): Promise<void> {
    await this.#reloads.add(["all"]);
  }

  async start(unit: string): Promise<void> {
    await this.#run(["start", "--no-block", "--", unit]);
  }

  /** SIGTERM, and SIGKILL after the unit's own time. Does nothing to one that has ended. */
  async stop(unit: string): Promise<void> {
    await this.#unlessEnded(unit, ["stop", "--no-block", "--", unit]);
  }

  /** To all of its processes. Does nothing to one that has ended. */
  async kill(unit: string, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await this.#unlessEnded(unit, ["kill", `--signal=${signal}`, "--", unit]);
  }

  /** Forgets how its last process ended, if that is remembered. */
  async resetFailed(unit: string): Promise<void> {
    const isFailed = async () => (await this.showOne(unit)).active === "failed";
    if (!await isFailed()) return;
    try {
      await this.#run(["reset-failed", "--", unit]);
    } catch (error) {
      if (await isFailed()) throw error;
    }
  }

  async #unlessEnded(unit: string, args: readonly string[]): Promise<void> {
    try {
      await this.#run(args);
    } catch (error) {
      if (!hasEnded(await this.showOne(unit))) throw error;
    }
  }

  async #show(units: readonly string[]): Promise<ReadonlyMap<string, UnitState>> {
    // --all: empty values too.
    const text = await this.#run(["show", "--all", `--property=${UNIT_PROPERTIES.join(",")}`, "--", ...units]);
    return new Map(parseUnitStates(text).map((state) => [state.name, state]));
  }

  async #run(args: readonly string[]): Promise<string> {
    const { clock, program = "systemctl" } = this.#options;
    using limit = deadline(clock, ANSWER_WITHIN_MS, `run systemctl ${args[0]}`);
    const command = new Deno.Command(program, {
      args: [...args],
      env: { SYSTEMD_COLORS: "0", LC_ALL: "C" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: limit.signal,
    });
    const { success, code, stdout, stderr } = await command.output();
    limit.signal.throwIfAborted();
    if (success) return new TextDecoder().decode(stdout);
    const said = new TextDecoder().decode(stderr).replaceAll(/\p{C}+/gu, " ").trim().slice(0, MAX_SHOWN);
    throw new CulvertError("systemd", `Cannot run systemctl ${args[0]}: it ended with ${code}: ${said}`);
  }
}

/** Work of which one at a time is done, for all who have asked by then; who asks meanwhile is served by the next. */
class Batches<Item, Result> {
  readonly #work: (items: readonly Item[]) => Promise<Result>;
  #running: Promise<unknown> = Promise.resolve();
  #next: { readonly items: Set<Item>; readonly result: Promise<Result> } | undefined;

  constructor(work: (items: readonly Item[]) => Promise<Result>) {
    this.#work = work;
  }

  async add(items: readonly Item[]): Promise<Result> {
    this.#next ??= this.#plan();
    for (const item of items) this.#next.items.add(item);
    return await this.#next.result;
  }

  #plan(): { readonly items: Set<Item>; readonly result: Promise<Result> } {
    const items = new Set<Item>();
    const result = this.#running.then(() => {
      this.#next = undefined;
      return this.#work([...items]);
    });
    this.#running = result.catch(() => {});
    return { items, result };
  }
}
