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

export function routesOf(sessions: Iterable<SessionFacts>, places: MapPlaces): RouteView[] {
  const routes = new Map<string, Route>();
  for (const session of sessions) {
    const via = viaOf(session, places);
    if (via.length < 2) continue;
    const key = via.join(" ");
    const route = routes.get(key);
    if (!route) {
      routes.set(key, { via, sessionId: session.sessionId, sessions: 1, isMoving: isMoving(session) });
      continue;
    }
    route.sessions++;
    route.isMoving ||= isMoving(session);
  }
  return [...routes.values()]
    .sort((one, other) => Number(other.isMoving) - Number(one.isMoving) || other.sessions - one.sessions)
    .slice(0, MAX_DRAWN)
    .map(({ via, sessions, sessionId, isMoving }) => ({
      via,
      sessions,
      ...(sessions === 1 && { sessionId: plainText(sessionId) }),
      isMoving,
    }));
}

/** Those of its places that are on the map; one supernode for both ends is there once. */
function viaOf({ clientPeerId, clientSupernodeId, exitSupernodeId, exitPeerId }: SessionFacts, places: MapPlaces) {
  const via: string[] = [];
  const add = (place: string | undefined) => {
    if (place !== undefined && place !== via.at(-1)) via.push(place);
  };
  add(places.ofPeer(clientPeerId));
  add(places.ofSupernode(clientSupernodeId));
  add(places.ofSupernode(exitSupernodeId));
  add(places.ofPeer(exitPeerId));
  return via;
}

function isMoving({ state, previousSessionId }: SessionFacts): boolean {
  return state === "rotating" || (previousSessionId !== undefined && state !== "active");
}
