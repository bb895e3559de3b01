/**
 * A way to one other peer, sealed end to end, on which streams to its file server are opened: by a connection of its own, or by
 * a relay where both have a link. Who is at the other end has been proven.
 */

import type { Stream } from "../../protocol/stream.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";

export type PeerWay = "direct" | "relayed";

export interface PeerConnection extends AsyncDisposable {
  readonly peerId: string;
  readonly way: PeerWay;
  /** The address that was dialled, or the relay's URL. */
  readonly via: string;
  /** The round trip to the other peer, once it is known. */
  readonly rttMs: number | undefined;
  readonly isClosed: boolean;
  /** Settles when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** A stream to the peer's file server; HTTP/1.1 is spoken on it. Rejects with a DialError. */
  open(signal?: AbortSignal): Promise<Stream>;
  close(): void;
}

export interface ConnectOptions {
  readonly signal?: AbortSignal;
  /** The secret of an invitation, where the peer does not know us. */
  readonly invitation?: string | undefined;
  /** From where a tracker has seen the peer come: what addresses without a host of their own mean (`card.ts`). */
  readonly observedAddress?: string | undefined;
}

/** Makes connections to peers, and shares them: one for each peer and invitation. */
export interface PeerNetwork {
  /** Dials all its addresses and relays at once; rejects with a DialError when none leads there, or it turns us away. */
  connect(card: PeerCard, options?: ConnectOptions): Promise<PeerConnection>;
}

/** Somebody who is connected to us, and what they may see. */
export interface PeerGuest {
  readonly peerId: string;
  readonly way: PeerWay;
  /** A folder or a file of ours; "" is all. */
  readonly scope: string;
  /** May they put files here? */
  readonly mayUpload: boolean;
}
