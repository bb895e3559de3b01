/**
 * What a supernode serves to administrators: its API and its dashboard, which do the same deeds.
 */

import { networkIdOf } from "../../protocol/certificate.ts";
import { HeardAudit } from "../admin_api/heard_audit.ts";
import { type AdminPort, openAdminPort } from "../admin_api/port.ts";
import type { RoleContext } from "../role.ts";
import { createAdminApi } from "./admin_api.ts";
import { AdminDeeds, type AdminDeedsDeps } from "./admin_deeds.ts";
import { SupernodeSource } from "./dashboard_source.ts";
import { ListedSupernodes } from "./listed_supernodes.ts";
import type { SupernodeParts } from "./parts.ts";
import type { SupernodeSettings } from "./settings.ts";
import type { Vitals } from "./vitals.ts";

export interface SupernodeAdmin extends Pick<AdminDeedsDeps, "supernode" | "drain" | "undrain"> {
  readonly parts: SupernodeParts;
  readonly vitals: Pick<Vitals, "cpuPct">;
}

/** Opens the port, unless the settings say that there is to be none. */
export async function openSupernodeAdmin(
  config: SupernodeSettings,
  { parts, ...served }: SupernodeAdmin,
  context: RoleContext,
): Promise<AdminPort | undefined> {
  const { clock, random, log, metrics } = context;
  const { network, primitives, stores: { blocks } } = parts;
  const audit = new HeardAudit(parts.audit, log);
  const deeds = new AdminDeeds({ ...served, audit, blocks, clock, random });
  const deps = { ...served, region: config.region, audit, deeds, clock };
  const others = new ListedSupernodes(parts.directory, served.supernode.supernodeId);
  return await openAdminPort(config, {
    role: "supernode",
    api: (guard) =>
      createAdminApi({
        ...{ ...deps, guard, blocks, log, metrics },
        networkId: network && networkIdOf(network.networkPublicKey, primitives),
      }),
    source: new SupernodeSource({ ...deps, others }),
  }, context);
}
