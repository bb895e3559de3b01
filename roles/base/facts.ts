/** Supernodes and relays, as base lists them, for the dashboard: its own, and that of `culvert up`. */

import type { PeerFacts, SupernodeFacts } from "../../edge/dashboard/inventory.ts";
import type { RelayView, SupernodeView } from "./admin_schema.ts";

export function supernodeFactsOf(
  { supernodeId, region, maxStreams, version, status }: Omit<SupernodeView, "url" | "registeredAtMs" | "heartbeatAtMs">,
): SupernodeFacts {
  const { streams, exits, draining } = status;
  return { supernodeId, region, state: draining ? "draining" : "online", streams, exits, maxStreams, version };
}

/** Each once; of a gateway that several relays name the first counts. */
export function relayFactsOf(relays: Iterable<Omit<RelayView, "url">>): PeerFacts[] {
  const peers = new Map<string, PeerFacts>();
  const gateways = new Map<string, PeerFacts>();
  for (const { relayId, kind, region, version, load, registeredAtMs, gateways: reached } of relays) {
    peers.set(relayId, { peerId: relayId, role: kind, region, version, load, heardAtMs: registeredAtMs });
    for (const peerId of reached) gateways.set(peerId, { peerId, role: "gateway", region, heardAtMs: registeredAtMs });
  }
  return [...peers.values(), ...[...gateways.values()].filter(({ peerId }) => !peers.has(peerId))];
}
