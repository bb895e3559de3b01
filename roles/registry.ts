/**
 * Every role `culvert` knows, in the order and groups they are listed. A role's file is loaded only when it is needed,
 * so that starting one does not load them all; `registry_test.ts` sees to it that names and summaries agree.
 */

import type { Role } from "./role.ts";

export interface RoleEntry {
  readonly name: string;
  readonly summary: string;
  /** The heading it is listed under. */
  readonly group: string;
  load(): Promise<Role>;
}

export const registry: readonly RoleEntry[] = [
  {
    name: "completions",
    summary: "Prints what makes a shell complete culvert's roles, flags and values.",
    group: "This program",
    load: async () => (await import("./completions.ts")).role,
  },
  {
    name: "version",
    summary: "Prints the versions of culvert, Deno and V8.",
    group: "This program",
    load: async () => (await import("./version.ts")).role,
  },
];
