/**
 * What a subcommand needs of the system, said with its reasons before anything is changed.
 *
 * The kernel asks for CAP_NET_ADMIN, not for root: a service with that capability and two directories of its own does as
 * well. A capability in a user namespace counts for that namespace's own network, which is what the kernel's answer to
 * the first call then tells.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { ChosenBackend } from "./devices.ts";

/** linux/capability.h. */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;
export const TUN_DEVICE = "/dev/net/tun";

export interface Rights {
  readonly uid: number | null;
  /** The effective capabilities as the kernel writes them, hexadecimal; undefined where it does not say. */
  readonly capabilities: string | undefined;
  readonly hasTun: boolean;
}

/** Those of this process. */
export async function ownRights(): Promise<Rights> {
  const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
  return {
    uid: Deno.uid(),
    capabilities: /^CapEff:\s*([0-9a-f]+)$/mi.exec(status)?.[1],
    hasTun: await Deno.stat(TUN_DEVICE).then(() => true, () => false),
  };
}

export function canAdministerNetwork(rights: Rights): boolean {
  return hasCapability(rights, CAP_NET_ADMIN);
}

export function canSendRawPackets(rights: Rights): boolean {
  return hasCapability(rights, CAP_NET_RAW);
}

function hasCapability({ uid, capabilities }: Rights, capability: bigint): boolean {
  if (capabilities === undefined) return uid === 0;
  return (BigInt(`0x${capabilities}`) >> capability & 1n) === 1n;
}

/** Throws `denied` with what is missing and what it is for. */
export function requireRights(rights: Rights, what: { action: string; uses: readonly string[] }): void {
  if (canAdministerNetwork(rights)) return;
  throw new CulvertError(
    "denied",
    `Cannot ${what.action}: it needs root or the capability CAP_NET_ADMIN, to ${listOf(what.uses)}; ` +
      `this process runs as user ${rights.uid ?? "unknown"} without it. Use sudo, or a service with ` +
      "AmbientCapabilities=CAP_NET_ADMIN. Nothing has been changed",
  );
}

/** The same, of who sends packets that look like those of TCP. */
export function requireRawPackets(rights: Rights, action: string): void {
  if (canSendRawPackets(rights)) return;
  throw new CulvertError(
    "denied",
    `Cannot ${action}: it needs root or the capabilities CAP_NET_RAW and CAP_NET_ADMIN, to send and receive raw packets ` +
      `and to keep the kernel from answering them; this process runs as user ${
        rights.uid ?? "unknown"
      } without them. ` +
      "Use sudo, or a service with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN. Nothing has been changed",
  );
}

/** The userspace backend's own need. */
export function requireTun(rights: Rights, backend: ChosenBackend, interfaceName: string): void {
  if (backend !== "userspace" || rights.hasTun) return;
  throw new CulvertError(
    "no_tun",
    `Cannot bring up ${interfaceName}: the userspace backend needs ${TUN_DEVICE}, to exchange packets with the kernel, ` +
      "and there is none. Load it with `modprobe tun`, or give it to the container (--device /dev/net/tun). " +
      "Nothing has been changed",
  );
}

function listOf(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}
