/**
 * `culvert orchestrator invite`: makes an invitation from the machine itself, for whoever has lost the admin's secret.
 */

import { z } from "zod";
import { Codes } from "../../edge/orchestrator/access/codes.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { userRoles } from "../../protocol/sharing/records.ts";
import { loadIdentity } from "../identity_store.ts";
import { ConfigError } from "../config.ts";
import { defineRole, type Role, runRole } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { openStores, storeFlags } from "./stores.ts";

const config = z.object({
  role: z.array(z.enum(userRoles)).default(["user", "operator", "admin"]).meta({ placeholder: "role" })
    .describe("What the new account may do."),
  label: z.string().min(1).max(64).default("made on the orchestrator's machine").describe(
    "For the list of invitations.",
  )
    .meta({ placeholder: "text" }),
  ...storeFlags,
});

export const inviteRole: Role<typeof config> = defineRole({
  name: "orchestrator-invite",
  summary: "Makes an invitation to an orchestrator; on Deno KV, while that does not run.",
  config,
  longRunning: false,
  examples: ["culvert orchestrator invite", "culvert orchestrator invite --role user"],
  async run(config, context) {
    const { clock, random, stateDir, json, print } = context;
    const primitives = hostPrimitives();
    const identity = await loadIdentity(await StateDirectory.open(stateDir), primitives);
    if (!identity) throw new ConfigError("invite", [`there is no orchestrator in --state-dir ${stateDir}`]);
    await using stores = await openStores(config, context, { space: identity.peerId });
    const codes = new Codes({ enrolments: stores.tables.enrolments, clock, primitives, random });
    const { code } = await codes.make({ kind: "account", label: config.label, roles: config.role });
    const detail = `${config.label}, ${config.role.join(", ")}`;
    await stores.audit.append({ actor: "the machine itself", action: "account.invited", outcome: "done", detail });
    print(json ? JSON.stringify({ invitation: code }) : code);
  },
});

if (import.meta.main) Deno.exit(await runRole(inviteRole, Deno.args));
