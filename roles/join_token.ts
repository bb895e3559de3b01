/** The token that a tracker asks of whoever wants to be listed, in a file of its own so that no list of processes shows it. */

import { ConfigError } from "./config.ts";

/** Throws a ConfigError when there is no such file; `action` is what cannot be done then: "start peer". */
export async function readJoinToken(path: string | undefined, action: string): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch {
    throw new ConfigError(action, ["--join-token-file must be a file that can be read"]);
  }
}
