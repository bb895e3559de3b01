/**
 * Which peers a map draws one by one, and which as one symbol with a number.
 *
 *   all fit ─▶ one by one
 *   else    ─▶ peers of one role at one supernode are a crowd; the largest crowds are drawn as one each until all fits
 *              ─▶ out of those, some are drawn by themselves after all: those with trouble, parts, ends of sessions
 *
 * Where there are too many crowds even so, those of one role in one region are one, and at last all of one role.
 */

import { type GroupView, MAX_DRAWN } from "./api.ts";
import type { PeerFacts, PeerRole } from "./inventory.ts";
import { ELSEWHERE, type MapRegions } from "./map_regions.ts";
import { plainShare } from "./plain.ts";
import { type Snapshot, stateOfPeer } from "./snapshot.ts";

/** How many of those who would not fit are drawn by themselves. */
const MAX_PREFERRED = 40;
const MAX_CROWDS = 100;

export interface DrawnPeers {
  /** Those that are drawn one by one. */
  readonly singles: readonly PeerFacts[];
  readonly groups: readonly GroupView[];
  /** The ids of the groups of those that are not. */
  readonly groupOf: ReadonlyMap<string, string>;
}

interface Crowd {
  readonly id: string;
  readonly role: PeerRole;
  readonly region: string;
  readonly at: string | undefined;
  readonly peers: PeerFacts[];
}

/** Where a peer belongs when all of a kind are one: by its supernode, by its region, or nowhere. */
type Placing = (peer: PeerFacts) => Pick<Crowd, "region" | "at">;

/** `supernodeIds` are those of the drawn supernodes, as they are shown. */
export function drawPeers(
  snapshot: Snapshot,
  regions: MapRegions,
  supernodeIds: ReadonlyMap<string, string>,
): DrawnPeers {
  const { peers } = snapshot;
  if (peers.length <= MAX_DRAWN) return { singles: peers, groups: [], groupOf: new Map() };
  const crowds = crowdsOf(snapshot, regions, supernodeIds);
  const folded = foldLargest(crowds, peers.length);
  const groupOf = new Map<string, string>();
  for (const crowd of folded) for (const { peerId } of crowd.peers) groupOf.set(peerId, crowd.id);
  const preferred = preferredOf(snapshot, folded, groupOf);
  for (const { peerId } of preferred) groupOf.delete(peerId);
  const singles = crowds.filter((crowd) => !folded.has(crowd)).flatMap((crowd) => crowd.peers);
  return {
    singles: [...singles, ...preferred],
    groups: [...folded].flatMap((crowd) => groupViewOf(crowd, preferred, snapshot)),
    groupOf,
  };
}

function crowdsOf(
  { peers, supernodeOf }: Snapshot,
  regions: MapRegions,
  supernodeIds: ReadonlyMap<string, string>,
): Crowd[] {
  const bySupernode: Placing = ({ supernodeId, region }) => {
    const supernode = supernodeId === undefined ? undefined : supernodeOf.get(supernodeId);
    if (!supernode) return { region: regions.of(region), at: undefined };
    return { region: regions.of(supernode.region), at: supernodeIds.get(supernodeId!) };
  };
  const byRegion: Placing = ({ region }) => ({ region: regions.of(region), at: undefined });
  const nowhere: Placing = () => ({ region: regions.of(ELSEWHERE), at: undefined });
  for (const placing of [bySupernode, byRegion]) {
    const crowds = gather(peers, placing);
    if (crowds.length <= MAX_CROWDS) return crowds;
  }
  return gather(peers, nowhere);
}

function gather(peers: readonly PeerFacts[], placing: Placing): Crowd[] {
  const crowds: Crowd[] = [];
  const perRole = new Map<PeerRole, Map<string, Crowd>>();
  for (const peer of peers) {
    const { role } = peer;
    const { region, at } = placing(peer);
    let ofRole = perRole.get(role);
    if (!ofRole) perRole.set(role, ofRole = new Map());
    const place = at ?? region;
    let crowd = ofRole.get(place);
    if (!crowd) {
      crowd = { id: `${role}s@${place}`, role, region, at, peers: [] };
      ofRole.set(place, crowd);
      crowds.push(crowd);
    }
    crowd.peers.push(peer);
  }
  return crowds;
}

/** The largest ones, as many as it takes; of those, some are still to be drawn by themselves. */
function foldLargest(crowds: readonly Crowd[], peers: number): Set<Crowd> {
  const folded = new Set<Crowd>();
  let drawn = peers;
  for (const crowd of crowds.toSorted((one, other) => other.peers.length - one.peers.length)) {
    if (drawn <= MAX_DRAWN - MAX_PREFERRED) break;
    folded.add(crowd);
    drawn -= crowd.peers.length - 1;
  }
  return folded;
}

/** Those worth being drawn by themselves, out of crowds that are drawn as one. */
function preferredOf(
  snapshot: Snapshot,
  folded: ReadonlySet<Crowd>,
  groupOf: ReadonlyMap<string, string>,
): Set<PeerFacts> {
  const chosen = new Set<PeerFacts>();
  for (const peer of troubledOf(snapshot, folded)) {
    // It leaves room for the others, however much of it there is.
    if (chosen.size >= MAX_PREFERRED / 2) break;
    chosen.add(peer);
  }
  for (const { clientPeerId, exitPeerId } of movingFirst(snapshot)) {
    for (const peerId of [clientPeerId, exitPeerId]) {
      if (chosen.size >= MAX_PREFERRED) return chosen;
      if (peerId !== undefined && groupOf.has(peerId)) chosen.add(snapshot.peerOf.get(peerId)!);
    }
  }
  return chosen;
}

function* troubledOf(snapshot: Snapshot, folded: ReadonlySet<Crowd>): Generator<PeerFacts> {
  for (const { peers } of folded) {
    for (const peer of peers) {
      if (stateOfPeer(peer, snapshot) !== "good" || snapshot.partOf.has(peer.peerId)) yield peer;
    }
  }
}

function* movingFirst({ sessions }: Snapshot) {
  for (const session of sessions) if (session.state === "rotating") yield session;
  yield* sessions;
}

/** None where all of them are drawn by themselves. */
function groupViewOf(
  { id, role, region, at, peers }: Crowd,
  preferred: ReadonlySet<PeerFacts>,
  snapshot: Snapshot,
): GroupView[] {
  let [count, sessions, failing, loads, loadSum] = [0, 0, 0, 0, 0];
  for (const peer of peers) {
    if (preferred.has(peer)) continue;
    count++;
    sessions += snapshot.sessionsOf.get(peer.peerId) ?? 0;
    const state = stateOfPeer(peer, snapshot);
    if (state === "failing" || state === "silent") failing++;
    const load = plainShare(peer.load);
    if (load === undefined) continue;
    loads++;
    loadSum += load;
  }
  if (count === 0) return [];
  const load = loads === 0 ? undefined : plainShare(loadSum / loads);
  return [{ id, role, region, at, count, sessions, load, failing }];
}
