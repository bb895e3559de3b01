/**
 * The settings every role has beside its own, and where state lives unless told otherwise.
 */

import { z } from "zod";
import { directoryPath, durationMs, filePath, listenAddress } from "./fields.ts";

const everyRole = {
  config: filePath().optional().describe("A TOML or JSON file with settings.").meta({ configFile: true }),
  stateDir: directoryPath().optional().describe("Where keys and state are kept; for root in /var/lib/culvert.")
    .meta({ defaultText: "~/.local/state/culvert" }),
  json: z.boolean().default(false).describe("Print results, the ready line and logs as JSON."),
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("info")
    .describe("The least important lines to log.").meta({ placeholder: "level" }),
  logFormat: z.enum(["auto", "text", "json"]).default("auto")
    .describe("How log lines look; auto is text on a terminal and JSON elsewhere.").meta({ placeholder: "format" }),
};

const longRunning = {
  metricsListen: listenAddress().optional()
    .describe("Serve /metrics, /healthz and /readyz here; off unless given."),
  drainTimeout: drainTimeout("10s"),
};

function drainTimeout(fallback: string): z.ZodType<number> {
  return durationMs(fallback).describe("How long work under way may go on after a stop is asked for.");
}

/** Common to every role. */
export const commonConfig = z.object(everyRole);

/** Common to roles that run until stopped. */
export const serviceConfig = z.object({ ...everyRole, ...longRunning });

/** The same for one that takes its time. */
export function slowServiceConfig(fallback: string): typeof serviceConfig {
  return serviceConfig.extend({ drainTimeout: drainTimeout(fallback) });
}

/** The common settings; the last two are there for long-running roles alone. */
export type CommonSettings = z.output<typeof commonConfig> & Partial<z.output<typeof serviceConfig>>;
