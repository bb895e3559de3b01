/**
 * What a client with `--tun` needs of the system, said before anything is made: also by whoever leaves it to a process of its own.
 */

import { requireRights, type Rights } from "../machine/privileges.ts";

/** Throws `denied` with what is missing and what it is for. */
export function requireTunnelRights(rights: Rights): void {
  requireRights(rights, {
    action: "route this machine through an exit",
    uses: ["create network interfaces", "set addresses, routes and routing rules", "set the kill switch"],
  });
}
