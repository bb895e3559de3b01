/**
 * Where a card says that its peer may be dialled: addresses without a host of their own are at the one that was observed.
 */

import { formatIp, parseIp } from "../ip.ts";
import { parseTarget, type Target } from "../stream.ts";
import type { PeerCard } from "./card.ts";

/** Each once, in the card's order; those that cannot be dialled are left out. */
export function dialledTargets({ addresses }: Pick<PeerCard, "addresses">, observedAddress?: string): Target[] {
  const targets = new Map<string, Target>();
  for (const text of addresses) {
    const address = parseTarget(text);
    if (!address || address.port === 0) continue;
    const host = isUnspecified(address.host) ? observedAddress : address.host;
    if (host !== undefined) targets.set(`${host} ${address.port}`, { host, port: address.port });
  }
  return [...targets.values()];
}

/** Whether it means every address of a machine, and so none. */
export function isUnspecified(host: string): boolean {
  const address = parseIp(host);
  return address?.every((byte) => byte === 0) ?? false;
}

/** The same addresses with what they mean in place of none: what a card that is handed on should say. */
export function knownAddresses(addresses: readonly string[], hosts: readonly string[], max = 8): string[] {
  const known = addresses.flatMap((text) => {
    const address = parseTarget(text);
    if (!address || !isUnspecified(address.host)) return [text];
    return hosts.map((host) => {
      const ip = parseIp(host);
      const shown = ip ? formatIp(ip) : host;
      return shown.includes(":") ? `[${shown}]:${address.port}` : `${shown}:${address.port}`;
    });
  });
  return [...new Set(known)].slice(0, max);
}
