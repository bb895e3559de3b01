/**
 * What installing a service comes to, step by step, before anything is done: what is shown as a dry run is what is then applied.
 *
 *   request ─▶ user ─▶ folders ─▶ modules ─▶ configuration ─▶ service file ─▶ watchdog.conf ─▶ the manager's unit
 *
 * What is there already is kept: of the files only that of the service itself must be new.
 */

import { dirname, join } from "@std/path";
import { CulvertError } from "../../../protocol/errors.ts";
import { MANAGER_UNIT, managerUnitText } from "../../../protocol/manager/manager_unit_text.ts";
import { RESERVED_NAMES, SERVICE_NAME } from "../../../protocol/manager/service.ts";
import { commandWord, isEdited } from "../../../protocol/manager/unit_text.ts";
import { defaultWatchdogSettings } from "../../../protocol/manager/watchdog_settings.ts";
import { type CommandWords, isOneFile } from "../own_command.ts";
import type { Places } from "../places.ts";
import { readServiceFile } from "../service_files.ts";
import { parseServicePort } from "../service_schema.ts";
import { UNIT_FOLDER, UnitFiles } from "../unit_files.ts";
import type { Answers } from "./config_text.ts";
import type { FindRoute, ServiceKind, ServiceWords } from "./kind.ts";
import { planConfig } from "./plan_config.ts";
import { serviceText } from "./service_text.ts";
import { watchdogText } from "./watchdog_text.ts";

export type InstallStep =
  | { readonly do: "user"; readonly name: string; readonly home: string }
  | { readonly do: "folder"; readonly path: string; readonly mode: number; readonly owner?: string }
  | FileStep
  /** What the program is made of, where its user can read it. */
  | { readonly do: "modules"; readonly path: string; readonly command: CommandWords };

export interface FileStep {
  readonly do: "file";
  readonly path: string;
  readonly text: string;
  /** Without secrets. */
  readonly shown: string;
  readonly mode: number;
  /** The user whose group may read it. */
  readonly readableBy?: string;
  /** What stands there now, and is ours too; without it there must be nothing. */
  readonly replaces?: string;
  /** Other services use it too: it stays when this one goes. */
  readonly isShared?: boolean;
}

export interface InstallPlan {
  readonly name: string;
  readonly kind: string;
  readonly stateDir: string;
  /** A user that is made for it. */
  readonly user?: string;
  readonly steps: readonly InstallStep[];
  /** The unit that the manager makes of the service file. */
  readonly unit?: { readonly path: string; readonly text: string };
  /** What whoever installs it should know. */
  readonly notes: readonly string[];
}

export interface InstallRequest {
  readonly kind: ServiceKind;
  readonly name: string;
  readonly answers: Answers;
  /** Who runs it; undefined is whoever the manager is. */
  readonly user: string | undefined;
  /** What is asked through its proxy, end to end. */
  readonly probeUrl?: string;
  /** Whether it runs from now on, and whenever the manager does. */
  readonly starts: boolean;
}

/** What is there, as far as a plan depends on it. */
export interface InstallMachine {
  readonly places: Places;
  readonly isRoot: boolean;
  readonly hasSystemd: boolean;
  /** Of the manager. */
  readonly stateDir: string;
  readonly ownCommand: CommandWords;
  /** The flags by which the manager finds the same places. */
  readonly managerFlags: readonly string[];
  /** Where everybody may read the modules that our program is made of. */
  readonly modulesDir: string;
  readonly findRoute: FindRoute;
  /** Whether a process of a user can be given some of root's rights: by systemd or by setpriv(1). */
  readonly givesRights: boolean;
  isThere(path: string): Promise<boolean>;
  /** Whether whoever it is may read a file, or run it, and reach it. */
  isOpenToAll(path: string, how?: "read" | "run"): Promise<boolean>;
  /** Whether a user, who need not be there yet, may. */
  mayRead(path: string, user: string): Promise<boolean>;
  hasUser(name: string): Promise<boolean>;
  /** Undefined where there is none. */
  readText(path: string): Promise<string | undefined>;
}

export const MANAGER_UNIT_PATH = join(UNIT_FOLDER, MANAGER_UNIT);
/** useradd(8). */
const MAX_USER_LENGTH = 32;

