/**
 * `culvert manager stop`: has the manager stop services, and waits until it is done (`deed.ts`).
 */

import { defineRole, type Role } from "../role.ts";
import { deedConfig, runDeed } from "./deed.ts";

export const stopRole: Role<typeof deedConfig> = defineRole({
  name: "manager-stop",
  summary: "Stops services, and waits until nothing of them runs.",
  config: deedConfig,
  examples: ["culvert manager stop kcp", "culvert manager stop --all"],
  longRunning: false,
  run: (config, context) => runDeed("stop", config, context),
});
