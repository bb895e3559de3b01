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

interface OwnerRoute {
  /** As `openapi.json` has it. At its end `:path` is whatever follows, of any length; any other part is one that is not empty. */
  readonly path: string;
  /** Undefined for any: then whoever is asked through it says what it takes. */
  readonly method?: string;
  answer(asked: OwnerAsked, options: OwnerRoutesOptions): Promise<Response>;
}

interface OwnerAsked {
  readonly request: Request;
  /** "" where the path has none. */
  readonly peerId: string;
}

/** All of them, none of which fits where another does. */
export function ownerRouteTable(): readonly OwnerRoute[] {
  return [
    { path: "/peers/:peerId/:path", answer: askPeer },
    { path: "/api/peers", method: "GET", answer: listPeers },
    { path: "/api/peers/:peerId/open", method: "POST", answer: openPeer },
    { path: "/api/transfers", method: "GET", answer: listSent },
  ];
}

export function ownerRoutes(options: OwnerRoutesOptions): OwnerRoutes {
  const routes = ownerRouteTable().map((route) => ({ ...route, shape: shapeOf(route.path) }));
  return async (request) => {
    const { pathname } = new URL(request.url);
    for (const { method, shape, answer } of routes) {
      if (method !== undefined && request.method !== method) continue;
      const found = shape.exec(pathname);
      const peerId = found?.[1] ?? "";
      if (found && (found.length === 1 || isPeerId(peerId))) return await answer({ request, peerId }, options);
    }
    return undefined;
  };
}

/** The one part that a path may leave open is the peer's id. */
function shapeOf(path: string): RegExp {
  return new RegExp(`^${path.replace("/:path", "(?:/.*)?").replace(":peerId", "([^/]+)")}$`);
}

async function askPeer({ request, peerId }: OwnerAsked, { gateway }: OwnerRoutesOptions): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  return await gateway.ask(peerId, pathname.slice(`/peers/${peerId}`.length) + search, request);
}

async function listPeers(_: OwnerAsked, options: OwnerRoutesOptions): Promise<Response> {
  return Response.json({ peers: await others(options, options.signal) }, NEWS);
}

function listSent(_: OwnerAsked, { sent }: OwnerRoutesOptions): Promise<Response> {
  return Promise.resolve(Response.json({ transfers: sent() }, NEWS));
}

async function openPeer({ peerId }: OwnerAsked, options: OwnerRoutesOptions): Promise<Response> {
  return await open(peerId, options, options.signal);
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
