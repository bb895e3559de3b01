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
  /** The id of the group that a peer is in; undefined if it is drawn by itself or not known. */
  groupOf(peerId: string): string | undefined;
}

interface Crowd {
  readonly role: PeerRole;
  readonly region: string;
  readonly at: string | undefined;
  peers: PeerFacts[];
}

/** Where a peer belongs when all of a kind are one: by its supernode, by its region, or nowhere. */
type Placing = (peer: PeerFacts) => Pick<Crowd, "region" | "at">;

export function drawPeers(snapshot: Snapshot, regions: MapRegions, supernodeIds: ReadonlySet<string>): DrawnPeers {
  const { peers } = snapshot;
  if (peers.length <= MAX_DRAWN) return { singles: peers, groups: [], groupOf: () => undefined };
  const crowds = crowdsOf(snapshot, regions, supernodeIds);
  const folded = foldLargest(crowds, peers.length);
  const singles = crowds.filter((crowd) => !folded.has(crowd)).flatMap((crowd) => crowd.peers);
  const preferred = preferredOf(snapshot, folded);
  for (const crowd of folded) crowd.peers = crowd.peers.filter((peer) => !preferred.has(peer));
  const groupIds = new Map<string, string>();
  const groups = [...folded].filter((crowd) => crowd.peers.length > 0).map((crowd) => {
    const id = `${crowd.role}s@${crowd.at ?? crowd.region}`;
    for (const { peerId } of crowd.peers) groupIds.set(peerId, id);
    return groupViewOf(crowd, id, snapshot);
  });
  return { singles: [...singles, ...preferred], groups, groupOf: (peerId) => groupIds.get(peerId) };
}

function crowdsOf(
  { peers, supernodeOf }: Snapshot,
  regions: MapRegions,
  supernodeIds: ReadonlySet<string>,
): Crowd[] {
  const bySupernode: Placing = ({ supernodeId, region }) => {
    const supernode = supernodeId === undefined ? undefined : supernodeOf.get(supernodeId);
    if (!supernode) return { region: regions.of(region), at: undefined };
    return { region: regions.of(supernode.region), at: supernodeIds.has(supernodeId!) ? supernodeId : undefined };
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
      crowd = { role, region, at, peers: [] };
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
function preferredOf(snapshot: Snapshot, folded: ReadonlySet<Crowd>): Set<PeerFacts> {
  const chosen = new Set<PeerFacts>();
  const hidden = new Set([...folded].flatMap(({ peers }) => peers));
  // Trouble leaves room for the others, however much of it there is.
  for (const peer of hidden) {
    if (chosen.size >= MAX_PREFERRED / 2) break;
    if (stateOfPeer(peer, snapshot) !== "good" || snapshot.partOf.has(peer.peerId)) chosen.add(peer);
  }
  for (const { clientPeerId, exitPeerId } of movingFirst(snapshot)) {
    for (const peerId of [clientPeerId, exitPeerId]) {
      if (chosen.size >= MAX_PREFERRED) return chosen;
      const peer = peerId === undefined ? undefined : snapshot.peerOf.get(peerId);
      if (peer && hidden.has(peer)) chosen.add(peer);
    }
  }
  return chosen;
}

function* movingFirst({ sessions }: Snapshot) {
  for (const session of sessions) if (session.state === "rotating") yield session;
  yield* sessions;
}

function groupViewOf({ role, region, at, peers }: Crowd, id: string, snapshot: Snapshot): GroupView {
  let sessions = 0;
  let failing = 0;
  let loads = 0;
  let loadSum = 0;
  for (const peer of peers) {
    sessions += snapshot.sessionsOf.get(peer.peerId) ?? 0;
    const state = stateOfPeer(peer, snapshot);
    if (state === "failing" || state === "silent") failing++;
    const load = plainShare(peer.load);
    if (load === undefined) continue;
    loads++;
    loadSum += load;
  }
  const load = loads === 0 ? undefined : plainShare(loadSum / loads);
  return {
    id,
    role,
    region,
    ...(at !== undefined && { at }),
    count: peers.length,
    sessions,
    ...(load !== undefined && { load }),
    failing,
  };
}
