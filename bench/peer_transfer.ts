/**
 * How fast one large file goes from peer to peer: two peers, the relay between them if there is one, and a reader, each its
 * own process (`load/peer_transfer.ts`).
 */

import type { FetchResult } from "./load/peer_transfer.ts";
import { load } from "./loads.ts";

export interface PeerTransferOptions {
  readonly way: "direct" | "relayed";
  /** A large file, with real bytes in it: holes cost the kernel more to read than what is in its cache. */
  readonly file: string;
  /** After one that is not counted. */
  readonly rounds: number;
}

const PATIENCE_MS = 120_000;

/** What each round has measured. */
export async function measurePeerTransfer({ way, file, rounds }: PeerTransferOptions): Promise<FetchResult[]> {
  await using relay = way === "relayed" ? load("peer-relay", {}) : undefined;
  const place = relay && (await relay.readJson()).place;
  await using far = load("peer-far", { file, ...place !== undefined && { place: JSON.stringify(place) } });
  const { card, path } = await far.readJson();
  await using near = load("peer-near", { card: JSON.stringify(card) });
  const ready = await near.readJson();
  if (ready.way !== way) throw new Error(`Cannot measure: the way must be ${way}, got ${ready.way}`);
  const results: FetchResult[] = [];
  for (let round = 0; round <= rounds; round++) {
    await using fetching = load("peer-fetch", { url: `${ready.url}${path}` });
    const result = await fetching.readJson(PATIENCE_MS) as unknown as FetchResult;
    if (round > 0) results.push(result);
  }
  return results;
}
