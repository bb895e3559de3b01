/**
 * The key-value store of a role: `--kv`, or a file in the state directory.
 */

import { z } from "zod";
import { openKv } from "../kv/open.ts";
import { StateDirectory } from "./state.ts";

/** `role` names the file that is used when nothing is given. */
export function kvFlag(role: string): { readonly kv: z.ZodOptional<z.ZodString> } {
  return {
    kv: z.string().min(1).optional()
      .describe("Where records are kept: a file, :memory:, or the https URL of a denokv.")
      .meta({ placeholder: "store", defaultText: `${role}.kv in --state-dir` }),
  };
}

export interface KvSettings {
  readonly kv?: string | undefined;
}

/** Opens it; close it with the role. */
export async function openRoleKv(
  { kv }: KvSettings,
  { role, stateDir }: { readonly role: string; readonly stateDir: string },
): Promise<Deno.Kv> {
  return await openKv(kv ?? (await StateDirectory.open(stateDir)).pathOf(`${role}.kv`));
}
