/**
 * A network as it is drawn: at most `MAX_DRAWN` of anything, however large it is.
 *
 *   Snapshot ─▶ regions (`map_regions.ts`) ─▶ supernodes ─▶ peers and groups (`map_peers.ts`) ─▶ links, routes (`map_routes.ts`)
 *
 * Pure, and the same for the same snapshot, so that what has not changed stays where it is.
 */

import { type BlockedView, MAX_DRAWN, type NetworkView, type NodeView, type PartView, type Totals } from "./api.ts";
import type { NetworkSource, PeerFacts, SupernodeFacts } from "./inventory.ts";
import { drawPeers } from "./map_peers.ts";
import { MapRegions } from "./map_regions.ts";
import { type MapPlaces, routesOf } from "./map_routes.ts";
import { MAX_CPU_PCT, MAX_RTT_MS, plainCount, plainNumber, plainShare, plainText, rounded } from "./plain.ts";
import { labelOf, labelOfId, type Snapshot, stateOfPeer, stateOfSupernode } from "./snapshot.ts";

export type AboutSource = Pick<NetworkSource, "title" | "kind" | "version" | "deeds">;

export function viewOf(snapshot: Snapshot, { title, kind, version, deeds }: AboutSource): NetworkView {
  const regions = new MapRegions(snapshot);
  const supernodes = drawnSupernodes(snapshot);
  const supernodeIds = new Map(supernodes.map(({ supernodeId }) => [supernodeId, plainText(supernodeId)]));
  const { singles, groups, groupOf } = drawPeers(snapshot, regions, supernodeIds);
  const passing = sessionsAtSupernodes(snapshot);
  const nodes = unlike([
    ...supernodes.map((supernode) => supernodeNode(supernode, { snapshot, regions, passing })),
    ...singles.map((peer) => peerNode(peer, { snapshot, regions, supernodeIds })),
    ...goneParts(snapshot, regions),
  ]);
  const places = placesOf(nodes, groupOf);
  return {
    title: plainText(title),
    kind,
    version: plainText(version),
    deeds,
    nodes,
    groups,
    links: drawnLinks(snapshot, supernodeIds),
    routes: routesOf(snapshot.sessions, places),
    parts: snapshot.parts.slice(0, MAX_DRAWN).map(partView),
    blocked: blockedViews(snapshot),
    totals: totalsOf(snapshot, regions.count),
    regions: [...new Set([...nodes, ...groups].map(({ region }) => region))].sort(),
  };
}

/** Where they are too many: those with trouble, then those with the most peers. */
function drawnSupernodes(snapshot: Snapshot): readonly SupernodeFacts[] {
  const { supernodes } = snapshot;
  if (supernodes.length <= MAX_DRAWN) return supernodes;
  const isGood = (supernode: SupernodeFacts) => Number(stateOfSupernode(supernode, snapshot) === "good");
  return supernodes.toSorted((one, other) => isGood(one) - isGood(other) || other.streams - one.streams)
    .slice(0, MAX_DRAWN);
}

interface Drawing {
  readonly snapshot: Snapshot;
  readonly regions: MapRegions;
}

function supernodeNode(
  supernode: SupernodeFacts,
  { snapshot, regions, passing }: Drawing & { readonly passing: ReadonlyMap<string, number> },
): NodeView {
  const { supernodeId, name, region, streams, maxStreams, cpuPct } = supernode;
  return {
    id: plainText(supernodeId),
    kind: "supernode",
    label: labelOf(name, supernodeId),
    region: regions.of(region),
    state: stateOfSupernode(supernode, snapshot),
    load: maxStreams ? plainShare(streams / maxStreams) : undefined,
    sessions: passing.get(supernodeId) ?? 0,
    streams: plainCount(streams),
    cpuPct: rounded(plainNumber(cpuPct, MAX_CPU_PCT)),
    part: partNameOf(supernodeId, snapshot),
  };
}

function peerNode(
  peer: PeerFacts,
  { snapshot, regions, supernodeIds }: Drawing & { readonly supernodeIds: ReadonlyMap<string, string> },
): NodeView {
  const { peerId, name, role, region, supernodeId, load, rttMs } = peer;
  return {
    id: plainText(peerId),
    kind: role,
    label: labelOf(name, peerId),
    region: regions.of(region),
    at: supernodeId === undefined ? undefined : supernodeIds.get(supernodeId),
    state: stateOfPeer(peer, snapshot),
    load: plainShare(load),
    sessions: snapshot.sessionsOf.get(peerId) ?? 0,
    rttMs: rounded(plainNumber(rttMs, MAX_RTT_MS)),
    part: partNameOf(peerId, snapshot),
  };
}

const DRAWN_ROLES: ReadonlySet<string> = new Set<NodeView["kind"]>([
  "supernode",
  "client",
  "exit",
  "relay",
  "upstream",
  "downstream",
  "central",
  "gateway",
]);

