/**
 * Where one side may send probes when the other side says "I may be there". Whoever negotiates could name anybody, so: a few
 * places only, none twice, and none that is a matter of this machine or its neighbours: no loopback, no multicast, nothing
 * inside the tunnel, and private addresses only where they mean the same to both: when the relay sees us under a private
 * address too, or both of us under the same one (behind one NAT).
 */

import { type Cidr, contains, equalIp, type IpAddress, isV4Mapped } from "../ip.ts";
import { classify, type IpClass } from "../ip_class.ts";
import { formatEndpoint, parseEndpoint } from "../wireguard/endpoint.ts";
import type { Endpoint } from "../wireguard/settings.ts";
import { MAX_CANDIDATES } from "./punch_offer.ts";

export interface ProbeScope {
  /** How the relay sees us; undefined when it did not say. */
  readonly reflexive?: Endpoint | undefined;
  /** What is inside the tunnel. */
  readonly tunnels?: readonly Cidr[] | undefined;
}

/** Addresses that mean something else elsewhere. */
const LOCAL: readonly IpClass[] = ["private", "cgnat", "unique-local", "site-local"];

/** Those that nobody may be sent to: not of one host, of this host, or a v4 address in disguise. */
const CLOSED: readonly IpClass[] = [
  "unspecified",
  "loopback",
  "link-local",
  "multicast",
  "broadcast",
  "reserved",
  "discard",
  "teredo",
  "6to4",
  "nat64",
  "nat64-local",
  "v4-mapped",
  "v4-translated",
  "v4-compatible",
];

/** Of what the other side said, where to send probes. */
export function readCandidates(texts: readonly string[], scope: ProbeScope): readonly Endpoint[] {
  const named = texts.slice(0, MAX_CANDIDATES).map((text) => parseEndpoint(text)).filter((at) => at !== undefined);
  const { reflexive } = scope;
  const isNeighbour = reflexive !== undefined && named.some(({ address }) => equalIp(address, reflexive.address));
  const found = new Map<string, Endpoint>();
  for (const at of named) if (mayProbe(at, scope, isNeighbour)) found.set(formatEndpoint(at), at);
  return [...found.values()];
}

/** Whether probes may go there. `isNeighbour`: the other side is behind the same address as we. */
export function mayProbe({ address, port, scopeId }: Endpoint, scope: ProbeScope, isNeighbour: boolean): boolean {
  const { reflexive, tunnels = [] } = scope;
  if (port === 0 || scopeId || isV4Mapped(address)) return false;
  if (tunnels.some((tunnel) => contains(tunnel, address))) return false;
  if (isClosed(address)) return false;
  if (!isLocal(address)) return true;
  return isNeighbour || (reflexive !== undefined && isLocal(reflexive.address));
}

/** Whether it is no single host's, or this host's own. */
export function isClosed(address: IpAddress): boolean {
  return CLOSED.includes(classify(address));
}

export function isLocal(address: IpAddress): boolean {
  return LOCAL.includes(classify(address));
}
