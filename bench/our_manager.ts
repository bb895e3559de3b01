/**
 * `culvert manager` as an operator would start it: service files in a folder, its own children, and its socket to ask it by.
 * The only file of the benchmarks that knows how a service file is written.
 */

import { join } from "@std/path";
import { clockOf, delay } from "../protocol/clock.ts";
import type { ManagerReport, ServiceReport, ServiceStats } from "../protocol/manager/report.ts";
import { askControlSocket } from "../roles/control_socket.ts";
import { type ManagerRequest, managerWords } from "../roles/manager/words.ts";
import type { Program } from "../testing/program.ts";
import { denoProgram } from "./loads.ts";
import { temporaryFolder } from "./rivals.ts";
import type { Listener } from "./supervised.ts";

const HOST = "127.0.0.1";
const READY_MS = 60_000;
const LOOK_MS = 50;

export interface ListenerService {
  readonly name: string;
  readonly listener: Listener;
  /** More lines of its file. */
  readonly more?: string;
}

export class OurManager implements AsyncDisposable {
  readonly program: Program;
  readonly #socket: string;
  readonly #resources: AsyncDisposableStack;
  readonly #clock = clockOf(globalThis);

  private constructor(program: Program, socket: string, resources: AsyncDisposableStack) {
    this.program = program;
    this.#socket = socket;
    this.#resources = resources;
  }

  /** Settles once every service runs. */
  static async start(services: readonly ListenerService[]): Promise<OurManager> {
    await using resources = new AsyncDisposableStack();
    const folder = await temporaryFolder(resources);
    const [files, run, logs, state] = ["services", "run", "logs", "state"].map((name) => join(folder, name));
    await Promise.all([files, run, logs, state].map((each) => Deno.mkdir(each!)));
    await Promise.all(services.map((each) => Deno.writeTextFile(join(files!, `${each.name}.toml`), fileOf(each))));
    const watchdog = join(folder, "watchdog.conf");
    // Empty: what the manager does when nobody tells it otherwise, whatever this machine's own file says.
    await Deno.writeTextFile(watchdog, "");
    const places = ["--services", files!, "--run-dir", run!, "--log-dir", logs!, "--state-dir", state!];
    const flags = ["--backend", "own", "--watchdog", watchdog, "--json", "--log-level", "error"];
    const program = resources.use(denoProgram("roles/main.ts", ["manager", ...places, ...flags]));
    await program.readJson(READY_MS);
    const manager = new OurManager(program, join(run!, "manager.sock"), resources.move());
    try {
      await manager.#allRun();
    } catch (error) {
      await manager[Symbol.asyncDispose]();
      throw error;
    }
    return manager;
  }

  async report(): Promise<ManagerReport> {
    const answer = await this.#ask({ do: "report" });
    if (!("services" in answer)) throw new Error("Cannot measure: the manager answered something else than a report");
    return answer;
  }

  async service(name: string): Promise<ServiceReport> {
    return (await this.report()).services.find((service) => service.name === name)!;
  }

  async stats(): Promise<readonly ServiceStats[]> {
    const answer = await this.#ask({ do: "stats" });
    if (!("stats" in answer)) throw new Error("Cannot measure: the manager answered something else than statistics");
    return answer.stats;
  }

  /** Milliseconds until the manager knows that the named service's process, which has just been killed, is gone. */
  async detectMs(name: string, pid: number | undefined): Promise<number> {
    const startMs = this.#clock.now();
    for (;;) {
      const { state, pid: now } = await this.service(name);
      if (state !== "running" || now !== pid) return this.#clock.now() - startMs;
    }
  }

  async #allRun(): Promise<void> {
    const untilMs = this.#clock.now() + READY_MS;
    for (;;) {
      const { services, problems } = await this.report();
      if (problems.length > 0) throw new Error(`Cannot measure the manager: ${problems[0]}`);
      const late = services.find(({ state }) => state !== "running");
      if (!late) return;
      if (this.#clock.now() > untilMs) {
        throw new Error(`Cannot measure the manager: ${late.name} is ${late.state}: ${late.reason ?? ""}`);
      }
      await delay(this.#clock, LOOK_MS);
    }
  }

  async #ask(request: ManagerRequest) {
    const { signal } = new AbortController();
    const answer = await askControlSocket({ path: this.#socket, words: managerWords }, request, {
      clock: this.#clock,
      signal,
    });
    if (!answer) throw new Error("Cannot measure: the manager does not answer");
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

function fileOf({ listener, more = "" }: ListenerService): string {
  const command = JSON.stringify(listener.command);
  return `command = ${command}\nlisten = ["${HOST}:${listener.port}"]\n${more}`;
}
