/**
 * Which executables there are: `culvert` with every role and all permissions, and `culvert-<role>`, which is the same with
 * that role as its first word and only the permissions that it needs.
 *
 *   culvert-exit --region eu     is     culvert exit --region eu     with --allow-net --allow-read …
 */

import { closestString } from "@std/text/closest-string";
import { CulvertError } from "../protocol/errors.ts";
import { type Permissions, rolePermissions } from "./role_permissions.ts";

export interface Executable {
  /** Of the file. */
  readonly name: string;
  /** What stands before the words that it is started with. */
  readonly words: readonly string[];
  readonly permissions: Permissions;
}

export interface ExecutableOptions {
  /** Whether one of a single role may do everything too, as `exit --tun` has to. */
  readonly mayDoAll: boolean;
}

/** Those of the roles; without any, the one with all of them. */
export function executablesOf(roles: readonly string[], { mayDoAll }: ExecutableOptions): readonly Executable[] {
  if (roles.length === 0) return [{ name: "culvert", words: [], permissions: "all" }];
  return [...new Set(roles)].map((role) => {
    const permissions = permissionsOf(role);
    return { name: `culvert-${role}`, words: [role], permissions: mayDoAll ? "all" : permissions };
  });
}

function permissionsOf(role: string): Permissions {
  const permissions = Object.hasOwn(rolePermissions, role) ? rolePermissions[role] : undefined;
  if (permissions !== undefined) return permissions;
  if (/^manager\b/.test(role)) {
    const why = `the manager starts other roles: make the executable with all of them, by naming none`;
    throw new CulvertError("bad_role", `Cannot make an executable of ${role} alone: ${why}`);
  }
  const nearest = closestString(role, Object.keys(rolePermissions));
  throw new CulvertError(
    "bad_role",
    `Cannot make an executable: the role must be one of culvert's, got ${role}; did you mean ${nearest}?`,
  );
}
