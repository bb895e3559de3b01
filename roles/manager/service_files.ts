/**
 * The services of this machine, from a folder of service files: `NAME.toml` is the service NAME. What cannot be used is left
 * out and told, with the file, the key and the rule; the others are there all the same.
 *
 *   folder ─▶ NAME.toml ─▶ table ─┬─ service_schema.ts ─┐
 *                                 ├─ [environment]      ├─▶ Service, or problems
 *                                 └─ [watchdog] ────────┘
 *
 * It looks once: the manager looks again when it is told to (SIGHUP).
 */

import { basename, dirname, join, resolve } from "@std/path";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { RESERVED_NAMES, type Service, SERVICE_NAME, type ServiceProbe } from "../../protocol/manager/service.ts";
import type { WatchdogSettings } from "../../protocol/manager/watchdog_settings.ts";
import { inputOfTable, type SectionPlace } from "../config.ts";
import { isTable, parseFileText, type Table } from "../config/file.ts";
import { didYouMean } from "../config/names.ts";
import { showValue } from "../config/problems.ts";
import { escapeText } from "../escape.ts";
import { registry, type RoleEntry } from "../registry.ts";
import { type CommandWords, ownCommand } from "./own_command.ts";
import { type ServiceFile, serviceFileSchema } from "./service_schema.ts";

/** Far above any that a person writes. */
const MAX_FILE_BYTES = 64 * 1024;
/** As many as can be asked for at once (`words.ts`). */
const MAX_SERVICES = 1000;
const OTHERS_WRITE = 0o002;

export interface ServiceDefaults {
  readonly watchdog: WatchdogSettings;
  /** What the `[watchdog]` of a service's file makes of those; without it such a table is a problem. */
  readWatchdog?(
    table: Table,
    /** With the file's whole text, to find lines in. */
    place: SectionPlace & { readonly text: string },
    base: WatchdogSettings,
  ): { readonly settings: WatchdogSettings; readonly problems: readonly string[] };
  /** How this program is started. Default: as it was now. */
  readonly ownCommand?: CommandWords;
  /** The roles there are. Default: the registry's. */
  readonly roles?: readonly Pick<RoleEntry, "name" | "summary">[];
}

export interface LoadedServices {
  /** By name. */
  readonly services: readonly Service[];
  readonly problems: readonly string[];
  /** Services of which there is a file that cannot be used. */
  readonly broken: readonly string[];
}

/**
 * Reads every service file of a folder. Rejects where the folder itself cannot be read, with `no_folder` where there is none:
 * that says nothing about services.
 */
export async function loadServiceFiles(directory: string, defaults: ServiceDefaults): Promise<LoadedServices> {
  const names = await fileNames(directory);
  const services: Service[] = [];
  const problems: string[] = [];
  const broken: string[] = [];
  if (names.length > MAX_SERVICES) {
    problems.push(`${directory} must hold at most ${MAX_SERVICES} service files, got ${names.length}`);
    broken.push(...names.slice(MAX_SERVICES).map((name) => basename(name, ".toml")));
  }
  for (const name of names.slice(0, MAX_SERVICES)) {
    const path = join(directory, name);
    const text = await readServiceText(path);
    const read = "problem" in text ? { problems: [text.problem] } : await readServiceFile(text.text, path, defaults);
    if (read.service) services.push(read.service);
    else broken.push(basename(name, ".toml"));
    problems.push(...read.problems);
  }
  return { services, problems, broken };
}

/** Sorted. */
async function fileNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      if (name.endsWith(".toml") && !name.startsWith(".")) names.push(name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new CulvertError(
        "no_folder",
        `${directory} must be a folder of service files; there is none, and culvert manager install makes the first`,
      );
    }
    throw new CulvertError("bad_folder", `${directory} must be a folder that can be read: ${messageOf(error)}`);
  }
  return names.sort();
}

/** Whoever may write one may run anything as its user: it is refused where everybody may. */
async function readServiceText(path: string): Promise<{ readonly text: string } | { readonly problem: string }> {
  try {
    const { size, mode, isFile } = await Deno.stat(path);
    if (!isFile) return { problem: `${path} must be a file` };
    if (size > MAX_FILE_BYTES) return { problem: `${path} must be at most ${MAX_FILE_BYTES} bytes, got ${size}` };
    if ((mode ?? 0) & OTHERS_WRITE) return { problem: `${path} must not be writable by everybody: chmod o-w ${path}` };
    return { text: await Deno.readTextFile(path) };
  } catch (error) {
    return { problem: `${path} must be a file that can be read: ${messageOf(error)}` };
  }
}

export interface ReadService {
  /** Undefined where there are problems. */
  readonly service?: Service;
  readonly problems: readonly string[];
}

