/**
 * All that the manager reads: the watchdog's settings, and the service files with their own.
 *
 *   watchdog.toml, or watchdog.conf ─▶ settings ─▶ NAME.toml, each with its [watchdog] ─▶ services
 */

import { parseFileText } from "../config/file.ts";
import { ConfigError } from "../config.ts";
import { messageOf } from "../../protocol/errors.ts";
import {
  readWatchdogConf,
  readWatchdogTable,
  watchdogContradictions,
  type WatchdogReading,
} from "../../protocol/manager/watchdog_conf.ts";
import { defaultWatchdogSettings, type WatchdogSettings } from "../../protocol/manager/watchdog_settings.ts";
import type { Places } from "./places.ts";
import { loadServiceFiles, type ServiceDefaults } from "./service_files.ts";
import type { ServiceLoader } from "./supervisor.ts";

/** At its start and at each SIGHUP. */
const ACTION = "read the manager's settings";

export interface ManagerFilesOptions {
  readonly places: Pick<Places, "services" | "watchdogFiles">;
  /** The one that was asked for; without it the first of the usual ones that is there. */
  readonly watchdogFile?: string | undefined;
}

export function managerFiles({ places, watchdogFile }: ManagerFilesOptions): ServiceLoader {
  return {
    async load() {
      const watchdog = watchdogFile === undefined
        ? await firstThere(places.watchdogFiles)
        : await readWatchdogFile(watchdogFile) ?? noSuchFile(watchdogFile);
      return await loadServiceFiles(places.services, { watchdog, readWatchdog });
    },
  };
}

async function firstThere(paths: readonly string[]): Promise<WatchdogSettings> {
  for (const path of paths) {
    const settings = await readWatchdogFile(path);
    if (settings) return settings;
  }
  return defaultWatchdogSettings;
}

function noSuchFile(path: string): never {
  throw new ConfigError(ACTION, [`watchdog must be a file that is there, got ${path}`]);
}

/** Undefined when there is none; throws what is wrong with it. */
export async function readWatchdogFile(path: string): Promise<WatchdogSettings | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const { settings, problems } = path.endsWith(".toml") ? await readToml(text, path) : readWatchdogConf(text, path);
  const all = { ...defaultWatchdogSettings, ...settings };
  const wrong = [...problems, ...watchdogContradictions(all, path)];
  if (wrong.length > 0) throw new ConfigError(ACTION, wrong);
  return all;
}

async function readToml(text: string, path: string): Promise<WatchdogReading> {
  const table = await parseFileText(text, path);
  return typeof table === "string"
    ? { settings: {}, problems: [table] }
    : readWatchdogTable(table, { file: path, text });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new ConfigError(ACTION, [`watchdog must be a file that can be read: ${messageOf(error)}`]);
  }
}

const readWatchdog: NonNullable<ServiceDefaults["readWatchdog"]> = (table, { file, text }, base) => {
  const { settings, problems } = readWatchdogTable(table, { file, text, section: "watchdog" });
  const all = { ...base, ...settings };
  return { settings: all, problems: [...problems, ...watchdogContradictions(all, file)] };
};