/** Parts that do not run and of which nobody speaks any more: they can be started again where they were. */
function goneParts({ parts, peerOf, supernodeOf }: Snapshot, regions: MapRegions): NodeView[] {
  return parts.filter(({ isRunning, role, peerId }) =>
    !isRunning && DRAWN_ROLES.has(role) && (peerId === undefined || (!peerOf.has(peerId) && !supernodeOf.has(peerId)))
  ).slice(0, MAX_DRAWN).map(({ name, role, region, peerId = name }) => ({
    id: plainText(peerId),
    kind: role as NodeView["kind"],
    label: labelOf(name, peerId),
    region: regions.of(region ?? ""),
    state: "gone",
    sessions: 0,
    part: plainText(name),
  }));
}

function partNameOf(id: string, { partOf }: Snapshot): string | undefined {
  const part = partOf.get(id);
  return part && plainText(part.name);
}

/** How many sessions go by each supernode. */
function sessionsAtSupernodes({ sessions }: Snapshot): Map<string, number> {
  const counts = new Map<string, number>();
  const count = (id: string) => counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const { clientSupernodeId, exitSupernodeId } of sessions) {
    count(clientSupernodeId);
    if (exitSupernodeId !== undefined && exitSupernodeId !== clientSupernodeId) count(exitSupernodeId);
  }
  return counts;
}

function drawnLinks({ links }: Snapshot, supernodeIds: ReadonlyMap<string, string>): NetworkView["links"] {
  return links.filter(({ from, to }) => from !== to && supernodeIds.has(from) && supernodeIds.has(to))
    .slice(0, MAX_DRAWN)
    .map(({ from, to }) => ({ from: plainText(from), to: plainText(to) }));
}

function partView({ name, role, region, peerId, isRunning }: PartView): PartView {
  return {
    name: plainText(name),
    role: plainText(role),
    ...(region !== undefined && { region: plainText(region) }),
    ...(peerId !== undefined && { peerId: plainText(peerId) }),
    isRunning,
  };
}

/** Those with names first: of the others one sees nothing but their ids. */
function blockedViews(snapshot: Snapshot): BlockedView[] {
  const { blocked, supernodeOf, peerOf, partOf } = snapshot;
  const isNamed = (id: string) => (partOf.get(id) ?? peerOf.get(id) ?? supernodeOf.get(id))?.name !== undefined;
  return [...blocked]
    .sort((one, other) => Number(isNamed(other)) - Number(isNamed(one)) || (one < other ? -1 : 1))
    .slice(0, MAX_DRAWN)
    .map((id) => ({
      id: plainText(id),
      label: labelOfId(id, snapshot),
      isSupernode: supernodeOf.has(id) || partOf.get(id)?.role === "supernode",
    }));
}

/** Of a supernode whose peers nobody lists here, what it says itself counts. */
function totalsOf(snapshot: Snapshot, regions: number): Totals {
  const { supernodes, peers, sessions, blocked } = snapshot;
  let [exits, clients, relays, failing] = [0, 0, 0, 0];
  const listed = new Set<string | undefined>();
  for (const peer of peers) {
    listed.add(peer.supernodeId);
    if (peer.role === "exit") exits++;
    else if (peer.role === "client") clients++;
    else relays++;
    const state = stateOfPeer(peer, snapshot);
    if (state === "failing" || state === "silent") failing++;
  }
  for (const supernode of supernodes) {
    if (stateOfSupernode(supernode, snapshot) === "silent") failing++;
    if (listed.has(supernode.supernodeId)) continue;
    const said = plainCount(supernode.exits) ?? 0;
    exits += said;
    clients += Math.max(0, (plainCount(supernode.streams) ?? 0) - said);
  }
  return {
    regions,
    supernodes: supernodes.length,
    exits,
    clients,
    relays,
    sessions: sessions.length,
    failing,
    blocked: blocked.size,
  };
}

/** Under which symbol something is drawn. */
function placesOf(nodes: readonly NodeView[], groupOf: ReadonlyMap<string, string>): MapPlaces {
  const drawn = new Map(nodes.map(({ id }) => [id, id]));
  // What is on the map is there under its id as it is shown: the same for all but a stranger's whims.
  const ofSupernode = (id: string | undefined) =>
    id === undefined ? undefined : drawn.get(id) ?? drawn.get(plainText(id));
  return { ofSupernode, ofPeer: (id) => id === undefined ? undefined : groupOf.get(id) ?? ofSupernode(id) };
}

/** Each id once: what a page draws by ids it could not tell apart. */
function unlike(nodes: readonly NodeView[]): NodeView[] {
  return [...new Map(nodes.map((node) => [node.id, node])).values()];
}
