/**
 * Which relays a circuit goes through: drawn at random, each by what it says it has to spare, none twice, ending at a
 * relay to which the gateway has a link.
 *
 *   entry (the same for a while, if there is one) ─▶ others ─▶ last (one the gateway has dialled) ─▶ gateway
 *
 * Those that are avoided, because something has failed there, are drawn only when there are not enough others.
 */

import type { RelayGateway, RelayRecord } from "../../protocol/directory.ts";
import type { Random } from "../../protocol/random.ts";
import { drawRelays } from "../fragments/relay_choice.ts";

export interface Route {
  readonly relays: readonly RelayRecord[];
  readonly gateway: RelayGateway;
}

export interface RouteWish {
  /** Relays before the gateway. */
  readonly hops: number;
  /** The only gateway to use. Left out: any. */
  readonly gatewayId?: string | undefined;
  /** The relay to begin with, if it can be. */
  readonly entryId?: string | undefined;
  isAvoided(peerId: string): boolean;
  readonly random: Random;
}

/** Why there is no route, to complete "Cannot build a circuit: …". */
export interface NoRoute {
  readonly problem: string;
}

export function chooseRoute(known: readonly RelayRecord[], wish: RouteWish): Route | NoRoute {
  const { hops, gatewayId, entryId } = wish;
  if (known.length < hops) {
    return { problem: `it needs ${hops} relays, and the directory has ${known.length}` };
  }
  const gateway = drawGateway(known, wish);
  if (!gateway) {
    const whose = gatewayId === undefined ? "any gateway" : `the gateway ${gatewayId}`;
    return { problem: `${whose} must be linked to a relay of the directory, and none is` };
  }
  const ends = known.filter((relay) => leadsTo(relay, gateway.gatewayId));
  const otherEnds = ends.filter(({ relayId }) => relayId !== entryId);
  const last = drawRelays(otherEnds.length > 0 ? otherEnds : ends, 1, wish)[0]!;
  const left = known.filter((relay) => relay !== last);
  const entry = left.find(({ relayId }) => relayId === entryId) ?? drawRelays(left, 1, wish)[0]!;
  const between = drawRelays(left.filter((relay) => relay !== entry), hops - 2, wish);
  return { relays: [entry, ...between, last], gateway };
}

function leadsTo({ gateways }: RelayRecord, gatewayId: string): boolean {
  return gateways?.some((gateway) => gateway.gatewayId === gatewayId) ?? false;
}

/** Each gateway has the same chance, however many relays it is linked to. */
function drawGateway(known: readonly RelayRecord[], wish: RouteWish): RelayGateway | undefined {
  const { gatewayId, isAvoided, random } = wish;
  const byId = new Map<string, RelayGateway>();
  for (const gateway of known.flatMap(({ gateways = [] }) => gateways)) byId.set(gateway.gatewayId, gateway);
  if (gatewayId !== undefined) return byId.get(gatewayId);
  const all = [...byId.values()];
  const good = all.filter((gateway) => !isAvoided(gateway.gatewayId));
  const candidates = good.length > 0 ? good : all;
  return candidates[Math.floor(random.next() * candidates.length)];
}
