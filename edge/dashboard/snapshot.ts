/**
 * A network as it was at one moment: an inventory that can be gone through again and again, and looked things up in. What all who
 * show it make of the facts is here too: of what state a peer is, what it is called, how many sessions are with it.
 */

import type { NodeView } from "./api.ts";
import type { Inventory, PartFacts, PeerFacts, SessionFacts, SupernodeFacts } from "./inventory.ts";
import { plainText } from "./plain.ts";

export interface Snapshot {
  /** Wall clock. */
  readonly atMs: number;
  readonly supernodes: readonly SupernodeFacts[];
  readonly peers: readonly PeerFacts[];
  /** Those that have not ended. */
  readonly sessions: readonly SessionFacts[];
  readonly links: readonly { readonly from: string; readonly to: string }[];
  readonly blocked: ReadonlySet<string>;
  readonly parts: readonly PartFacts[];
  readonly supernodeOf: ReadonlyMap<string, SupernodeFacts>;
  readonly peerOf: ReadonlyMap<string, PeerFacts>;
  /** By the id of each peer that it is. */
  readonly partOf: ReadonlyMap<string, PartFacts>;
  /** How many sessions are with a peer. */
  readonly sessionsOf: ReadonlyMap<string, number>;
}

export type NodeState = NodeView["state"];
/** What there is to know of a peer besides what it says itself. */
type StateFacts = Pick<Snapshot, "blocked" | "partOf" | "atMs">;

/** Heartbeats of a control stream come every 10 s. */
const SILENT_AFTER_MS = 45_000;
/** Of an id, where there is no name. */
const SHORT_ID = 8;

export function snapshotOf(inventory: Inventory, atMs: number): Snapshot {
  const supernodes = [...inventory.supernodes];
  const peers = [...inventory.peers];
  const sessions = [...inventory.sessions].filter(({ state }) => state !== "ended");
  const parts = inventory.parts ?? [];
  const sessionsOf = new Map<string, number>();
  const count = (peerId: string) => sessionsOf.set(peerId, (sessionsOf.get(peerId) ?? 0) + 1);
  for (const { clientPeerId, exitPeerId } of sessions) {
    count(clientPeerId);
    if (exitPeerId !== undefined) count(exitPeerId);
  }
  return {
    atMs,
    supernodes,
    peers,
    sessions,
    links: [...inventory.links],
    blocked: inventory.blocked,
    parts,
    supernodeOf: new Map(supernodes.map((supernode) => [supernode.supernodeId, supernode])),
    peerOf: new Map(peers.map((peer) => [peer.peerId, peer])),
    partOf: new Map(parts.flatMap((part) => idsOf(part).map((id) => [id, part]))),
    sessionsOf,
  };
}

function idsOf({ peerId, peerIds = [] }: PartFacts): readonly string[] {
  return peerId === undefined ? peerIds : [peerId, ...peerIds];
}

export function stateOfPeer(peer: PeerFacts, { blocked, partOf, atMs }: StateFacts): NodeState {
  if (blocked.size > 0 && blocked.has(peer.peerId)) return "blocked";
  // A directory goes on listing a part that was killed for as long as it would any peer.
  if (partOf.size > 0 && partOf.get(peer.peerId)?.isRunning === false) return "gone";
  // What a directory lists it stops listing by itself.
  if (peer.supernodeId !== undefined && peer.heardAtMs !== undefined && atMs - peer.heardAtMs > SILENT_AFTER_MS) {
    return "silent";
  }
  if (peer.isFailing) return "failing";
  return peer.isDraining ? "draining" : "good";
}

export function stateOfSupernode(supernode: SupernodeFacts, { blocked }: Pick<Snapshot, "blocked">): NodeState {
  if (blocked.has(supernode.supernodeId)) return "blocked";
  return supernode.state === "online" ? "good" : supernode.state;
}

/** A name for people. */
export function labelOf(name: string | undefined, id: string): string {
  return (name && plainText(name)) || plainText(id).slice(0, SHORT_ID);
}

/** The same of whatever has that id. */
export function labelOfId(id: string, { supernodeOf, peerOf, partOf }: Snapshot): string {
  return labelOf((peerOf.get(id) ?? supernodeOf.get(id) ?? partOf.get(id))?.name, id);
}
