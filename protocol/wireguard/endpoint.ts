/**
 * Where a peer is, as text: `192.0.2.1:51820`, `[2001:db8::1]:51820`, `[fe80::1%eth0]:51820`.
 *
 * The interface of a link-local address is a number to us and mostly a name to others (RFC 4007 §11); which name has
 * which number only the system knows, so whoever reads such text hands that in.
 */

import { equalIp, formatIp, parseIp } from "../ip.ts";
import { formatTarget, type Target } from "../stream.ts";
import type { Endpoint } from "./settings.ts";

/** The number of an interface, or undefined if there is none of that name. */
export type ScopeLookup = (interfaceName: string) => number | undefined;

const HOST_AND_PORT = /^(?:\[([0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_=+.-]{1,15})?)\]|([^\s:\[\]\/@%]{1,254})):(\d{1,5})$/;
const MAX_SCOPE_ID = 0xffffffff;

/** Splits `host:port` or `[v6]:port`, the zone of an address still on it; undefined for anything else. */
export function splitHostAndPort(text: string): Target | undefined {
  const match = HOST_AND_PORT.exec(text);
  const port = Number(match?.[3]);
  return match && port <= 65535 ? { host: (match[1] ?? match[2])!, port } : undefined;
}

/** Reads an address and a port; undefined for a host name, port 0, and an interface that is not there. */
export function parseEndpoint(text: string, scopeOf?: ScopeLookup): Endpoint | undefined {
  const target = splitHostAndPort(text);
  return target && endpointOf(target, scopeOf);
}

/** The endpoint that a host and a port name when the host is an address. */
export function endpointOf({ host, port }: Target, scopeOf?: ScopeLookup): Endpoint | undefined {
  const [addressText, zone] = host.split("%") as [string, string?];
  const address = parseIp(addressText);
  if (!address || port === 0) return undefined;
  if (zone === undefined) return { address, port };
  const scopeId = /^\d{1,10}$/.test(zone) ? Number(zone) : scopeOf?.(zone);
  if (address.length !== 16 || scopeId === undefined || scopeId > MAX_SCOPE_ID) return undefined;
  return scopeId === 0 ? { address, port } : { address, port, scopeId };
}

export function equalEndpoints(one: Endpoint, other: Endpoint): boolean {
  return one.port === other.port && equalIp(one.address, other.address) && (one.scopeId ?? 0) === (other.scopeId ?? 0);
}

export function formatEndpoint({ address, port, scopeId }: Endpoint): string {
  return formatTarget({ host: `${formatIp(address)}${scopeId ? `%${scopeId}` : ""}`, port });
}
