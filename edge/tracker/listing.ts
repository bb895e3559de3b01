/**
 * Peers as JSON. Cards are kept as JSON already and put in as they are, so that a page of fifty costs next to nothing.
 */

import type { PeerView } from "../../protocol/tracker/peer_table.ts";
import type { Standing } from "../../protocol/tracker/reputations.ts";

export interface ListingOptions {
  standingOf(peerId: string): Standing | undefined;
  /** The time since 1970 at which a peer was seen, by the store's clock. */
  wallOf(seenMs: number): number;
}

/** A `ListedPeer`. */
export function listedText(
  { peerId, card, observedAddress, seenMs, load, left }: PeerView,
  { standingOf, wallOf }: ListingOptions,
): string {
  const standing = standingOf(peerId);
  return `{"card":${card},"seenAtMs":${wallOf(seenMs)}` +
    (observedAddress === "" ? "" : `,"observedAddress":"${observedAddress}"`) +
    (load === undefined ? "" : `,"load":${load}`) +
    (left === undefined ? "" : `,"left":${left}`) +
    (standing ? `,"reliability":${rounded(standing.reliability)}` : "") +
    (standing?.bandwidthMbps === undefined ? "" : `,"bandwidthMbps":${rounded(standing.bandwidthMbps)}`) + "}";
}

/** A `PeerPage`. */
export function pageText(
  { peers, next }: { readonly peers: readonly PeerView[]; readonly next?: string },
  options: ListingOptions,
): string {
  return `{"peers":${arrayText(peers, options)}${next === undefined ? "" : `,"next":"${next}"`}}`;
}

/** An array of `ListedPeer`. */
export function arrayText(peers: readonly PeerView[], options: ListingOptions): string {
  return `[${peers.map((peer) => listedText(peer, options)).join(",")}]`;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
