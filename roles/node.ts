/**
 * `culvert node`: shares this machine's connection through orchestrators, within its owner's limits, and is credited for it.
 *
 *   clients ─▶ orchestrator ─▶ tunnel, dialled from here ─▶ node ─▶ the owner's caps, schedule, policy ─▶ sites
 *
 * It needs no port that others can reach. Nothing is shared before its owner has agreed. `culvert node status`, `pause`,
 * `resume` and `consent` are for the owner; docs/node.md has it all.
 */

import { runNode } from "./node/run.ts";
import { nodeConfig } from "./node/settings.ts";
import { defineRole, type Role, runRole } from "./role.ts";

export const role: Role<typeof nodeConfig> = defineRole({
  name: "node",
  summary: "Shares this machine's connection through orchestrators, within limits, for credit.",
  config: nodeConfig,
  examples: [
    "culvert node --orchestrator https://share.example/ --code CODE --yes",
    "culvert node --config node.toml --daily-cap 5GiB --speed-limit 20",
    'culvert node --config node.toml --schedule "mon-fri 22:00-06:00"',
    "culvert node status",
    "culvert node pause --for 2h",
    "culvert node resume",
    "culvert node consent --withdraw",
  ],
  run: (config, context) => runNode(config, context),
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
