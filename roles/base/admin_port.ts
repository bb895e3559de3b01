/**
 * What base serves to administrators: its API and its dashboard, which do the same deeds.
 */

import { BLOCKS_SPACE, type BlockStore, createKvBlocks } from "../../kv/blocks.ts";
import { createKvAudit } from "../../kv/audit.ts";
import { createKvDirectory } from "../../kv/directory.ts";
import { BlockDeeds } from "../admin_api/block_deeds.ts";
import { HeardAudit } from "../admin_api/heard_audit.ts";
import { type AdminPort, openAdminPort } from "../admin_api/port.ts";
import type { AdminSettings } from "../admin_api/settings.ts";
import type { RoleContext } from "../role.ts";
import { createBaseAdminApi } from "./admin_api.ts";
import { BaseSource } from "./dashboard_source.ts";

/** Under which base keeps its records (`edge/directory/on_kv.ts`). */
const SPACE = { space: "base" };

/** Opens the port, unless the settings say that there is to be none. */
export async function openBaseAdmin(
  config: AdminSettings,
  kv: Deno.Kv,
  context: RoleContext,
): Promise<AdminPort | undefined> {
  const { clock, log, metrics } = context;
  const store = createKvDirectory(kv, clock, SPACE);
  const blocks: BlockStore = createKvBlocks(kv, clock, { space: BLOCKS_SPACE });
  const audit = new HeardAudit(createKvAudit(kv, clock, SPACE), log);
  // Nobody stays connected to base.
  const deeds = new BlockDeeds({ blocks, audit, clock, isConnected: () => false });
  const deps = { store, blocks, audit, deeds };
  return await openAdminPort(config, {
    role: "base",
    api: (guard) => createBaseAdminApi({ ...deps, guard, clock, log, metrics }),
    source: new BaseSource(deps),
  }, context);
}
