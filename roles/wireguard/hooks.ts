/**
 * PreUp, PostUp, PreDown and PostDown: commands in a configuration file, run by bash with all our rights. That is why a
 * file with commands is refused unless `--allow-hooks` or `--no-allow-hooks` says what to do: leaving them out silently
 * could leave out a firewall.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { QuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { findProgram, type ProgramInput, runProgram } from "../machine/programs.ts";

/** The moments at which commands run. */
export const HOOKS = ["preUp", "postUp", "preDown", "postDown"] as const;
export type HookName = typeof HOOKS[number];

export interface HookOptions {
  readonly interfaceName: string;
  /** Undefined when nobody said. */
  readonly allowed: boolean | undefined;
  readonly log: Log;
}

/** What ends a command that runs. */
type Ending = Pick<ProgramInput, "signal" | "hardSignal">;

export class Hooks {
  readonly #config: Pick<QuickConfig, HookName>;
  readonly #options: HookOptions;

  /** Throws `hooks_not_allowed` for commands that nobody has allowed or ruled out. */
  constructor(config: Pick<QuickConfig, HookName>, options: HookOptions) {
    this.#config = config;
    this.#options = options;
    const { interfaceName, allowed, log } = options;
    const names = HOOKS.filter((name) => config[name].length > 0).map(keyOf).join(", ");
    if (names === "") return;
    if (allowed === undefined) {
      throw new CulvertError(
        "hooks_not_allowed",
        `Cannot bring up ${interfaceName}: its file has commands to run as ${
          Deno.uid() === 0 ? "root" : "this user"
        } ` +
          `(${names}). Look at them, then give --allow-hooks to run them or --no-allow-hooks to leave them out`,
      );
    }
    if (!allowed) log.warn("The commands of the configuration file are left out", { hooks: names });
  }

  /** Runs the commands of one moment in their order; the first that fails is the last. */
  async run(name: HookName, ending: Ending = {}): Promise<void> {
    if (!this.#options.allowed) return;
    for (const command of this.#config[name]) {
      this.#options.log.info("Running a command of the configuration file", { hook: keyOf(name) });
      await runHook(name, command.replaceAll("%i", this.#options.interfaceName), ending);
    }
  }
}

/** By bash as wg-quick does, by sh where there is none. What it prints goes to standard error: ours carries results. */
async function runHook(name: HookName, command: string, ending: Ending): Promise<void> {
  const shell = findProgram("bash") ?? "sh";
  // The command may hold a key, so messages do not repeat it.
  await runProgram([shell, "-c", 'exec 1>&2; eval "$1"', "hook", command], {
    calledAs: `a ${keyOf(name)} command`,
    talks: true,
    ...ending,
  });
}

function keyOf(name: HookName): string {
  return name[0]!.toUpperCase() + name.slice(1);
}
