/**
 * How large the tunnel's packets may be so that their datagrams fit the way to every peer. A configured MTU comes before.
 */

import type { RtNetlink } from "../../native/rtnetlink.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import { MAIN_TABLE } from "../../protocol/rtnetlink/route.ts";

/** IPv6 40, UDP 8, WireGuard 32: what a datagram adds at most. */
const OVERHEAD_BYTES = 80;
/** Where no route tells. */
const ETHERNET_MTU = 1500;

export type MtuView = Pick<RtNetlink, "link" | "routeTo" | "routes">;

/** The smallest way's; that of the default route when no peer's address is known. */
export function tunnelMtu(endpoints: Iterable<Endpoint>, network: MtuView): number {
  const ways = [...endpoints].map(({ address }) => network.routeTo(address));
  const mtus = (ways.some((way) => way) ? ways : defaultRoutes(network))
    .map((way) => way && (way.mtu ?? (way.linkIndex !== undefined ? network.link(way.linkIndex)?.mtu : undefined)))
    .filter((mtu) => mtu !== undefined);
  return (mtus.length > 0 ? Math.min(...mtus) : ETHERNET_MTU) - OVERHEAD_BYTES;
}

function defaultRoutes(network: MtuView): ReturnType<MtuView["routes"]> {
  const routes = ([4, 6] as const).flatMap((family) => network.routes({ family, table: MAIN_TABLE }));
  return routes.filter(({ destination }) => destination.bits === 0);
}
