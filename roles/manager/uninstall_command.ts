/**
 * `culvert manager uninstall`: stops services and takes away what was installed for them. What somebody has edited, what they
 * have written and the users that they ran as stay, unless `--purge` says otherwise.
 *
 *   names ─▶ what goes and what stays, shown ─▶ yes ─▶ stopped ─▶ removed ─▶ the manager looks again
 */

import { join } from "@std/path";
import { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { MANAGER_UNIT } from "../../protocol/manager/manager_unit_text.ts";
import { isEdited, unitNameOf } from "../../protocol/manager/unit_text.ts";
import { ConfigError } from "../config.ts";
import { askControlSocket } from "../control_socket.ts";
import { runProgram } from "../machine/programs.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { Asking, serviceNames } from "./asking.ts";
import { runDeed } from "./deed.ts";
import { InstallRecords } from "./install/record.ts";
import { applyRemoval, leftBehind, planRemoval, type Removal, removalLines } from "./install/removal.ts";
import { TerminalPerson } from "./install/terminal_person.ts";
import { MODULES_DIR } from "./install/this_machine.ts";
import type { Person } from "./install/wizard.ts";
import { knownNames } from "./known_services.ts";
import { runningPid } from "./named_process.ts";
import { type Places, placesConfig } from "./places.ts";
import { UNIT_FOLDER, UnitFiles } from "./unit_files.ts";
import { managerWords } from "./words.ts";

const config = z.object({
  names: serviceNames("Which services."),
  purge: z.boolean().default(false).describe("Also what was edited by hand, its state, its logs and its user."),
  manager: z.boolean().default(false).describe("The manager's own unit as well; no other service may be left."),
  yes: z.boolean().default(false).describe("Ask nothing."),
  dryRun: z.boolean().default(false).describe("Say what would be removed and change nothing."),
  ...placesConfig,
});
export type UninstallSettings = z.output<typeof config>;

/** Above the longest that there may be between SIGTERM and SIGKILL. */
const STOP_WITHIN_MS = 300_000;

export const uninstallRole: Role<typeof config> = defineRole({
  name: "manager-uninstall",
  summary: "Stops services and takes away what was installed for them.",
  config,
  examples: ["sudo culvert manager uninstall way-out", "culvert manager uninstall way-out --purge --yes"],
  longRunning: false,
  run: (settings, context) => runUninstall(settings, context),
});

export async function runUninstall(
  settings: UninstallSettings,
  context: RoleContext,
  person: Person | undefined = TerminalPerson.isThere() ? new TerminalPerson(context.tell) : undefined,
): Promise<void> {
  const { names, purge, yes, dryRun, manager } = settings;
  if (names.length === 0 && !manager) throw new ConfigError("uninstall", ["give the names of services, or --manager"]);
  if (!yes && !dryRun && (!person || context.json)) {
    throw new ConfigError("uninstall", ["--yes must be given where nobody can be asked"]);
  }
  const asking = new Asking(settings, context);
  const records = new InstallRecords(context.stateDir);
  const removals: Removal[] = [];
  for (const name of new Set(names)) {
    removals.push(await planRemoval(name, { places: asking.places, records, purges: purge }));
  }
  if (manager) await requireNoOthers(names, asking.places);
  const say = dryRun ? context.print : context.tell;
  if (context.json) context.print(JSON.stringify({ dryRun, services: removals.map(publicRemoval) }));
  else for (const line of [...removals.flatMap(removalLines), ...manager ? [MANAGER_LINE] : []]) say(line);
  if (dryRun) return;
  if (!yes) await confirm(person!, context.signal);
  await stopAll(removals, { asking, settings, context });
  for (const removal of removals) await applyRemoval(removal, records);
  await lookAgain(asking.places, context);
  for (const { name } of removals) context.tell(`${name} is uninstalled`);
  if (!manager) return;
  await removeManager(purge, context);
  const left = await leftBehind(asking.places, MODULES_DIR);
  if (left.length > 0) context.tell(`Kept, and no longer needed by anything of ours: ${left.join(", ")}`);
}

const MANAGER_LINE = `To uninstall the manager: stop and remove ${MANAGER_UNIT}, where there is one`;

/** Units go on without the manager, and nobody would look after them. */
async function requireNoOthers(names: readonly string[], places: Places): Promise<void> {
  const others = (await knownNames(places)).filter((name) => !names.includes(name));
  if (others.length === 0) return;
  const left = others.join(", ");
  throw new ConfigError("uninstall", [`--manager must be given when no other service is left, and there is ${left}`]);
}

/** Its unit; one that was edited by hand is kept, and told of. */
async function removeManager(purges: boolean, { signal, tell }: RoleContext): Promise<void> {
  const path = join(UNIT_FOLDER, MANAGER_UNIT);
  const text = await Deno.readTextFile(path).catch(() => undefined);
  if (text === undefined) return tell("The manager has no unit; if it runs, stop it where it was started");
  await runProgram(["systemctl", "disable", "--now", MANAGER_UNIT], { signal });
  if (isEdited(text) && !purges) return tell(`${path} was edited by hand and is kept; the manager is stopped`);
  await Deno.remove(path);
  await runProgram(["systemctl", "daemon-reload"], { signal });
  tell("The manager is uninstalled");
}

function publicRemoval({ name, removed, kept, moved, user }: Removal): Record<string, unknown> {
  return { name, removed, kept, moved, user };
}

async function confirm(person: Person, signal: AbortSignal): Promise<void> {
  const answer = await person.ask("Do this? (y/N) > ", signal);
  if (/^y(es)?$/i.test(answer?.trim() ?? "")) return;
  throw new CulvertError("given_up", "Nothing is removed: it was given up");
}

interface StopTools {
  readonly asking: Asking;
  readonly settings: UninstallSettings;
  readonly context: RoleContext;
}

/** By the manager, or by systemd where that runs them; otherwise what runs must be ended by somebody who can. */
async function stopAll(removals: readonly Removal[], { asking, settings, context }: StopTools): Promise<void> {
  const { places } = asking;
  const report = await asking.tryReport();
  if (report) {
    const known = removals.map(({ name }) => name).filter((name) => report.services.some((one) => one.name === name));
    if (known.length === 0) return;
    const { backend, services, runDir, logDir } = settings;
    const deed = { backend, services, runDir, logDir, names: known, all: false, timeout: STOP_WITHIN_MS };
    return await runDeed("stop", deed, { ...context, json: false, print: context.tell });
  }
  for (const { name } of removals) {
    if (places.backend === "systemd") {
      const isThere = await new UnitFiles(places).originOf(name) !== "absent";
      if (isThere) await runProgram(["systemctl", "stop", unitNameOf(name)], { signal: context.signal });
      continue;
    }
    const pid = await runningPid(join(places.run, `${name}.pid`));
    if (pid === undefined) continue;
    throw new CulvertError(
      "running",
      `Cannot uninstall ${name}: it must not run, and process ${pid} does, without a manager. ` +
        "Start the manager (culvert manager), which takes it over",
    );
  }
}

async function lookAgain({ socket, backend }: Places, context: RoleContext): Promise<void> {
  await askControlSocket({ path: socket, words: managerWords }, { do: "reload" }, context);
  // The units are gone already when the manager looks: it would see no reason to.
  if (backend === "systemd") await runProgram(["systemctl", "daemon-reload"], { signal: context.signal });
}
