/**
 * The ways that sessions take over a map: client, its supernode, the exit's supernode, exit. Sessions between the same symbols are
 * one way, and the busiest ways are drawn; those on which something moves come before all others.
 */

import { MAX_DRAWN, type RouteView } from "./api.ts";
import type { SessionFacts } from "./inventory.ts";
import { plainText } from "./plain.ts";

export interface MapPlaces {
  /** The symbol under which a peer is drawn, if it is. */
  ofPeer(peerId: string | undefined): string | undefined;
  ofSupernode(supernodeId: string | undefined): string | undefined;
}

interface Route {
  readonly via: string[];
  readonly sessionId: string;
  sessions: number;
  isMoving: boolean;
}

/** Ways by where they lead: walked place by place, since making one key of four ids would cost more than all else. */
interface Fork {
  readonly onward: Map<string | undefined, Fork>;
  route: Route | undefined;
}

export function routesOf(sessions: Iterable<SessionFacts>, places: MapPlaces): RouteView[] {
  const start = newFork();
  const routes: Route[] = [];
  for (const session of sessions) {
    const fork = forkOf(session, places, start);
    if (!fork.route) {
      const via = viaOf(session, places);
      if (via.length < 2) continue;
      fork.route = { via, sessionId: session.sessionId, sessions: 0, isMoving: false };
      routes.push(fork.route);
    }
    fork.route.sessions++;
    fork.route.isMoving ||= isMoving(session);
  }
  return routes
    .sort((one, other) => Number(other.isMoving) - Number(one.isMoving) || other.sessions - one.sessions)
    .slice(0, MAX_DRAWN)
    .map(({ via, sessions, sessionId, isMoving }) => ({
      via,
      sessions,
      ...(sessions === 1 && { sessionId: plainText(sessionId) }),
      isMoving,
    }));
}

function forkOf(session: SessionFacts, places: MapPlaces, start: Fork): Fork {
  const client = next(start, places.ofPeer(session.clientPeerId));
  const near = next(client, places.ofSupernode(session.clientSupernodeId));
  const far = next(near, places.ofSupernode(session.exitSupernodeId));
  return next(far, places.ofPeer(session.exitPeerId));
}

function next({ onward }: Fork, place: string | undefined): Fork {
  let fork = onward.get(place);
  if (!fork) onward.set(place, fork = newFork());
  return fork;
}

function newFork(): Fork {
  return { onward: new Map(), route: undefined };
}

/** Those of its places that are on the map; one supernode for both ends is there once. */
function viaOf({ clientPeerId, clientSupernodeId, exitSupernodeId, exitPeerId }: SessionFacts, places: MapPlaces) {
  const { ofPeer, ofSupernode } = places;
  const all = [
    ofPeer(clientPeerId),
    ofSupernode(clientSupernodeId),
    ofSupernode(exitSupernodeId),
    ofPeer(exitPeerId),
  ];
  return all.filter((place) => place !== undefined).filter((place, at, via) => place !== via[at - 1]);
}

function isMoving({ state, previousSessionId }: SessionFacts): boolean {
  return state === "rotating" || (previousSessionId !== undefined && state !== "active");
}
