/**
 * Opens a routed carrier over one that is there: finds the relays by their names.
 *
 *   const relays = [parseRouteHop("SECRET@relay.example:7000")!];
 *   await using routed = await openRoutedCarrier(await openCarrier({ kind: "udp", … }), { relays, clock, random, log, metrics });
 *   const place = await routed.reach("203.0.113.7", 29900);
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { clientKeys, type RouteHop as RelayAccess } from "../../protocol/sealed_route/access.ts";
import type { RoutePlace } from "../../protocol/sealed_route/ticket.ts";
import { parseIp } from "../../protocol/ip.ts";
import { formatTarget, type Target } from "../../protocol/stream.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { CachingResolver, type Resolver } from "../resolve.ts";
import { RoutedCarrier, type RoutedCarrierOptions } from "./routed_carrier.ts";

export interface OpenRoutedCarrierOptions extends Omit<RoutedCarrierOptions, "hops" | "suite"> {
  /** The nearest first. */
  readonly relays: readonly RelayAccess[];
  /** Default: the system's. */
  readonly resolver?: Resolver;
  readonly signal?: AbortSignal;
}

/** Takes the carrier over, which must not have been started. Rejects when a relay's name has no address. */
export async function openRoutedCarrier(
  inner: PacketCarrier,
  { relays, resolver, signal, ...options }: OpenRoutedCarrierOptions,
): Promise<RoutedCarrier> {
  await using stack = new AsyncDisposableStack();
  stack.use(inner);
  const names = resolver ?? new CachingResolver({ clock: options.clock });
  const hops = await Promise.all(relays.map(async ({ secret, addresses }) => ({
    keys: clientKeys(secret),
    addresses: (await Promise.all(addresses.map((each) => resolveAddress(each, names, signal)))).flat(),
  })));
  // A few questions in ten minutes: a library of the system would gain nothing.
  const carrier = new RoutedCarrier(inner, { ...options, hops, suite: portableWireGuardCrypto });
  stack.move();
  return carrier;
}

/** Every address that a name has: they are tried in turn. */
async function resolveAddress(
  { host, port }: Target,
  resolver: Resolver,
  signal: AbortSignal | undefined,
): Promise<RoutePlace[]> {
  const address = parseIp(host);
  const addresses = address ? [address] : await resolver.resolve(host, signal);
  if (addresses.length === 0) {
    throw new CulvertError("unreachable", `Cannot go by relays: ${formatTarget({ host, port })} has no address`);
  }
  return addresses.map((each) => ({ address: each, port }));
}
