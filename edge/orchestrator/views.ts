/** Records as `api/views.ts` tells them: without secrets, money as decimals. */

import { formatMicros } from "../../protocol/sharing/money.ts";
import type { ApiKey } from "../../protocol/sharing/access_records.ts";
import type { Payout } from "../../protocol/sharing/payout.ts";
import type { Device, User } from "../../protocol/sharing/records.ts";
import type { ApiKeyView, LiveNodeView, NodeView, PayoutView, Place, UserView } from "./api.ts";
import type { ConnectedNode, ConnectedNodes, DeskRefusal } from "./deps.ts";
import { Problem } from "../problem.ts";

export function userView({ secretHash, proxySecretHash, ...user }: User): UserView {
  return { ...user, hasSecret: secretHash !== undefined, hasProxySecret: proxySecretHash !== undefined };
}

export function apiKeyView({ secretHash: _, ...key }: ApiKey): ApiKeyView {
  return key;
}

export function nodeView({ consent, ...device }: Device, nodes: Pick<ConnectedNodes, "get">): NodeView {
  const live = nodes.get(device.nodeId);
  return {
    ...device,
    consentVersion: consent.version,
    consentAtMs: consent.atMs,
    ...(live && { live: liveNodeView(live) }),
  };
}

function liveNodeView(node: ConnectedNode): LiveNodeView {
  const { virtualAddress, connectedAtMs, isOpen, tunnels, streams, rttMs, status } = node;
  return {
    virtualAddress,
    connectedAtMs: Math.floor(connectedAtMs),
    isOpen,
    tunnels,
    streams,
    ...(rttMs !== undefined && { rttMs }),
    ...(status && { status }),
  };
}

export function payoutView({ amountMicros, ...payout }: Payout): PayoutView {
  return { ...payout, amount: formatMicros(BigInt(amountMicros)) };
}

/** Where there are open nodes, most first. */
export function placesOf(nodes: Iterable<ConnectedNode>): Place[] {
  const places = new Map<string, { -readonly [Key in keyof Place]: Place[Key] }>();
  for (const { isOpen, region, country, city } of nodes) {
    if (!isOpen) continue;
    const key = `${region} ${country ?? ""} ${city ?? ""}`;
    const place = places.get(key);
    if (place) place.nodes += 1;
    else {places.set(key, {
        region,
        ...(country !== undefined && { country }),
        ...(city !== undefined && { city }),
        nodes: 1,
      });}
  }
  return [...places.values()].sort((a, b) => b.nodes - a.nodes || a.region.localeCompare(b.region));
}

/** A page of a list, and after which id the next one begins, when this one is full. */
export function pageOf<T>(items: readonly T[], limit: number, idOf: (item: T) => string): { next?: string } {
  const last = items.at(-1);
  return items.length === limit && last !== undefined ? { next: idOf(last) } : {};
}

export function problemOfDesk({ refusal, reason }: DeskRefusal): Problem {
  return new Problem(refusal, `Cannot do this: ${reason}`);
}
