/**
 * The configuration of a service that is to be installed: written by the answers, or there already. One that is there stays as
 * it is, and says more of the service than the answers do: by it goes what the manager is told.
 *
 *   answers ─▶ its text ─┬─ nothing there yet ─▶ a step that writes it
 *                        └─ there already     ─▶ kept; its own settings are the answers; can its user read it?
 */

import { join } from "@std/path";
import type { Answers } from "./config_text.ts";
import { answersTo, type ConfigFile } from "./kind.ts";
import type { FileStep, InstallMachine, InstallRequest } from "./plan.ts";

export interface ConfigPlan {
  readonly path: string | undefined;
  /** Undefined where nothing is to be written. */
  readonly step: FileStep | undefined;
  /** What holds of the service. */
  readonly answers: Answers;
  readonly notes: readonly string[];
}

export async function planConfig(
  request: InstallRequest,
  folder: string,
  machine: InstallMachine,
): Promise<ConfigPlan> {
  const { kind, name, answers, user } = request;
  const config = await kind.configFile(answers, { serviceName: name, findRoute: machine.findRoute });
  if (!config) {
    const path = answersTo(answers, "config").at(-1);
    return { path, step: undefined, answers, notes: path === undefined ? [] : await readingNotes(path, user, machine) };
  }
  const path = join(folder, `${name}${config.suffix}`);
  const there = await machine.readText(path);
  if (there === undefined) {
    const notes = config.note === undefined ? [] : [config.note];
    return { path, step: configStep(config, path, user), answers, notes };
  }
  const isOther = there !== config.text;
  const inFile = isOther ? kind.answersIn?.(there, answers) : undefined;
  return {
    path,
    step: undefined,
    answers: inFile ?? answers,
    notes: [
      ...isOther
        ? [`${path} is there already, and is kept as it is: what it says holds, whatever else is asked for`]
        : [],
      ...await readingNotes(path, user, machine),
    ],
  };
}

function configStep({ text, shown }: ConfigFile, path: string, user: string | undefined): FileStep {
  const access = user === undefined ? { mode: 0o600 } : { mode: 0o640, readableBy: user };
  return { do: "file", path, text, shown, ...access };
}

/** A file that is not ours is given to nobody. */
async function readingNotes(path: string, user: string | undefined, machine: InstallMachine): Promise<string[]> {
  if (!await machine.isThere(path)) return [`${path} is not there yet: put it there before it starts`];
  if (user === undefined || await machine.mayRead(path, user)) return [];
  return [
    `${user}, who runs it, cannot read ${path}: put it where ${user} may look, below /etc/culvert say, and let its group ` +
    `read it: chgrp ${user} ${path}; chmod 640 ${path}`,
  ];
}
