/**
 * Where the other side may find this device, as it is told: the address that its keeper has named, how the relay sees it,
 * its global IPv6 address, which no NAT changes. What it is called behind its NAT is nobody's business but of one behind
 * the same NAT.
 */

import { type Cidr, equalIp, parseIp } from "../../protocol/ip.ts";
import { isLocal, mayProbe } from "../../protocol/packets/punch_candidates.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import type { ProbePort } from "./probe_port.ts";

/** Of those that are given out; only the route there is looked up. */
const SOMEWHERE_V6 = parseIp("2000::1")!;

export interface OwnPlacesOptions {
  readonly port: ProbePort;
  readonly relayAt: Endpoint;
  readonly reflexive?: Endpoint | undefined;
  /** Named by whoever runs it. */
  readonly endpoint?: Endpoint | undefined;
  /** Whether the other side is behind the same NAT. */
  readonly isNeighbour: boolean;
  readonly tunnels?: readonly Cidr[] | undefined;
}

export function ownPlaces(
  { port, relayAt, reflexive, endpoint, isNeighbour, tunnels }: OwnPlacesOptions,
): readonly string[] {
  const found: Endpoint[] = [];
  if (endpoint) found.push(endpoint);
  if (isNeighbour) {
    const inside = port.sourceTo(relayAt);
    if (inside && !(reflexive && equalIp(inside, reflexive.address))) found.push({ address: inside, port: port.port });
  }
  if (reflexive) found.push(reflexive);
  const v6 = port.sourceTo({ address: SOMEWHERE_V6 });
  const global = v6 && { address: v6, port: port.port };
  if (global && !isLocal(v6) && mayProbe(global, { tunnels }, false)) found.push(global);
  return [...new Set(found.map(formatEndpoint))];
}
