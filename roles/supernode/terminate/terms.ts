/**
 * What the supernode and its terminating relay agree on: what is asked of the relay, and what the relay asks in turn.
 *
 *   RequestExit ── apply(session) ──→ TerminatingRelay ── open(wish) ──→ a packet session of the supernode's own
 *                                            │
 *                  offer for the client ←────┘
 *
 * The exit of a terminated session is the relay's business: it takes one in use that fits the wish, or has a session of the
 * supernode's own opened at another, and goes to the next when that one fails. The client is not told.
 */

import type { SessionOffer } from "../../../protocol/control/commands.ts";
import type { ExitWish } from "../../../protocol/control/messages.ts";
import type { PacketOffer } from "../../../protocol/control/packets.ts";
import type { PeerKeys } from "../../../protocol/fields.ts";

/** A client's session that is to be terminated here. */
export interface TerminatedSetup {
  readonly sessionId: string;
  /** Under the same one nothing is done twice. */
  readonly commandId: string;
  readonly clientPeerId: string;
  /** In base64. */
  readonly clientWireguardKey: string;
  readonly wish: ExitWish;
  readonly expiresAtMs: number;
}

export interface TerminatedOffer {
  readonly offer: PacketOffer;
  /** Where its packets come out at present. */
  readonly exit: PeerKeys;
  readonly region: string;
}

/** The relay as the supernode sees it. */
export interface Terminating {
  /** Rejects with `no_exit`, `busy` (no address is left) or what failed, when everything begun has been undone. */
  apply(setup: TerminatedSetup, signal?: AbortSignal): Promise<TerminatedOffer>;
  /** The session is to last longer. */
  renew(sessionId: string, expiresAtMs: number): Promise<void>;
  /** Harmless when there is none. */
  remove(sessionId: string): Promise<void>;
}

/** The supernode as the relay sees it: packet sessions at exits in which the supernode itself is the client. */
export interface UpstreamSessions {
  /** A session at an exit that fits, or rejects with `no_exit`. Its `SETUP_EXIT` says `packets.isTerminated`. */
  open(wish: ExitWish, signal: AbortSignal): Promise<SessionOffer>;
  /** It is not used any more. Nobody waits for it. */
  end(sessionId: string): void;
}
