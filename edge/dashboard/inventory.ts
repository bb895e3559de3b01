/**
 * What a dashboard is made from: the plain facts that a program knows of a network, and what can be done from there.
 *
 *   base, supernode or `up` ─▶ Inventory, asked for once a second whoever watches ─▶ view.ts, rows.ts, changes.ts
 *
 * Whoever gives an inventory need not bound, sort or summarise anything. All texts in it may be a stranger's.
 */

import type { SessionState } from "../../protocol/session.ts";

export type PeerRole = "client" | "exit" | "relay" | "upstream" | "downstream" | "central" | "gateway";

export interface SupernodeFacts {
  readonly supernodeId: string;
  /** What it is called here, such as `supernode-north`; left out where nothing but its id is known. */
  readonly name?: string | undefined;
  readonly region: string;
  readonly state: "online" | "draining" | "silent";
  /** Peers connected to it; of another than ourselves what base says. */
  readonly streams: number;
  readonly exits: number;
  readonly maxStreams?: number | undefined;
  readonly version?: string | undefined;
  /** Percent of one processor, where it is known. */
  readonly cpuPct?: number | undefined;
  /** Bytes over its data links since it started, where they are known. */
  readonly traffic?: { readonly rxBytes: number; readonly txBytes: number } | undefined;
}

export interface PeerFacts {
  readonly peerId: string;
  readonly name?: string | undefined;
  readonly role: PeerRole;
  readonly region: string;
  /** The supernode its control stream is with; left out of what only a directory lists. */
  readonly supernodeId?: string | undefined;
  readonly version?: string | undefined;
  /** Wall clock. */
  readonly connectedAtMs?: number | undefined;
  readonly heardAtMs?: number | undefined;
  /** What it says of itself. */
  readonly rttMs?: number | undefined;
  readonly load?: number | undefined;
  readonly txMbps?: number | undefined;
  readonly rxMbps?: number | undefined;
  readonly sessions?: number | undefined;
  readonly isDraining?: boolean | undefined;
  /** Its probes through the egress fail. */
  readonly isFailing?: boolean | undefined;
}

export interface SessionFacts {
  readonly sessionId: string;
  readonly state: SessionState;
  readonly clientPeerId: string;
  readonly clientSupernodeId: string;
  readonly exitPeerId?: string | undefined;
  readonly exitSupernodeId?: string | undefined;
  readonly exitRegion?: string | undefined;
  readonly carries: "streams" | "packets";
  /** How packets are relayed. */
  readonly relay?: "blind" | "terminate" | undefined;
  readonly isStatic?: boolean | undefined;
  readonly previousSessionId?: string | undefined;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** A part of a network that runs in this very program, as in `culvert up`: it can be killed and started. */
export interface PartFacts {
  readonly name: string;
  readonly role: string;
  readonly region?: string | undefined;
  readonly peerId?: string | undefined;
  /** Where it is several at once, as a machine of a plan with several roles is. */
  readonly peerIds?: readonly string[] | undefined;
  readonly isRunning: boolean;
}

export interface Inventory {
  readonly supernodes: Iterable<SupernodeFacts>;
  readonly peers: Iterable<PeerFacts>;
  readonly sessions: Iterable<SessionFacts>;
  /** Links between supernodes that are open, by their ids. */
  readonly links: Iterable<{ readonly from: string; readonly to: string }>;
  /** Peers and supernodes that were shut out, by their ids. */
  readonly blocked: ReadonlySet<string>;
  readonly parts?: readonly PartFacts[] | undefined;
}

/** What somebody who watches wants done. */
export type Deed =
  | { readonly kind: "kill_part" | "start_part"; readonly name: string }
  | { readonly kind: "drain" | "undrain"; readonly supernodeId: string }
  | { readonly kind: "revoke" | "unrevoke"; readonly peerId: string; readonly reason?: string | undefined }
  | { readonly kind: "block" | "unblock"; readonly supernodeId: string; readonly reason?: string | undefined }
  | { readonly kind: "end_session"; readonly sessionId: string }
  | { readonly kind: "push"; readonly peerId: string; readonly order: unknown };
export type DeedKind = Deed["kind"];

/** Whether it was done, in words for people. */
export type DeedOutcome =
  | { readonly ok: true; readonly text: string }
  | {
    readonly ok: false;
    readonly code: "not_found" | "bad_request" | "unavailable" | "failed";
    readonly text: string;
  };

/** A line of the event log that the source itself has, such as an entry of the audit log. */
export interface SourceEvent {
  readonly atMs: number;
  readonly kind: "audit" | "notice";
  readonly text: string;
  readonly isBad?: boolean | undefined;
  /** How it is shown; without one, as bad as it is, and a notice as one to look at. */
  readonly tone?: "good" | "warn" | "bad" | "info" | undefined;
}

/** Where a dashboard has it from. */
export interface NetworkSource {
  /** What its head says, such as `culvert up` or `Supernode eu-west`. */
  readonly title: string;
  readonly kind: "up" | "supernode" | "base";
  /** Of this program. */
  readonly version: string;
  /** What can be done here; the others are refused. */
  readonly deeds: readonly DeedKind[];
  inventory(signal: AbortSignal): Inventory | Promise<Inventory>;
  /** Does it, and writes it into the audit log where there is one. Never rejects for what its caller got wrong. */
  act(deed: Deed, signal: AbortSignal): Promise<DeedOutcome>;
  /** Hears of events as they come; the newest there were are told at once, the oldest first. */
  listen?(hear: (event: SourceEvent) => void): Disposable;
}
