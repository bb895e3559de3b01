/**
 * How a transport's URL says by what its packets go, alike for all of them, and the carriers of a client made of it:
 *
 *   interface=eth0   source=192.0.2.7   gateway=02:00:5e:10:00:01   send=ip|packet   firewall=0      raw packets alone
 *   via=SECRET@relay.example:7000[;SECRET@next.example:7000]                                        UDP alone
 */

import { CarrierGroup } from "../../protocol/carrier_group.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import type { Ports } from "../../protocol/port_span.ts";
import { parseRouteHop, type RouteHop } from "../../protocol/sealed_route/access.ts";
import type { LookName } from "../../protocol/tcp_look/look_name.ts";
import type { TransportUrl } from "../transport_url.ts";
import { openCarrier } from "./open_carrier.ts";

export interface CarrierSettings extends
  Pick<
    CarrierOptions,
    "group" | "kind" | "interface" | "source" | "gatewayMac" | "send" | "manageFirewall" | "flags"
  > {
  readonly look: LookName | undefined;
  /** Packet relays on the way, the nearest first. */
  readonly relays: readonly RouteHop[];
}

type CarrierTools = Pick<CarrierOptions, "clock" | "random" | "log" | "metrics">;

/** Packet relays on one way. */
const MOST_RELAYS = 4;

/** Reads them; `look` is that of raw packets, which the scheme says. */
export function readCarrierSettings(url: TransportUrl, look: LookName): CarrierSettings {
  const { settings } = url;
  const kind = url.scheme.endsWith("+udp") ? "udp" : "raw";
  const group = new CarrierGroup();
  if (kind === "udp") return { kind, group, look: undefined, relays: readRelays(url) };
  const card = settings.text("interface");
  const source = settings.text("source");
  const gatewayMac = settings.text("gateway");
  const send = settings.choice("send", ["ip", "packet", "usual"], "usual");
  return {
    kind,
    group,
    look,
    relays: [],
    manageFirewall: settings.choice("firewall", ["0", "1"], "1") === "1",
    ...card !== undefined && { interface: card },
    ...source !== undefined && { source },
    ...gatewayMac !== undefined && { gatewayMac },
    ...send !== "usual" && { send },
  };
}

function readRelays(url: TransportUrl): RouteHop[] {
  const via = url.settings.text("via");
  if (via === undefined) return [];
  const relays = via.split(";").map(parseRouteHop);
  if (relays.length <= MOST_RELAYS && relays.every((relay) => relay !== undefined)) return relays;
  throw url.fail(`must have via as ${MOST_RELAYS} packet relays at most, SECRET@host:port, with ";" between them`);
}

/** A carrier of a client to that address, by the relays if there are any; ready to send there. */
export async function openClientCarrier(
  { relays, look, ...settings }: CarrierSettings,
  peer: { readonly host: string; readonly ports: Ports },
  tools: CarrierTools,
  signal: AbortSignal,
): Promise<PacketCarrier> {
  if (relays.length === 0) return await openCarrier({ ...settings, ...tools, peer, ...look && { look } });
  const { openRoutedCarrier } = await import("./open_routed_carrier.ts");
  const inner = await openCarrier({ ...settings, ...tools });
  return await openRoutedCarrier(inner, { ...tools, relays, signal });
}
