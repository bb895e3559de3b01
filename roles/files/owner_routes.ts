/**
 * What a peer server answers to its owner alone: which other peers there are, what they share, and a port of this machine that
 * leads to one of them. `protocol/files/owner_api.ts` has the forms.
 *
 *   GET /api/peers ─▶ trackers, and those that were met        POST /api/peers/ID/open ─▶ a bridge
 *   GET /api/transfers ─▶ what was sent of late               /peers/ID/… ─▶ gateway
 */

import { problem } from "../../net/files/problem.ts";
import type { PeerGateway } from "../../net/peers/peer_gateway.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Bridge, OtherPeer, Sent } from "../../protocol/files/owner_api.ts";
import { isPeerId } from "../../protocol/identity.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import type { OpenNetwork } from "./open_network.ts";

/** Of those that trackers list. */
const MAX_PEERS = 500;
const NEWS = { headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" } };

export interface OwnerRoutesOptions {
  readonly network: Pick<OpenNetwork, "known" | "find" | "peers" | "online">;
  readonly gateway: PeerGateway;
  /** The newest first. */
  sent(): readonly Sent[];
  readonly signal: AbortSignal;
}

/** Answers what it knows. */
export type OwnerRoutes = (request: Request) => Promise<Response | undefined>;

export function ownerRoutes(options: OwnerRoutesOptions): OwnerRoutes {
  const { signal } = options;
  return async (request) => {
    const { method } = request;
    const { pathname, search } = new URL(request.url);
    const [, first, second, third, fourth, ...rest] = pathname.split("/");
    if (first === "peers") {
      if (!isPeerId(second ?? "")) return undefined;
      return await options.gateway.ask(second!, pathname.slice(`/peers/${second}`.length) + search, request);
    }
    if (method === "GET" && pathname === "/api/transfers") return Response.json({ transfers: options.sent() }, NEWS);
    if (method === "GET" && pathname === "/api/peers") {
      return Response.json({ peers: await others(options, signal) }, NEWS);
    }
    const isOpen = first === "api" && second === "peers" && fourth === "open" && rest.length === 0;
    if (method === "POST" && isOpen && isPeerId(third ?? "")) {
      return await open(third!, options, signal);
    }
    return undefined;
  };
}

/** Those that trackers list, and those that were met before; without a tracker that answers the latter alone. */
async function others({ network }: OwnerRoutesOptions, signal: AbortSignal): Promise<OtherPeer[]> {
  const peers = new Map<string, OtherPeer>();
  const note = (card: PeerCard, listed: { readonly isOnline: boolean; readonly seenAtMs?: number }) => {
    const { peerId, label, region, capabilities } = card;
    const way = network.peers.wayTo(peerId);
    peers.set(peerId, {
      ...{ peerId, label, capabilities, ...listed },
      ...region !== undefined && { region },
      ...way && { isOnline: true, way: way.way, via: way.via, ...way.rttMs !== undefined && { rttMs: way.rttMs } },
    });
  };
  for (const { card } of await network.known.list()) note(card, { isOnline: false });
  try {
    for await (const { card, seenAtMs } of network.online("files", signal)) {
      note(card, { isOnline: true, seenAtMs });
      if (peers.size >= MAX_PEERS) break;
    }
  } catch {
    signal.throwIfAborted(); // otherwise no tracker has answered
  }
  return [...peers.values()];
}

async function open(
  peerId: string,
  { network, gateway }: OwnerRoutesOptions,
  signal: AbortSignal,
): Promise<Response> {
  try {
    const { card, invitation, observedAddress } = await network.find(peerId, signal);
    await using connection = await network.peers.connect(card, { invitation, observedAddress, signal });
    const url = await gateway.open(peerId);
    const bridge: Bridge = { url: url!, way: connection.way };
    return Response.json(bridge, NEWS);
  } catch (error) {
    return problem("unreachable", `Cannot open a way to the peer: ${messageOf(error)}`);
  }
}
