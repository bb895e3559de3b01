/**
 * What an executable of one role may do: the permissions of Deno that are baked into it, the least with which it does what
 * it is for. docs/roles.md says the same under "needs", and a test sees to that.
 *
 * Not here are the roles of the manager, which start other roles: these are run by the executable with all roles.
 */

/** As in `--allow-net`. */
export type Permission = "net" | "read" | "write" | "env" | "sys";

/** All where the kernel is reached by foreign functions: these are outside of every other permission. */
export type Permissions = readonly Permission[] | "all";

/** What every role needs: settings come from the environment, and some values from the system. */
const EVERY_ROLE = ["env", "sys"] as const;

const none: Permissions = EVERY_ROLE;
const files: Permissions = ["read", "write", ...EVERY_ROLE];
const proxies: Permissions = ["net", "read", ...EVERY_ROLE];
const services: Permissions = ["net", "read", "write", ...EVERY_ROLE];

/** By the names of the registry. */
export const rolePermissions: Readonly<Record<string, Permissions>> = {
  "up": "all",
  "proxy": proxies,
  "proxy-report": proxies,
  "tunnel": proxies,
  "wireguard": "all",
  "base": services,
  "supernode": services,
  "exit": services,
  "client": services,
  "admin": services,
  "upstream": services,
  "central": services,
  "downstream": services,
  "relay": services,
  "gateway": services,
  "kcp-server": "all",
  "kcp-client": "all",
  "kcp-invite": files,
  "kcp-revoke": files,
  "kcp-clients": files,
  "kcp-secret": files,
  "kcp-ping": "all",
  "kcp-dump": "all",
  "kcp-doctor": "all",
  "kcp-import": files,
  "vtcp-server": "all",
  "vtcp-client": "all",
  "relay-packets": "all",
  "orchestrator": services,
  "orchestrator-invite": services,
  "node": "all",
  "node-status": services,
  "node-pause": services,
  "node-resume": services,
  "node-consent": services,
  "tracker": services,
  "peer": services,
  "peer-get": services,
  "peer-ls": services,
  "peer-search": services,
  "peer-share": services,
  "peer-invitations": services,
  "peer-revoke": services,
  "peer-open": services,
  "peer-status": services,
  "keys": files,
  "enroll": files,
  "health": proxies,
  "completions": none,
  "version": none,
};

/** The flags that grant them. What is not granted fails; nobody is asked. */
export function permissionFlags(permissions: Permissions): string[] {
  if (permissions === "all") return ["--allow-all"];
  return [...permissions.map((permission) => `--allow-${permission}`), "--no-prompt"];
}
