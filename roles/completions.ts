/**
 * `culvert completions bash|zsh|fish`: a script that makes the shell complete roles, flags, choices and file names. It
 * is made from the roles' own schemas, so it knows what this version knows; nothing runs while one types.
 */

import { z } from "zod";
import { bashCompletion } from "./completions/bash.ts";
import type { CompletedRole } from "./completions/command.ts";
import { fishCompletion } from "./completions/fish.ts";
import { zshCompletion } from "./completions/zsh.ts";
import { fieldsOf } from "./config/schema.ts";
import { registry, type RoleEntry } from "./registry.ts";
import { defineRole, type Role, roleGroups, runRole } from "./role.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

const config = z.object({
  shell: z.enum(["bash", "zsh", "fish"]).describe("The shell to complete for.")
    .meta({ positional: true, placeholder: "shell" }),
});

export const role: Role<typeof config> = defineRole({
  name: "completions",
  summary: "Prints what makes a shell complete culvert's roles, flags and values.",
  config,
  examples: [
    "culvert completions bash > ~/.local/share/bash-completion/completions/culvert",
    "culvert completions zsh > ~/.zfunc/_culvert",
    "culvert completions fish > ~/.config/fish/completions/culvert.fish",
  ],
  longRunning: false,
  async run({ shell }, context) {
    context.print(SHELLS[shell](await completedRoles(registry)).trimEnd());
  },
});

/** What there is to complete: every role with its fields. */
export function completedRoles(entries: readonly RoleEntry[]): Promise<CompletedRole[]> {
  return Promise.all(entries.map(async ({ name, summary, load }) => {
    const fields = Object.values(roleGroups(await load())).flatMap(fieldsOf);
    return { name, summary, fields };
  }));
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
