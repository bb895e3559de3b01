/**
 * The data plane as far as it decides whether a session works: each leg of the way is there, and each program on it has
 * the session. It asks the real records, as `data_links.ts` and `supernode_links.ts` do for every stream.
 *
 *   client ── link ──→ its supernode ──(→ the exit's supernode)── link ──→ exit that serves it
 */

import type { ExitNode } from "./exit_node.ts";
import type { SimNetwork } from "./network.ts";
import type { PeerNode } from "./peer_node.ts";
import type { SupernodeNode } from "./supernode_node.ts";

/** Who there is, by id. */
export interface Overview {
  readonly network: SimNetwork;
  readonly supernodes: ReadonlyMap<string, SupernodeNode>;
  readonly exits: ReadonlyMap<string, ExitNode>;
}

/** Whether a byte sent through the session would come out. */
export function isWayOpen(overview: Overview, client: PeerNode, sessionId: string): boolean {
  for (const supernode of client.supernodes) {
    if (client.run?.isLinkedTo(supernode)) return isOpenFrom(overview, supernode, { client, sessionId });
  }
  return false;
}

function isOpenFrom(
  { network, supernodes, exits }: Overview,
  home: SupernodeNode,
  { client, sessionId }: { readonly client: PeerNode; readonly sessionId: string },
): boolean {
  const record = home.running?.sessions.served(sessionId);
  if (!record || record.clientPeerId !== client.peerId || record.clientSupernodeId !== home.supernodeId) return false;
  const { supernodeId, exit: { peerId } } = record.exit!;
  const host = supernodes.get(supernodeId)!;
  if (host !== home) {
    if (network.isCut(home.region, host.region)) return false;
    if (host.running?.sessions.served(sessionId)?.clientSupernodeId !== home.supernodeId) return false;
  }
  return host.wholePipeTo(peerId) !== undefined && exits.get(peerId)!.served.has(sessionId);
}
