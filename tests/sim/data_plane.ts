/**
 * The data plane as far as it decides whether a session works: each leg of the way is there, and each program on it has
 * the session. Probes go the way that the real supernodes choose, leg by leg.
 *
 *   client ── link ──→ its supernode ──(→ the exit's supernode)── link ──→ exit that serves it
 */

import { aborted } from "../../protocol/abort.ts";
import { DialError } from "../../protocol/errors.ts";
import type { ExitNode } from "./exit_node.ts";
import type { Host, Pipe, SimNetwork } from "./network.ts";
import type { PeerNode } from "./peer_node.ts";
import { HeldPipe, type SupernodeNode } from "./supernode_node.ts";

/** Who there is, by id. */
export interface Overview {
  readonly network: SimNetwork;
  readonly supernodes: ReadonlyMap<string, SupernodeNode>;
  readonly exits: ReadonlyMap<string, ExitNode>;
  readonly supernodesByHost: ReadonlyMap<Host, SupernodeNode>;
  readonly exitsByHost: ReadonlyMap<Host, ExitNode>;
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

/** A byte there and back: settles if it comes back, rejects if it is refused, waits for the signal if it is lost. */
export async function probeWay(
  { supernodesByHost, exitsByHost }: Overview,
  client: PeerNode,
  { sessionId, signal }: { readonly sessionId: string; readonly signal: AbortSignal },
): Promise<void> {
  const home = client.supernodes.find((supernode) => client.run?.isLinkedTo(supernode));
  if (!home) return await lost(signal);
  let route = await home.running!.route(sessionId, { kind: "peer", id: client.peerId });
  let pipe = wholePipe(route.link);
  if (!pipe) return await lost(signal);
  if (route.kind === "toExit") {
    const host = supernodesByHost.get(pipe.far.host);
    if (!host?.running) return await lost(signal);
    route = await host.running.route(sessionId, { kind: "supernode", id: home.supernodeId });
    pipe = wholePipe(route.link);
    if (!pipe) return await lost(signal);
  }
  const exit = exitsByHost.get(pipe.near.host);
  if (!exit) return await lost(signal);
  if (!exit.served.has(sessionId)) throw new DialError("unauthorized", "The exit does not know the session");
}

function wholePipe(link: unknown): Pipe | undefined {
  return link instanceof HeldPipe && link.pipe.isWhole ? link.pipe : undefined;
}

async function lost(signal: AbortSignal): Promise<void> {
  await aborted(signal);
  signal.throwIfAborted();
}
