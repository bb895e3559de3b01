/**
 * The packet carriers of a KCP server: UDP, packets that look like TCP, or both on the same ports, and one more for clients
 * that come by packet relays.
 */

import { openCarrier } from "../../net/packets/open_carrier.ts";
import { ReturningCarrier } from "../../net/packets/returning_carrier.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import type { PortSpan } from "../../protocol/port_span.ts";
import { MAX_HOPS } from "../../protocol/sealed_route/datagram.ts";
import type { LookName } from "../../protocol/tcp_look/look_name.ts";
import { ownAddress } from "../own_address.ts";
import type { RoleContext } from "../role.ts";
import type { ServerSettings } from "./server_settings.ts";

export interface ServerCarriers extends AsyncDisposable {
  readonly ports: PortSpan;
  readonly carriers: readonly PacketCarrier[];
}

const LOOKS: Readonly<Record<ServerSettings["dialect"], LookName>> = {
  culvert: "ours",
  kcptun: "ours",
  paqet: "paqet",
};

export async function openServerCarriers(settings: ServerSettings, context: RoleContext): Promise<ServerCarriers> {
  const { carrier, ports, relayedPort } = settings;
  const host = await ownAddress(settings.address);
  await using stack = new AsyncDisposableStack();
  const carriers: PacketCarrier[] = [];
  for (const kind of carrier === "both" ? ["udp", "raw"] as const : [carrier]) {
    carriers.push(stack.use(await openCarrier(optionsOf(kind, { host, ports }, settings, context))));
  }
  const [first] = carriers[0]!.localPorts;
  if (relayedPort !== undefined) {
    const inner = await openCarrier(optionsOf("udp", { host, ports: relayedPort }, settings, context));
    carriers.push(stack.use(new ReturningCarrier(inner, { mostHops: MAX_HOPS })));
  }
  const held = stack.move();
  return {
    ports: { first: first ?? ports.first, count: ports.count },
    carriers,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

function optionsOf(
  kind: "udp" | "raw",
  listen: NonNullable<CarrierOptions["listen"]>,
  settings: ServerSettings,
  { clock, random, log, metrics }: RoleContext,
): CarrierOptions {
  const { dialect, interface: card, manageFirewall } = settings;
  const raw = { look: LOOKS[dialect], manageFirewall, ...card !== undefined && { interface: card } };
  return { kind, listen, ...kind === "raw" && raw, clock, random, log, metrics };
}
