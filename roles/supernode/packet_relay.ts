/**
 * What sessions that carry packets need of whatever carries them here. There are two ways, and a session has one:
 *
 *   blind         client ──→ a UDP port of the session's own ──→ exit          PacketRelay; it reads nothing
 *   terminating   client ──→ WireGuard of ours ──→ WireGuard ──→ exit          TerminatingRelay; it is a client of the exit
 *
 * Not here: which session has which, and what is kept of it (`packet_sessions.ts`).
 */

import type { RelayCounts, RelaySession } from "../../native/relay/relay_messages.ts";
import type { PacketGrant, PacketOffer } from "../../protocol/control/packets.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { RelaySide } from "../../protocol/wireguard/relay_session.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

export type { RelayCounts, RelaySession, RelaySide };

/** UDP ports between clients and exits. It passes on what it cannot read. */
export interface PacketRelay {
  /** As many sessions as there can be. */
  readonly portCount: number;
  /** Called when a handshake has shown where one side of a session is. */
  onLearned: (sessionId: string, side: RelaySide, at: Endpoint) => void;
  /** Called when all ports are gone, and can be opened again. */
  onReset: () => void;
  /** Gives the port. Rejects with a CulvertError: `in_use` (that port), `no_port`, `busy`. */
  open(session: RelaySession): Promise<number>;
  /** That side of the session is there. */
  place(sessionId: string, side: RelaySide, at: Endpoint): Promise<void>;
  /** Harmless when there is no such session. */
  end(sessionId: string): Promise<void>;
  counts(): Promise<readonly RelayCounts[]>;
}

/** What a supernode carries packets with. */
export interface PacketCarriers {
  /** Under which others find its ports: an address, or a name of it. */
  readonly host: string;
  readonly relay: PacketRelay;
  readonly terminating?: TerminatingRelay | undefined;
}

/** A session whose client's tunnel ends here. */
export interface TerminatedSession {
  readonly sessionId: string;
  readonly clientPeerId: string;
  /** Base64. */
  readonly clientKey: string;
  readonly exit: PeerKeys;
  /** What the exit has granted this supernode. */
  readonly grant: PacketGrant;
  /** Where the exit is found, when another supernode is in between. Otherwise it comes to the port that it was told. */
  readonly exitAt?: Endpoint;
  /** What the client would like to keep, or had before a restart. */
  readonly addresses?: readonly string[];
  /** It was there before a restart: its exit, which may take a while to come again, is not waited for. */
  readonly isResumed?: boolean;
}

/**
 * A supernode's own WireGuard: the other end of its clients' tunnels, and itself a client of exits. What it has set up
 * outlives no process: after a restart it is told of its sessions again.
 */
export interface TerminatingRelay {
  /** Called when nothing gets through to that exit any more, and again from time to time until something does. */
  onTrouble: (exitPeerId: string) => void;
  /**
   * Has a device ready for that exit and gives the UDP port at which the exit finds it, the same for all sessions of one
   * exit; after a restart it is to be the one given, if it can be. Rejects with a CulvertError.
   */
  prepare(session: { readonly sessionId: string; readonly exit: PeerKeys; readonly port?: number }): Promise<number>;
  /**
   * From now on the client's packets go to that exit, also those of a client (by its key) that has had another session:
   * it keeps its address then. Gives what the client is told. Rejects with a CulvertError, and then nothing is left of it
   * but what was prepared.
   */
  apply(session: TerminatedSession): Promise<Omit<PacketOffer, "terminatedBy">>;
  /** Whether packets get through to that exit and out of it. */
  isHealthy(exitPeerId: string): boolean;
  /** Where the session's exit has last been heard; undefined when it has not. */
  exitAt(sessionId: string): Promise<Endpoint | undefined>;
  /** Undoes both; harmless when there is nothing of it. Of a client with another session only this one ends. */
  remove(sessionId: string): Promise<void>;
}
