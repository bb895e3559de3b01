/**
 * Which routes a configuration asks for. Pure: addresses and allowed IPs in, routes out.
 *
 *   Table = off      none
 *   Table = 1234     every allowed IP, in that table
 *   Table = auto     every allowed IP in the main table, save those that the interface's own addresses reach already,
 *                    and a default route (/0) by a table of its own
 *
 * A default route through the tunnel must not carry the tunnel's own datagrams. They bear a mark, and rules send what is
 * not marked to the table with the default route, after the main table was asked for everything more particular:
 *
 *   lookup main suppress_prefixlength 0  →  not fwmark 51820 lookup 51820  →  lookup main
 */

import { type Cidr, contains, formatCidr } from "../../protocol/ip.ts";
import type { QuickConfig } from "../../protocol/wireguard/quick_config.ts";

export type Family = 4 | 6;

/** Where wg-quick begins to look for a free table, too; also the mark. */
export const FIRST_TABLE = 51_820;

export interface RoutePlan {
  /** The most particular first. */
  readonly routes: readonly Cidr[];
  /** The table they go to; undefined for the main one. */
  readonly table: number | undefined;
  /** The families that have a default route to go to a table of its own. */
  readonly defaults: readonly Family[];
}

export function familyOf({ address }: Pick<Cidr, "address">): Family {
  return address.length === 4 ? 4 : 6;
}

export function planRoutes(config: Pick<QuickConfig, "table" | "addresses" | "peers">): RoutePlan {
  if (config.table === "off") return { routes: [], table: undefined, defaults: [] };
  const all = distinct(config.peers.flatMap((peer) => peer.allowedIps)).sort((one, other) => other.bits - one.bits);
  if (typeof config.table === "number") return { routes: all, table: config.table, defaults: [] };
  const isReached = (cidr: Cidr) =>
    config.addresses.some(({ address, bits }) =>
      bits <= cidr.bits && contains({ address: cidr.address, bits }, address)
    );
  return {
    routes: all.filter((cidr) => cidr.bits > 0 && !isReached(cidr)),
    table: undefined,
    defaults: all.filter(({ bits }) => bits === 0).map(familyOf).sort(),
  };
}

function distinct(cidrs: readonly Cidr[]): Cidr[] {
  return [...new Map(cidrs.map((cidr) => [formatCidr(cidr), cidr])).values()];
}