export async function planInstall(request: InstallRequest, machine: InstallMachine): Promise<InstallPlan> {
  const { kind, name, user } = request;
  const paths = pathsOf(name, machine);
  await requireNew(name, machine);
  const config = await planConfig(request, paths.config, machine);
  const notes = [...config.notes];
  const words = kind.words(config.answers, config.path);
  const isMade = user !== undefined && !await machine.hasUser(user);
  const isUnit = machine.places.backend === "systemd";
  // Neither another user nor a unit, the manager's among them, may look into the home of whoever installs.
  const isElsewhere = words.role !== undefined && (user !== undefined || isUnit);
  const [program] = words.command ?? machine.ownCommand;
  if (program !== undefined && !await machine.isThere(program)) {
    notes.push(`${program} is not there yet: install it first, or say where it is by --set program=PATH`);
  } else if (user !== undefined) await requireOpen(name, user, words, machine);
  const service = serviceFile(request, {
    words,
    configPath: config.path,
    paths,
    environment: isElsewhere ? modulesEnvironment(machine) : {},
  });
  const steps: (InstallStep | undefined)[] = [
    isMade ? { do: "user", name: user, home: paths.state } : undefined,
    { do: "folder", path: machine.places.services, mode: 0o755 },
    { do: "folder", path: paths.state, mode: 0o700, ...user !== undefined && { owner: user } },
    isElsewhere || isUnit ? modulesStep(machine) : undefined,
    config.step,
    service,
    await watchdogFile(machine),
    await managerUnit(machine, notes),
  ];
  notes.push(...rightsNotes({ ...request, answers: config.answers }, words, machine));
  const unit = machine.places.backend === "systemd" ? await unitOf(service, machine) : undefined;
  return {
    name,
    kind: kind.name,
    stateDir: paths.state,
    ...isMade && { user },
    steps: steps.filter((step) => step !== undefined),
    ...unit && { unit },
    notes,
  };
}

/** Undefined where our program is one file, modules and all. */
export function modulesStep({ modulesDir: path, ownCommand: command }: InstallMachine): InstallStep | undefined {
  return isOneFile(command) ? undefined : { do: "modules", path, command };
}

function modulesEnvironment({ modulesDir, ownCommand }: InstallMachine): Readonly<Record<string, string>> {
  return isOneFile(ownCommand) ? {} : { DENO_DIR: modulesDir };
}

interface ServicePaths {
  readonly config: string;
  readonly service: string;
  readonly state: string;
}

function pathsOf(name: string, { places, isRoot, stateDir }: InstallMachine): ServicePaths {
  return {
    config: dirname(places.services),
    service: join(places.services, `${name}.toml`),
    // Beside the manager's and not in it, where nobody else may look.
    state: isRoot ? join(dirname(stateDir), `culvert-${name}`) : join(stateDir, "services", name),
  };
}

/** The user that a service gets where nobody says. */
export function ownUserOf(name: string): string {
  return `culvert-${name}`;
}

/** Throws `bad_option`. */
export function requireUserName(name: string, user: string): void {
  if (/^[a-z_][a-z0-9_-]*$/.test(user) && user.length <= MAX_USER_LENGTH) return;
  throw new CulvertError(
    "bad_option",
    `Cannot install ${name}: its user must be a name of at most ${MAX_USER_LENGTH} lower-case characters, got ${user}; ` +
      "give --user",
  );
}

/** Throws `bad_option` for what is no service's name, `exists` where there is such a service. */
export async function requireNew(name: string, machine: InstallMachine): Promise<void> {
  if (!SERVICE_NAME.test(name) || RESERVED_NAMES.has(name)) {
    throw new CulvertError(
      "bad_option",
      `Cannot install ${name}: a service's name must be lower-case letters, digits and dashes, 32 at most, ` +
        `and none of ${[...RESERVED_NAMES].join(", ")}`,
    );
  }
  const path = pathsOf(name, machine).service;
  if (await machine.readText(path) === undefined) return;
  throw new CulvertError(
    "exists",
    `Cannot install ${name}: there is such a service already, in ${path}. ` +
      `Give this one another name, or remove that one: culvert manager uninstall ${name}`,
  );
}

/** A user of its own cannot look into somebody's home. Throws `denied`. */
async function requireOpen(
  name: string,
  user: string,
  { command }: ServiceWords,
  { ownCommand, isOpenToAll }: InstallMachine,
): Promise<void> {
  const files = (command?.slice(0, 1) ?? ownCommand).filter((word) => word.startsWith("/"));
  for (const [at, path] of files.entries()) {
    const how = at === 0 ? "run" : "read";
    if (await isOpenToAll(path, how)) continue;
    throw new CulvertError(
      "denied",
      `Cannot install ${name}: the user ${user} cannot ${how} ${path}. Put it where everybody may, below /opt say, ` +
        "or give --user root",
    );
  }
}

