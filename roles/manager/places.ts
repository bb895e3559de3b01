/**
 * Where the manager keeps what: for root the system's folders, for others their own. Every command of the manager has the
 * same flags for it, so that one who moves a place moves it for all.
 */

import { join } from "@std/path";
import { z } from "zod";
import { directoryPath, filePath } from "../fields.ts";
import type { Host } from "../host.ts";

export const placesConfig = {
  services: directoryPath().optional().describe("Where service files lie, NAME.toml each; of a user below ~/.config.")
    .meta({ defaultText: "/etc/culvert/services" }),
  runDir: directoryPath().optional().describe("Where pid files and sockets lie; of a user below $XDG_RUNTIME_DIR.")
    .meta({ defaultText: "/run/culvert" }),
  logDir: directoryPath().optional().describe("Where services' logs are written; of a user below the state directory.")
    .meta({ defaultText: "/var/log/culvert" }),
  backend: z.enum(["auto", "own", "systemd"]).default("auto")
    .describe("Who runs the processes; auto is systemd where it runs, for root.").meta({ placeholder: "backend" }),
};

export const watchdogFile = filePath().optional()
  .describe("The watchdog's settings, as KEY=VALUE or .toml; the default need not be there.")
  .meta({ defaultText: "/etc/culvert/watchdog.conf" });

export type PlacesSettings = z.output<z.ZodObject<typeof placesConfig>>;

export interface Places {
  readonly services: string;
  readonly run: string;
  readonly logs: string;
  /** Of the manager's own socket. */
  readonly socket: string;
  /** Those that are tried in turn where none is given. */
  readonly watchdogFiles: readonly string[];
  readonly backend: "own" | "systemd";
}

export interface PlacesHost {
  readonly isRoot: boolean;
  /** Whether systemd runs this machine. */
  readonly hasSystemd: boolean;
  readonly env: Host["env"];
}

export function placesOf(settings: PlacesSettings, stateDir: string, host: PlacesHost): Places {
  const config = host.isRoot
    ? "/etc/culvert"
    : join(host.env("XDG_CONFIG_HOME") ?? join(homeOf(host), ".config"), "culvert");
  const runtime = host.env("XDG_RUNTIME_DIR");
  const ownRun = runtime === undefined ? join(stateDir, "run") : join(runtime, "culvert");
  const run = settings.runDir ?? (host.isRoot ? "/run/culvert" : ownRun);
  const isSystemd = settings.backend === "systemd" || settings.backend === "auto" && host.isRoot && host.hasSystemd;
  return {
    services: settings.services ?? join(config, "services"),
    run,
    logs: settings.logDir ?? (host.isRoot ? "/var/log/culvert" : join(stateDir, "logs")),
    socket: join(run, "manager.sock"),
    watchdogFiles: ["watchdog.toml", "watchdog.conf"].map((name) => join(config, name)),
    backend: isSystemd ? "systemd" : "own",
  };
}

function homeOf({ env }: PlacesHost): string {
  return env("HOME") ?? "/";
}

/** Whether it does is known by the folder that it makes first (sd_booted(3)). */
export function thisPlacesHost(env: Host["env"]): PlacesHost {
  return { isRoot: Deno.uid() === 0, hasSystemd: isDirectory("/run/systemd/system"), env };
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
