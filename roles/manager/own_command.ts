/**
 * How this very program is started again: `culvert` as a service runs the same Deno and the same files as whoever asks.
 *
 *   from a checkout   /usr/bin/deno run -A /opt/culvert/roles/main.ts
 *   compiled          /usr/local/bin/culvert
 *   bundled           /usr/local/bin/culvert, as its launcher says: what runs is unpacked elsewhere
 */

import { fromFileUrl } from "@std/path";
import { ownExecutable } from "../machine/own_executable.ts";

export type CommandWords = readonly [string, ...string[]];

/** The command that `<role> [flags]` is put behind. */
export function ownCommand(): CommandWords {
  const executable = ownExecutable();
  if (executable !== undefined) return [executable.path];
  const main = new URL("../main.ts", import.meta.url);
  return [Deno.execPath(), "run", "-A", main.protocol === "file:" ? fromFileUrl(main) : main.href];
}

/** An executable, which needs nothing beside it. */
export function isOneFile(command: CommandWords): boolean {
  return command.length === 1;
}
