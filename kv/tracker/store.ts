/**
 * What a tracker remembers: who is there, and what peers say of each other. Reading is from memory and at once; a change
 * counts once its promise resolves. `memory_store.ts` forgets with the process, and peers then register again by themselves;
 * `kv_store.ts` does not, and shares with other processes.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Heartbeat, Report } from "../../protocol/tracker/messages.ts";
import type { GonePeer, PeerEntry, PeerTable, PutResult } from "../../protocol/tracker/peer_table.ts";
import type { Reputations } from "../../protocol/tracker/reputations.ts";

export interface TrackerStoreOptions {
  readonly clock: Clock;
  readonly primitives: Pick<Primitives, "sha256">;
  /** A peer that is not heard of for so long is forgotten. */
  readonly ttlMs: number;
  /** Default 200,000. */
  readonly maxPeers?: number;
}

/** Whether a token is that of a peer that is listed. */
export type TokenVerdict = "good" | "unknown" | "wrong";

export type PeerChange =
  | { readonly type: "joined" | "changed"; readonly entry: PeerEntry }
  | { readonly type: "left"; readonly peer: GonePeer };

export interface TrackerStore extends AsyncDisposable {
  readonly peers: Pick<PeerTable, "size" | "find" | "page" | "sample" | "count">;
  readonly reputations: Pick<Reputations, "of">;
  /** Lists a peer, in place of what was known of it. Rejects with `store_full` when there is no room for another. */
  register(entry: PeerEntry, said: Heartbeat): Promise<PutResult>;
  /** A peer is still there, if the token is its own. At once where there is nothing to wait for. */
  heartbeat(peerId: string, token: string, said: Heartbeat): TokenVerdict | Promise<TokenVerdict>;
  /** Whether a token is that peer's. */
  check(peerId: string, token: string): TokenVerdict | Promise<TokenVerdict>;
  /** False if the peer was not there. */
  unregister(peerId: string): Promise<boolean>;
  report(by: string, report: Report): Promise<void>;
  /** Hears of every change, whichever process has made it. */
  subscribe(onChange: (change: PeerChange) => void): Disposable;
}