function serviceFile(
  { kind, name, user, probeUrl, starts }: InstallRequest,
  { words, configPath, paths, environment }: {
    readonly words: ServiceWords;
    readonly configPath: string | undefined;
    readonly paths: ServicePaths;
    readonly environment: Readonly<Record<string, string>>;
  },
): FileStep {
  const { role, flags = [], command } = words;
  const settings: Answers = {
    description: kind.summary,
    ...role !== undefined && { role, flags: [...flags, "--state-dir", paths.state] },
    ...role !== undefined && configPath !== undefined && { config: configPath },
    // Said even where there are none: of a configuration file the manager would have to presume the worst.
    ...words.capabilities && { capabilities: words.capabilities },
    ...command && { command, directory: paths.state },
    ...user !== undefined && { user },
    // The manager would start it as soon as it sees it.
    ...!starts && { enabled: "false" },
    ...words.listen.length > 0 && { listen: words.listen },
    ...probeUrl !== undefined && { "probe.url": probeUrl },
    ...probeUrl !== undefined && words.proxy !== undefined && { "probe.through": words.proxy },
  };
  const text = serviceText({ name, settings, environment });
  const shown = text.replace(/(probe\.through = "socks5:\/\/)[^@"]*@/, "$1(not shown)@");
  return { do: "file", path: paths.service, text, shown, mode: 0o600 };
}

/** Only where services are at their usual place: whoever keeps them elsewhere has settings of their own for it. */
async function watchdogFile({ places, readText }: InstallMachine): Promise<FileStep | undefined> {
  for (const path of places.watchdogFiles) if (await readText(path) !== undefined) return undefined;
  const path = places.watchdogFiles.find((file) => file.endsWith(".conf"));
  const text = watchdogText(defaultWatchdogSettings);
  if (path === undefined || dirname(path) !== dirname(places.services)) return undefined;
  return { do: "file", path, text, shown: text, mode: 0o644, isShared: true };
}

/**
 * Whoever runs the services: where they are units, systemd keeps the manager up as well. One that is to run them itself could
 * not as a unit of ours, which may start no process as another user.
 */
export function hasManagerUnit({ isRoot, hasSystemd, places }: InstallMachine): boolean {
  return isRoot && hasSystemd && places.backend === "systemd";
}

/** Undefined where it is as it should be, or not ours to write. */
export async function managerUnit(machine: InstallMachine, notes: string[]): Promise<FileStep | undefined> {
  if (!hasManagerUnit(machine)) return undefined;
  const path = MANAGER_UNIT_PATH;
  const words = ["manager", ...machine.managerFlags];
  const command: CommandWords = [...machine.ownCommand, ...words];
  const text = managerUnitText(command, modulesEnvironment(machine));
  const step: FileStep = { do: "file", path, text, shown: text, mode: 0o644, isShared: true };
  const there = await machine.readText(path);
  if (there === undefined) return step;
  if (there === text) return undefined;
  if (isEdited(there)) {
    notes.push(`${path} has been edited by hand, and is kept as it is`);
    return undefined;
  }
  // A manager of other places looks after services of its own, which must not lose it.
  const isSame = there.split("\n").some((line) => /^ExecStart=/.test(line) && line.endsWith(` ${commandLine(words)}`));
  if (isSame) return { ...step, replaces: there };
  notes.push(`${path} starts the manager with other flags than those given here, and is kept as it is`);
  return undefined;
}

function commandLine(words: readonly string[]): string {
  return words.map(commandWord).join(" ");
}

/** As the manager will make it of the service file; that the file is good is seen at the same time. */
async function unitOf(
  { path, text }: FileStep,
  { ownCommand, places }: InstallMachine,
): Promise<{ readonly path: string; readonly text: string }> {
  const { service, problems } = await readServiceFile(text, path, { watchdog: defaultWatchdogSettings, ownCommand });
  if (!service) throw new CulvertError("bad_option", `Cannot install it: ${problems.join("; ")}`);
  return new UnitFiles({ run: places.run }).unitOf(service);
}

const FIRST_PORT_FOR_ALL = 1024;

/** What only root may do, and nobody can hand on to the user that runs it. */
function rightsNotes({ kind, answers, user }: InstallRequest, words: ServiceWords, machine: InstallMachine): string[] {
  const low = words.listen.find((text) => (parseServicePort(text)?.at.port ?? FIRST_PORT_FOR_ALL) < FIRST_PORT_FOR_ALL);
  const why = kind.needsRoot(answers) ?? (low === undefined ? undefined : `the port of ${low}`);
  const isAllowed = machine.isRoot && (user === undefined || machine.givesRights);
  if (why === undefined || isAllowed) return [];
  const advice = machine.isRoot ? "install setpriv (util-linux), or give --user root" : "install it as root";
  return [`It needs rights of root for ${why}, and would have none: ${advice}`];
}
