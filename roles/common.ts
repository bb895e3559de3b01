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

const metricsListen = listenAddress().optional()
  .describe("Serve /metrics, /healthz and /readyz here; off unless given.");

/** Common to every role. */
export const commonConfig = z.object(everyRole);

/** Common to roles that run until stopped. */
export function serviceConfig(drainTimeout = "10s") {
  return z.object({
    ...everyRole,
    metricsListen,
    drainTimeout: durationMs(drainTimeout).describe("How long work under way may go on after a stop is asked for."),
  });
}

/** The common settings; the last two are there for long-running roles alone. */
export type CommonSettings = z.output<typeof commonConfig> & Partial<z.output<ReturnType<typeof serviceConfig>>>;
