/**
 * `culvert <role> [flags]`: finds the role, loads it, runs it.
 *
 *   culvert | culvert help | culvert --help     the roles
 *   culvert help <role>                         one role's help
 *   culvert kcp client | culvert kcp-client     the same role: of a name with a dash the two words may stand apart
 *   culvert node status | culvert node-status   the same, though `culvert node` is a role as well
 *   culvert kcp | culvert kcp --help            the roles whose names begin with kcp-
 *   culvert --version                           the same as `culvert version`
 */

import { didYouMean } from "./config/names.ts";
import { table, wrap } from "./config/help.ts";
import { quoteText } from "./escape.ts";
import { denoHost, type Host } from "./host.ts";
import { registry, type RoleEntry } from "./registry.ts";
import { wantsHelp } from "./config.ts";
import { runRole } from "./role.ts";

/** Runs the command line and gives the exit code. */
export async function main(
  args: readonly string[],
  host: Host = denoHost(),
  roles: readonly RoleEntry[] = registry,
): Promise<number> {
  const [first, ...rest] = joinName(args, roles);
  if (first === undefined || first === "--help" || first === "-h") return overview(host, roles);
  const asked = first === "help" ? joinName(rest, roles)[0] : first;
  if (asked === undefined) return overview(host, roles);
  const family = familyOf(asked, roles);
  if (family.length > 0 && (first === "help" || rest.length === 0 || wantsHelp(rest))) return overview(host, family);
  if (first === "help") return await start(asked, ["--help"]);
  if (first === "--version" || first === "-V") return await start("version", rest);
  if (family.length > 0) return unknownRole(args.slice(0, 2).join("-"), host, family);
  return await start(first, rest);

  async function start(name: string, roleArgs: readonly string[]): Promise<number> {
    const entry = roles.find((role) => role.name === name);
    if (!entry) return unknownRole(name, host, roles);
    return await runRole(await entry.load(), roleArgs, { host, roles: roles.map((role) => role.name) });
  }
}

/** Two words that are one role's name become it. */
function joinName(args: readonly string[], roles: readonly RoleEntry[]): readonly string[] {
  const [first, second, ...rest] = args;
  const isJoined = roles.some(({ name }) => name === `${first}-${second}`);
  return isJoined ? [`${first}-${second}`, ...rest] : args;
}

/** The roles whose names begin with that word and a dash, where it is none itself. */
function familyOf(word: string, roles: readonly RoleEntry[]): readonly RoleEntry[] {
  return roles.some(({ name }) => name === word) ? [] : roles.filter(({ name }) => name.startsWith(`${word}-`));
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
