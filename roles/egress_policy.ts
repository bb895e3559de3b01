/**
 * The egress policy of a role: from its file, which is followed while it runs, or the default.
 */

import { watchPolicy } from "../net/policy.ts";
import { policyOf, type PolicySource } from "../protocol/egress_policy.ts";
import type { RoleContext } from "./role.ts";

/** A policy that follows `file`, or the default one, which opens nothing that is closed. Dispose it with the role. */
export async function openPolicy(
  file: string | undefined,
  context: Pick<RoleContext, "clock" | "log">,
): Promise<PolicySource & Disposable> {
  if (file !== undefined) return await watchPolicy(file, { clock: context.clock, log: context.log });
  const nothing = { [Symbol.dispose]() {} };
  return { current: policyOf(), subscribe: () => nothing, ...nothing };
}
