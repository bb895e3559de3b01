/**
 * Where a peer keeps its keys and state unless told otherwise. Apart from `state.ts` because every role asks this and few
 * read a key.
 */

import { join } from "@std/path";

/** What the choice of the directory depends on. */
export interface StateHost {
  env(name: string): string | undefined;
  readonly isRoot: boolean;
}

/** The state directory when none is named; `./.culvert` for somebody without a home. */
export function defaultStateDirectory(host: StateHost): string {
  const { env } = host;
  const named = env("CULVERT_STATE_DIR");
  if (named) return named;
  // systemd separates several with colons; the first is the unit's main one.
  const systemd = env("STATE_DIRECTORY")?.split(":")[0];
  if (systemd) return systemd;
  if (host.isRoot) return "/var/lib/culvert";
  const xdg = env("XDG_STATE_HOME");
  if (xdg) return join(xdg, "culvert");
  const home = env("HOME") ?? env("USERPROFILE");
  return home ? join(home, ".local", "state", "culvert") : ".culvert";
}
