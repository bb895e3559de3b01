/**
 * How this very program is started again: `culvert` as a service runs the same Deno and the same files as whoever asks.
 *
 *   from a checkout   /usr/bin/deno run -A /opt/culvert/roles/main.ts
 *   compiled          /usr/local/bin/culvert
 *   bundled           /usr/local/bin/culvert, as its launcher says: what runs is unpacked elsewhere
 */

import { fromFileUrl } from "@std/path";

export type CommandWords = readonly [string, ...string[]];

/** The command that `<role> [flags]` is put behind. */
export function ownCommand(): CommandWords {
  if (Deno.build.standalone) return [Deno.execPath()];
  const launcher = Deno.env.get("CULVERT_EXECUTABLE");
  // A checkout may have been started by an executable, but is none.
  if (launcher !== undefined && !import.meta.url.endsWith(".ts")) return [launcher];
  const main = new URL("../main.ts", import.meta.url);
  return [Deno.execPath(), "run", "-A", main.protocol === "file:" ? fromFileUrl(main) : main.href];
}