/** The service of one file's text; its name is the file's. */
export async function readServiceFile(text: string, path: string, defaults: ServiceDefaults): Promise<ReadService> {
  const name = basename(path, ".toml");
  if (!SERVICE_NAME.test(name)) {
    return { problems: [`${path} must have the name of a service: lower-case letters, digits and dashes, 32 at most`] };
  }
  if (RESERVED_NAMES.has(name)) {
    return {
      problems: [`${path} must have another name than what is the manager's own: ${[...RESERVED_NAMES].join(", ")}`],
    };
  }
  const table = await parseFileText(text, path);
  if (typeof table === "string") return { problems: [table] };
  const { environment = {}, watchdog = {}, ...settings } = table;
  const { input, problems: found } = inputOfTable(serviceFileSchema, settings, { file: path, section: "" });
  const problems = [...found];
  const variables = readVariables(environment, path, problems);
  const ownWatchdog = readOwnWatchdog(watchdog, { path, text }, defaults, problems);
  if (found.length > 0) return { problems };
  const file = serviceFileSchema.parse(input);
  problems.push(...contradictions(file, path, defaults));
  if (problems.length > 0) return { problems };
  return { service: serviceOf(file, { name, path, variables, watchdog: ownWatchdog, defaults }), problems };
}

function readVariables(table: unknown, path: string, problems: string[]): Record<string, string> {
  if (!isTable(table)) {
    problems.push(`environment in ${path} must be a section, got ${showValue(table)}`);
    return {};
  }
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(table)) {
    const shown = `environment.${escapeText(name, 100)} in ${path}`;
    // What a variable holds may be a secret: it is not repeated.
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) problems.push(`${shown} must be the name of a variable`);
    else if (typeof value !== "string" || value.includes("\0")) problems.push(`${shown} must be text`);
    else variables[name] = value;
  }
  return variables;
}

function readOwnWatchdog(
  table: unknown,
  { path, text }: { readonly path: string; readonly text: string },
  { watchdog, readWatchdog }: ServiceDefaults,
  problems: string[],
): WatchdogSettings {
  if (!isTable(table)) {
    problems.push(`watchdog in ${path} must be a section, got ${showValue(table)}`);
    return watchdog;
  }
  if (Object.keys(table).length === 0) return watchdog;
  if (!readWatchdog) {
    problems.push(`watchdog in ${path} must not be given here`);
    return watchdog;
  }
  const read = readWatchdog(table, { file: path, section: "watchdog.", text }, watchdog);
  problems.push(...read.problems);
  return read.settings;
}

/** What no single key is to blame for. */
function contradictions(file: ServiceFile, path: string, { roles = registry }: ServiceDefaults): string[] {
  const { role, command, probe } = file;
  const problems: string[] = [];
  const say = (text: string) => problems.push(text);
  if ((role === undefined) === (command === undefined)) {
    say(`${path} must have either role or command, got ${role === undefined ? "neither" : "both"}`);
  }
  if (role !== undefined && !roles.some(({ name }) => name === role)) {
    const hint = didYouMean(role, roles.map(({ name }) => name));
    say(`role in ${path} must be a role of culvert, got ${showValue(role)}${hint}`);
  } else if (role?.split("-")[0] === "manager") {
    say(`role in ${path} must be another than the manager's own, got ${showValue(role)}`);
  }
  if (command && !command[0]!.startsWith("/")) {
    say(`command in ${path} must begin with a program's whole path, got ${showValue(command[0])}`);
  }
  for (const key of ["config", "flags"] as const) {
    if (command && file[key] !== undefined && file[key].length > 0) {
      say(`${key} in ${path} must stand beside role; put it into command`);
    }
  }
  if (probe && !probe.url) say(`probe.url in ${path} must be given`);
  return problems;
}

interface ServiceParts {
  readonly name: string;
  readonly path: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly watchdog: WatchdogSettings;
  readonly defaults: ServiceDefaults;
}

function serviceOf(file: ServiceFile, { name, path, variables, watchdog, defaults }: ServiceParts): Service {
  const { role, user, directory, probe, limits, capabilities, writable } = file;
  const summary = (defaults.roles ?? registry).find((entry) => entry.name === role)?.summary;
  return {
    name,
    description: file.description ?? summary ?? name,
    ...role !== undefined && { role },
    command: commandOf(file, path, defaults),
    ...user !== undefined && { user },
    ...directory !== undefined && { directory: resolve(dirname(path), directory) },
    environment: variables,
    enabled: file.enabled,
    listen: file.listen,
    notifies: (file.ready ?? (role === undefined ? "listen" : "notify")) === "notify",
    connects: file.connects,
    ...probe && { probe: probeOf(probe) },
    limits: {
      ...limits.memory !== undefined && { memoryBytes: limits.memory },
      ...limits.openFiles !== undefined && { openFiles: limits.openFiles },
      ...limits.cpuPercent !== undefined && { cpuPercent: limits.cpuPercent },
      overMs: limits.over,
    },
    ...capabilities && { capabilities },
    ...writable && { writable },
    log: { maxBytes: file.log.max },
    watchdog,
  };
}

function commandOf(
  { role, config, flags, command }: ServiceFile,
  path: string,
  defaults: ServiceDefaults,
): CommandWords {
  if (role === undefined) return command as [string, ...string[]];
  const own = defaults.ownCommand ?? ownCommand();
  const configFlags = config === undefined ? [] : ["--config", resolve(dirname(path), config)];
  return [...own, role, ...configFlags, ...flags];
}

function probeOf({ through, url, status, timeout }: NonNullable<ServiceFile["probe"]>): ServiceProbe {
  if (!url) throw new CulvertError("bad_option", "Cannot probe: the URL must be given");
  return {
    ...through && { through: through.href },
    url: url.href,
    ...status !== undefined && { status },
    timeoutMs: timeout,
  };
}
