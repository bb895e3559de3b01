/** What the packet relay's engine decides by, made of what it was told. */

import { formatIp, type IpAddress } from "../../protocol/ip.ts";
import { classify } from "../../protocol/ip_class.ts";
import { randomOf } from "../../protocol/random.ts";
import { RouteClients } from "../../protocol/sealed_route/access.ts";
import { RouteDesk } from "../../protocol/sealed_route/desk.ts";
import { EpochKeys } from "../../protocol/sealed_route/epoch_keys.ts";
import { RouteForwarder } from "../../protocol/sealed_route/forwarder.ts";
import { RouteLimits } from "../../protocol/sealed_route/limits.ts";
import { RoutePolicy } from "../../protocol/sealed_route/policy.ts";
import { TicketReader, TicketSealer } from "../../protocol/sealed_route/ticket.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { openLibcrypto } from "../crypto.ts";
import type { PacketRelayEngineOptions } from "./messages.ts";

export interface OpenRoutes extends Disposable {
  readonly forwarder: RouteForwarder;
  readonly desk: RouteDesk;
  /** Without libcrypto. */
  readonly isSlow: boolean;
}

export function openRoutes(options: PacketRelayEngineOptions, { isV6 }: { readonly isV6: boolean }): OpenRoutes {
  using resources = new DisposableStack();
  const native = openLibcrypto();
  if (native) resources.use(native);
  const suite = native ?? portableWireGuardCrypto;
  const keys = resources.use(new EpochKeys(options.relayKey, suite));
  const random = randomOf(crypto);
  const own = new Set(options.ownAddresses);
  const policy = new RoutePolicy({
    rules: options.rules,
    own: { has: (address) => own.has(formatIp(address)) },
    reaches: reachOf(options.listen.address, isV6),
  });
  const desk = new RouteDesk({
    clients: new RouteClients(options.relayKey, options.clients),
    ...{ policy, random, suite, lifetimeMs: options.ticketLifetimeMs },
    sealer: new TicketSealer(keys, random),
  });
  const forwarder = new RouteForwarder(new TicketReader(keys), new RouteLimits(options));
  const opened = resources.move();
  return { forwarder, desk, isSlow: !native, [Symbol.dispose]: () => opened.dispose() };
}

/** A socket of one address reaches its family, one of all addresses every family there is. */
function reachOf(listen: IpAddress, isV6: boolean): { readonly v4: boolean; readonly v6: boolean } {
  const isAny = classify(listen) === "unspecified";
  const isV4 = listen.length === 4;
  return { v4: isV4 || isAny, v6: !isV4 && isV6 };
}
