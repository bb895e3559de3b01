/**
 * What can be installed: each long-running role of ours, and the programs of others that are known here.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { didYouMean } from "../../config/names.ts";
import { registry, type RoleEntry } from "../../registry.ts";
import type { ServiceKind } from "./kind.ts";
import { programKinds } from "./program_kinds.ts";
import { roleKind } from "./role_kinds.ts";

export interface KindName {
  readonly name: string;
  readonly summary: string;
}

/** They run until stopped as well, but for whoever sits there, or for the services themselves. */
const NO_SERVICES = new Set(["up", "peer-open", "manager"]);

export async function kindNames(): Promise<readonly KindName[]> {
  const isService = await Promise.all(registry.map(isServiceRole));
  const roles = registry.filter((_, at) => isService[at]);
  return [...roles, ...programKinds].map(({ name, summary }) => ({ name, summary }));
}

/** Throws `unknown_role`. `kcp client` is `kcp-client`, as on the command line. */
export async function kindOf(name: string): Promise<ServiceKind> {
  const wanted = name.trim().replaceAll(/\s+/g, "-");
  const program = programKinds.find((kind) => kind.name === wanted);
  if (program) return program;
  const entry = registry.find((role) => role.name === wanted);
  if (entry && await isServiceRole(entry)) return roleKind(await entry.load());
  const names = (await kindNames()).map((kind) => kind.name);
  const hint = didYouMean(wanted, names);
  throw new CulvertError("unknown_role", `Cannot install ${name}: it must be one of ${names.join(", ")}${hint}`);
}

async function isServiceRole({ name, load }: RoleEntry): Promise<boolean> {
  if (NO_SERVICES.has(name) || name.startsWith("manager-")) return false;
  return (await load()).longRunning !== false;
}
