/**
 * How long executables of one file take to start, as `deno task bundle` makes them: from the start of the process to its ready
 * line, after a first start that has unpacked them, beside the same role from a checkout.
 *
 *   make ─▶ first start, which unpacks ─▶ rounds: supernode; exit, at a supernode that runs; --help
 */

import { fromFileUrl } from "@std/path";
import { Program } from "../../testing/program.ts";
import { executablesOf } from "../../tools/executables.ts";
import { makeSelfExtracting } from "../../tools/self_extracting.ts";
import { temporaryFolder } from "../rivals.ts";
import { alternate } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const MIB = 2 ** 20;
const full = { rounds: 10, level: 9 };
const quick = { rounds: 3, level: 1 };

export const executablesSubject: Subject = {
  name: "executables",
  summary: "an exit and a supernode of one file are started, and are ready; the same from a checkout",
  unit: "ms",
  better: "lower",
  measure,
};

interface Contestant {
  readonly name: string;
  command(role: string): readonly [string, ...string[]];
}

const checkout: Contestant = {
  name: "deno run",
  command: (role) => [Deno.execPath(), "run", "-A", `${ROOT}roles/main.ts`, role],
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const { rounds, level } = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const folder = await temporaryFolder(resources);
  report("executables are made");
  const executables = executablesOf(["exit", "supernode"], { mayDoAll: false });
  const [file] = await makeSelfExtracting(executables, { root: ROOT, out: `${folder}/out`, level });
  const env = { CULVERT_CACHE_DIR: `${folder}/cache` };
  const ours: Contestant = { name: "culvert", command: (role) => [`${folder}/out/culvert-${role}`] };
  const starter = new Starter(folder, env);
  const firstMs = await starter.help(ours);
  report(`both ways are started ${rounds} times`);
  const [, at] = await starter.ready(ours, "supernode", [], resources);
  const exitFlags = ["--supernode", at];
  const contestants = [ours, checkout];
  const supernode = await alternate(contestants, rounds, (each) => starter.readyMs(each, "supernode", []));
  const exit = await alternate(contestants, rounds, (each) => starter.readyMs(each, "exit", exitFlags));
  const help = await alternate(contestants, rounds, (each) => starter.help(each));
  return {
    ours: supernode.get(ours.name)!,
    peers: { [checkout.name]: supernode.get(checkout.name)! },
    figures: {
      exit_ready_ms: exit.get(ours.name)!,
      help_ms: help.get(ours.name)!,
      deno_run_exit_ready_ms: exit.get(checkout.name)!,
      deno_run_help_ms: help.get(checkout.name)!,
      first_start_ms: firstMs,
      size_mib: (await Deno.stat(file!)).size / MIB,
      unpacked_mib: await sizeOf(env.CULVERT_CACHE_DIR) / MIB,
    },
    missing: [],
  };
}

class Starter {
  readonly #folder: string;
  readonly #env: Record<string, string>;
  #count = 0;

  constructor(folder: string, env: Record<string, string>) {
    this.#folder = folder;
    this.#env = env;
  }

  async help({ command }: Contestant): Promise<number> {
    const [program, ...args] = command("exit");
    const fromMs = performance.now();
    const { success } = await new Deno.Command(program, { args: [...args, "--help"], env: this.#env }).output();
    if (!success) throw new Error(`Cannot measure: ${program} must print its help`);
    return performance.now() - fromMs;
  }

  async readyMs(contestant: Contestant, role: string, flags: readonly string[]): Promise<number> {
    await using resources = new AsyncDisposableStack();
    const [ms] = await this.ready(contestant, role, flags, resources);
    return ms;
  }

  /** With a state of its own, made on the way. Gives where others connect to it as well. */
  async ready(
    { command }: Contestant,
    role: string,
    flags: readonly string[],
    resources: AsyncDisposableStack,
  ): Promise<[ms: number, at: string]> {
    const state = ["--state-dir", `${this.#folder}/state-${this.#count++}`];
    const listen = role === "supernode" ? ["--listen", "127.0.0.1:0"] : [];
    const words = [...command(role), "--region", "x", ...listen, ...flags, ...state] as [string, ...string[]];
    const fromMs = performance.now();
    const program = resources.use(new Program(words, { env: this.#env, quiet: true }));
    const line = await program.readLine();
    return [performance.now() - fromMs, /--supernode (\S+)/.exec(line)?.[1] ?? ""];
  }
}

async function sizeOf(folder: string): Promise<number> {
  const { stdout } = await new Deno.Command("du", { args: ["--summarize", "--bytes", folder] }).output();
  return parseInt(new TextDecoder().decode(stdout));
}
