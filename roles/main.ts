/**
 * `culvert <role> [flags]`: finds the role, loads it, runs it.
 *
 *   culvert | culvert help | culvert --help     the roles
 *   culvert help <role>                         one role's help
 *   culvert --version                           the same as `culvert version`
 */

import { didYouMean } from "./config/names.ts";
import { table, wrap } from "./config/help.ts";
import { quoteText } from "./escape.ts";
import { denoHost, type Host } from "./host.ts";
import { registry, type RoleEntry } from "./registry.ts";
import { runRole } from "./role.ts";

/** Runs the command line and gives the exit code. */
export async function main(
  args: readonly string[],
  host: Host = denoHost(),
  roles: readonly RoleEntry[] = registry,
): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined || first === "--help" || first === "-h") return overview(host, roles);
  if (first === "help") return rest[0] === undefined ? overview(host, roles) : await start(rest[0], ["--help"]);
  if (first === "--version" || first === "-V") return await start("version", rest);
  return await start(first, rest);

  async function start(name: string, roleArgs: readonly string[]): Promise<number> {
    const entry = roles.find((role) => role.name === name);
    if (!entry) return unknownRole(name, host, roles);
    return await runRole(await entry.load(), roleArgs, { host, roles: roles.map((role) => role.name) });
  }
}

function unknownRole(name: string, host: Host, roles: readonly RoleEntry[]): number {
  const hint = didYouMean(name, [...roles.map((role) => role.name), "help"]);
  const shown = quoteText(name, 80);
  host.complain(`Cannot run ${shown}: there is no such role${hint}\nRun "culvert --help" for every role.\n`);
  return 2;
}

function overview(host: Host, roles: readonly RoleEntry[]): number {
  const lines = [
    "Usage: culvert <role> [flags]",
    "",
    ...wrap("Carries streams beneath whatever stands in their way: run a role on each machine you own.", 80),
  ];
  const width = Math.max(...roles.map(({ name }) => name.length));
  for (const [group, entries] of Map.groupBy(roles, (role) => role.group)) {
    lines.push("", `${group}:`, ...table(entries.map(({ name, summary }) => ({ left: name, right: summary })), width));
  }
  lines.push("", 'Run "culvert help <role>" for a role\'s flags.');
  host.print(lines.join("\n") + "\n");
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
