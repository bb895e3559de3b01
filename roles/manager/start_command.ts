/**
 * `culvert manager start`: has the manager start services, and waits until it is done (`deed.ts`).
 */

import { defineRole, type Role } from "../role.ts";
import { deedConfig, runDeed } from "./deed.ts";

export const startRole: Role<typeof deedConfig> = defineRole({
  name: "manager-start",
  summary: "Starts services, and waits until they run.",
  config: deedConfig,
  examples: ["culvert manager start kcp", "culvert manager start --all"],
  longRunning: false,
  run: (config, context) => runDeed("start", config, context),
});
