/**
 * Where the tickets of a relay may lead. Without rules: to public addresses that are not this machine's own, ports from 1024
 * on and 443. With rules: to what one of them names, private addresses too, and nowhere else. Never to many hosts at once,
 * to no address at all, or back to where the question came from.
 *
 * Rules as text: a network or an address, with ports or without: `203.0.113.7`, `203.0.113.0/24:7000-7010`,
 * `[2001:db8::/32]:7000`.
 */

import type { AddressSet } from "../egress_policy.ts";
import { type Cidr, contains, equalIp, parseCidr } from "../ip.ts";
import { classify, embeddedIpv4, type IpClass } from "../ip_class.ts";
import type { RoutePlace } from "./ticket.ts";

export interface RouteRule {
  readonly network: Cidr;
  readonly firstPort: number;
  readonly lastPort: number;
}

export interface RoutePolicyOptions {
  /** None: public addresses. */
  readonly rules?: readonly RouteRule[];
  /** This machine's addresses. */
  readonly own?: AddressSet;
  /** The families that the relay reaches; both when left out. */
  readonly reaches?: { readonly v4: boolean; readonly v6: boolean };
}

const FIRST_FREE_PORT = 1024;
const HTTPS_PORT = 443;
const MAX_PORT = 65_535;
const NEVER: ReadonlySet<IpClass> = new Set(["unspecified", "multicast", "broadcast"]);

export class RoutePolicy {
  readonly #rules: readonly RouteRule[];
  readonly #own: AddressSet | undefined;
  readonly #reaches: { readonly v4: boolean; readonly v6: boolean };

  constructor({ rules = [], own, reaches = { v4: true, v6: true } }: RoutePolicyOptions = {}) {
    this.#rules = rules;
    this.#own = own;
    this.#reaches = reaches;
  }

  /** Whether who is at `from` may have a ticket to `to`. */
  allows(from: RoutePlace, to: RoutePlace): boolean {
    const { address, port } = to;
    if (port < 1 || port > MAX_PORT || !this.#reaches[address.length === 4 ? "v4" : "v6"]) return false;
    if (from.port === port && equalIp(from.address, address)) return false;
    const inner = embeddedIpv4(address);
    if (NEVER.has(classify(address)) || inner && NEVER.has(classify(inner))) return false;
    if (this.#rules.length > 0) return this.#rules.some((rule) => isWithin(rule, to));
    if (port < FIRST_FREE_PORT && port !== HTTPS_PORT) return false;
    return classify(address) === "public" && !this.#own?.has(address);
  }
}

function isWithin({ network, firstPort, lastPort }: RouteRule, { address, port }: RoutePlace): boolean {
  return port >= firstPort && port <= lastPort && contains(network, address);
}

/** A rule as text; undefined when it is none. */
export function parseRouteRule(text: string): RouteRule | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+|.*:.*:.*?))(?::(\d{1,5})(?:-(\d{1,5}))?)?$/.exec(text);
  const network = match && parseCidr(match[1] ?? match[2]!);
  if (!network) return undefined;
  const firstPort = match[3] === undefined ? 1 : Number(match[3]);
  const lastPort = match[4] !== undefined ? Number(match[4]) : match[3] !== undefined ? firstPort : MAX_PORT;
  if (firstPort < 1 || firstPort > lastPort || lastPort > MAX_PORT) return undefined;
  return { network, firstPort, lastPort };
}
