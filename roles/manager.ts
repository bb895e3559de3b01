/**
 * `culvert manager`: keeps services up. It starts what the service files name, watches it, starts it again when it fails, and
 * answers `culvert manager status`, `start`, `stop` and the others, each a role of its own.
 *
 *   service files ─▶ supervisor ─▶ own children, or systemd's units ─▶ checks ─▶ restarts, alerts
 *
 * SIGHUP reads files and settings again. A stop ends its own children, unless told to keep them; a kill does not, and the
 * next manager takes them over. docs/operations.md has it all.
 */

import { z } from "zod";
import { placesConfig, watchdogFile } from "./manager/places.ts";
import { runManager } from "./manager/run_manager.ts";
import { defineRole, type Role, runRole } from "./role.ts";

const managerConfig = z.object({
  ...placesConfig,
  watchdog: watchdogFile,
  keepServices: z.boolean().default(false)
    .describe("Leave services running when the manager stops, for the next one; units of systemd are always left."),
});
export type ManagerSettings = z.output<typeof managerConfig>;

export const role: Role<typeof managerConfig> = defineRole({
  name: "manager",
  summary: "Keeps services up: starts them, watches them, restarts what fails.",
  config: managerConfig,
  examples: [
    "culvert manager",
    "culvert manager --services ./services --run-dir ./run --log-dir ./logs",
    "culvert manager install",
    "culvert manager status",
    "culvert manager watch",
  ],
  // Services are given half a minute to end, and the manager waits for them.
  drainTimeout: "40s",
  run: (config, context) => runManager(config, context),
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
