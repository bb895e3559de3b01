/**
 * `culvert manager restart`: has the manager restart services, and waits until it is done (`deed.ts`).
 */

import { defineRole, type Role } from "../role.ts";
import { deedConfig, runDeed } from "./deed.ts";

export const restartRole: Role<typeof deedConfig> = defineRole({
  name: "manager-restart",
  summary: "Stops services and starts them again, and waits until they run.",
  config: deedConfig,
  examples: ["culvert manager restart kcp", "culvert manager restart --all"],
  longRunning: false,
  run: (config, context) => runDeed("restart", config, context),
});
