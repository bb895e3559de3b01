/**
 * Peers and sessions as tables: those that fit a search, sorted, a page of them. Whatever there is to be asked for is in memory; how
 * long it takes grows with the network, and how much is given does not.
 */

import type { PeerRow, RowPage, RowQuery, SessionRow } from "./api.ts";
import type { PeerFacts, SessionFacts, SupernodeFacts } from "./inventory.ts";
import { MAX_MBPS, MAX_RTT_MS, plainCount, plainNumber, plainShare, plainText, rounded } from "./plain.ts";
import { type Snapshot, stateOfPeer, stateOfSupernode } from "./snapshot.ts";

export const MAX_ROWS = 200;
const DEFAULT_ROWS = 50;

/** What each table can be sorted by. */
export const PEER_COLUMNS = [
  "name",
  "peerId",
  "role",
  "region",
  "supernodeName",
  "state",
  "version",
  "connectedAtMs",
  "heardAtMs",
  "rttMs",
  "load",
  "txMbps",
  "rxMbps",
  "sessions",
] as const satisfies (keyof PeerRow)[];
export const SESSION_COLUMNS = [
  "sessionId",
  "state",
  "clientName",
  "exitName",
  "exitRegion",
  "carries",
  "createdAtMs",
  "expiresAtMs",
] as const satisfies (keyof SessionRow)[];

export function peerRows(snapshot: Snapshot, query: RowQuery): RowPage<PeerRow> {
  const { supernodes, peers } = snapshot;
  const rows = function* () {
    for (const supernode of supernodes) yield supernodeRow(supernode, snapshot);
    for (const peer of peers) yield peerRow(peer, snapshot);
  };
  return pageOf(rows(), query, {
    idOf: ({ peerId }) => peerId,
    textsOf: (row) => [row.peerId, row.name, row.role, row.region, row.state, row.supernodeName, row.part],
  });
}

export function sessionRows(snapshot: Snapshot, query: RowQuery): RowPage<SessionRow> {
  const rows = function* () {
    for (const session of snapshot.sessions) yield sessionRow(session, snapshot);
  };
  return pageOf(rows(), query, {
    idOf: ({ sessionId }) => sessionId,
    textsOf: (row) => [
      row.sessionId,
      row.clientPeerId,
      row.clientName,
      row.exitPeerId,
      row.exitName,
      row.exitRegion,
      row.state,
      row.carries,
    ],
  });
}

function supernodeRow(supernode: SupernodeFacts, snapshot: Snapshot): PeerRow {
  const { supernodeId, name, region, version, streams, maxStreams } = supernode;
  const part = snapshot.partOf.get(supernodeId);
  return {
    kind: "supernode",
    role: "supernode",
    peerId: plainText(supernodeId),
    name: optional(name),
    region: plainText(region),
    state: stateOfSupernode(supernode, snapshot),
    version: optional(version),
    load: maxStreams ? plainShare(streams / maxStreams) : undefined,
    isDraining: supernode.state === "draining",
    isBlocked: snapshot.blocked.has(supernodeId),
    part: optional(part?.name),
  };
}

function peerRow(peer: PeerFacts, snapshot: Snapshot): PeerRow {
  const { peerId, supernodeId } = peer;
  const { supernodeOf, partOf, sessionsOf, blocked } = snapshot;
  return {
    kind: "peer",
    role: peer.role,
    peerId: plainText(peerId),
    name: optional(peer.name),
    region: plainText(peer.region),
    state: stateOfPeer(peer, snapshot),
    supernodeId: optional(supernodeId),
    supernodeName: supernodeId === undefined ? undefined : optional(supernodeOf.get(supernodeId)?.name),
    version: optional(peer.version),
    connectedAtMs: plainNumber(peer.connectedAtMs, Number.MAX_SAFE_INTEGER),
    heardAtMs: plainNumber(peer.heardAtMs, Number.MAX_SAFE_INTEGER),
    rttMs: rounded(plainNumber(peer.rttMs, MAX_RTT_MS)),
    load: plainShare(peer.load),
    txMbps: rounded(plainNumber(peer.txMbps, MAX_MBPS)),
    rxMbps: rounded(plainNumber(peer.rxMbps, MAX_MBPS)),
    sessions: sessionsOf.get(peerId) ?? plainCount(peer.sessions),
    isDraining: peer.isDraining,
    isFailing: peer.isFailing,
    isBlocked: blocked.has(peerId),
    part: optional(partOf.get(peerId)?.name),
  };
}

function sessionRow(session: SessionFacts, { peerOf, partOf }: Snapshot): SessionRow {
  const { clientPeerId, exitPeerId } = session;
  const nameOf = (peerId: string) => optional((peerOf.get(peerId) ?? partOf.get(peerId))?.name);
  return {
    ...session,
    sessionId: plainText(session.sessionId),
    clientPeerId: plainText(clientPeerId),
    clientSupernodeId: plainText(session.clientSupernodeId),
    clientName: nameOf(clientPeerId),
    exitPeerId: optional(exitPeerId),
    exitSupernodeId: optional(session.exitSupernodeId),
    exitRegion: optional(session.exitRegion),
    exitName: exitPeerId === undefined ? undefined : nameOf(exitPeerId),
    previousSessionId: optional(session.previousSessionId),
    createdAtMs: plainNumber(session.createdAtMs, Number.MAX_SAFE_INTEGER) ?? 0,
    expiresAtMs: plainNumber(session.expiresAtMs, Number.MAX_SAFE_INTEGER) ?? 0,
  };
}

function optional(text: string | undefined): string | undefined {
  return text === undefined ? undefined : plainText(text);
}

interface Table<Row> {
  idOf(row: Row): string;
  /** What is searched. */
  textsOf(row: Row): readonly (string | undefined)[];
}

function pageOf<Row extends object>(
  rows: Iterable<Row>,
  { search = "", sort, limit = DEFAULT_ROWS, offset = 0 }: RowQuery,
  { idOf, textsOf }: Table<Row>,
): RowPage<Row> {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const fits = (row: Row) => {
    const text = textsOf(row).join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const found = words.length === 0 ? [...rows] : [...rows].filter(fits);
  if (sort !== undefined) sortBy(found, sort, idOf);
  return { rows: found.slice(offset, offset + Math.min(limit, MAX_ROWS)), total: found.length };
}

/** By a column, those that have nothing there at the end either way, and those alike by their ids. */
function sortBy<Row extends object>(rows: Row[], sort: string, idOf: (row: Row) => string): void {
  const isDown = sort.startsWith("-");
  const column = (isDown ? sort.slice(1) : sort) as keyof Row;
  const keyed = rows.map((row) => {
    const value: unknown = row[column];
    return { row, id: idOf(row), key: typeof value === "string" ? value.toLowerCase() : value as number | undefined };
  });
  keyed.sort((one, other) => {
    if (one.key === other.key) return one.id < other.id ? -1 : 1;
    if (one.key === undefined || other.key === undefined) return one.key === undefined ? 1 : -1;
    return (one.key < other.key) === isDown ? 1 : -1;
  });
  for (const [index, { row }] of keyed.entries()) rows[index] = row;
}
