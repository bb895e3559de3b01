/**
 * What goes between a dashboard's page and its server. Every answer is JSON; what goes wrong is a problem (`edge/problem.ts`).
 *
 *   POST   /api/dashboard/logins    {token}: the administrators' ─▶ Login, whose `session` goes into `Authorization: Bearer …`
 *   POST   /api/dashboard/logins/end  ends the session it is asked with
 *   GET    /api/dashboard/watch     server-sent events, ServerEvent each; `view`, `history` and `log` come first, at once
 *   GET    /api/dashboard/peers     RowQuery ─▶ RowPage<PeerRow>
 *   GET    /api/dashboard/sessions  RowQuery ─▶ RowPage<SessionRow>
 *   POST   /api/dashboard/deeds     Deed ─▶ DeedAnswer
 *
 * No cookie is ever set: on loopback a browser hands cookies to every port, and what a browser hands over by itself a strange
 * page could make use of. The page keeps its session in `sessionStorage`, and reads the events by `fetch`.
 */

import type { DeedKind, PeerFacts, PeerRole, SessionFacts, SupernodeFacts } from "./inventory.ts";

export const API_PREFIX = "/api/dashboard";

export interface Login {
  /** Good until then, whatever happens to the page; the token of whoever logs in is not kept. */
  readonly session: string;
  readonly expiresAtMs: number;
}

/** What is drawn: at most `MAX_DRAWN` of anything, however large the network. */
export const MAX_DRAWN = 200;
/** How much of the past charts show: two points a second would be too many, one every two is not. */
export const HISTORY_STEP_MS = 2000;
export const HISTORY_POINTS = 300;
/** Lines of the event log that are kept. */
export const LOG_LINES = 500;

/** A place on the map. */
export interface NodeView {
  readonly id: string;
  readonly kind: "supernode" | PeerRole;
  /** A name, or else the beginning of its id. */
  readonly label: string;
  readonly region: string;
  /** The supernode it is connected to. */
  readonly at?: string | undefined;
  readonly state: "good" | "draining" | "failing" | "silent" | "gone" | "blocked";
  /** From 0 to 1. */
  readonly load?: number | undefined;
  readonly sessions: number;
  /** Peers of a supernode. */
  readonly streams?: number | undefined;
  readonly rttMs?: number | undefined;
  readonly cpuPct?: number | undefined;
  /** The part it is, where parts can be killed. */
  readonly part?: string | undefined;
}

/** Peers that are too many to be drawn one by one: those of one role at one supernode. */
export interface GroupView {
  readonly id: string;
  readonly role: PeerRole;
  readonly region: string;
  readonly at?: string | undefined;
  readonly count: number;
  readonly sessions: number;
  /** The mean of those who tell it. */
  readonly load?: number | undefined;
  readonly failing: number;
}

/** A way that sessions take now, by ids of nodes and groups: client, its supernode, the exit's supernode, exit. */
export interface RouteView {
  readonly via: readonly string[];
  readonly sessions: number;
  /** One of them, where it is but one. */
  readonly sessionId?: string | undefined;
  readonly isMoving: boolean;
}

export interface PartView {
  readonly name: string;
  readonly role: string;
  readonly region?: string | undefined;
  readonly peerId?: string | undefined;
  readonly isRunning: boolean;
}

/** Whoever was shut out, peer or supernode; most of them are nowhere else in a view. */
export interface BlockedView {
  readonly id: string;
  /** A name, or else the beginning of its id. */
  readonly label: string;
  /** Whether it is known as one; of whom is not here any more nobody knows. */
  readonly isSupernode: boolean;
}

export interface Totals {
  readonly regions: number;
  readonly supernodes: number;
  readonly exits: number;
  readonly clients: number;
  readonly relays: number;
  readonly sessions: number;
  readonly failing: number;
  readonly blocked: number;
}

export interface NetworkView {
  readonly title: string;
  readonly kind: "up" | "supernode" | "base";
  readonly version: string;
  readonly deeds: readonly DeedKind[];
  /** In the order of their names; what is beyond `MAX_DRAWN` supernodes is left out, and `totals` tells how many there are. */
  readonly regions: readonly string[];
  readonly nodes: readonly NodeView[];
  readonly groups: readonly GroupView[];
  readonly links: readonly { readonly from: string; readonly to: string }[];
  readonly routes: readonly RouteView[];
  readonly parts: readonly PartView[];
  readonly blocked: readonly BlockedView[];
  readonly totals: Totals;
}

/** A point of the charts. What is not known is null. */
export interface Point {
  readonly atMs: number;
  readonly rxMbps: number | null;
  readonly txMbps: number | null;
  /** From peers to their supernodes and back. */
  readonly rttP50Ms: number | null;
  readonly rttP95Ms: number | null;
  readonly sessions: number;
  readonly peers: number;
}

export interface LogLine {
  readonly id: number;
  readonly atMs: number;
  readonly tone: "good" | "warn" | "bad" | "info";
  readonly text: string;
}

/** The event's name is `type`, its data the rest. */
export type ServerEvent =
  | { readonly type: "view"; readonly view: NetworkView }
  | { readonly type: "history"; readonly points: readonly Point[] }
  | { readonly type: "point"; readonly point: Point }
  | { readonly type: "log"; readonly lines: readonly LogLine[] }
  /** The source could not be asked; what was shown is old. */
  | { readonly type: "trouble"; readonly text: string }
  /** The server stops; it may be back. */
  | { readonly type: "bye" };

export interface RowQuery {
  /** Found in ids, names, roles, regions, states; letters of either case. */
  readonly search?: string | undefined;
  /** A column's name, with `-` before it for the largest first. */
  readonly sort?: string | undefined;
  /** At most 200; 50 unless given. */
  readonly limit?: number | undefined;
  readonly offset?: number | undefined;
}

export interface RowPage<Row> {
  readonly rows: readonly Row[];
  /** Of those that fit the search. */
  readonly total: number;
}

/** Supernodes are among them. */
export interface PeerRow extends Omit<PeerFacts, "role"> {
  readonly kind: "peer" | "supernode";
  readonly role: PeerRole | "supernode";
  readonly state: NodeView["state"];
  /** The part it is, where parts can be killed. */
  readonly part?: string | undefined;
  readonly supernodeName?: string | undefined;
  readonly isBlocked: boolean;
}

export interface SessionRow extends SessionFacts {
  readonly clientName?: string | undefined;
  readonly exitName?: string | undefined;
}

export interface DeedAnswer {
  readonly text: string;
}

export type { DeedKind, PeerFacts, PeerRole, SessionFacts, SupernodeFacts };
