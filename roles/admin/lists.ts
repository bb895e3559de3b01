/**
 * What `culvert admin` shows: each list with the path it is had from and the columns it is shown in.
 */

import type { z } from "zod";
import type { Telemetry } from "../../protocol/control/messages.ts";
import type { AuditEntry, Block } from "../../protocol/stored_records.ts";
import { auditAnswer, blocksAnswer, MAX_LISTED } from "../admin_api/schema.ts";
import {
  linksAnswer,
  type LinkView,
  peersAnswer,
  type PeerView,
  sessionsAnswer,
  type SessionView,
  streamsAnswer,
  type StreamView,
} from "../supernode/admin_schema.ts";
import { type Column, spanText, tableLines } from "../table.ts";
import type { AdminConnection } from "./connection.ts";

export const LISTS = ["streams", "sessions", "peers", "links", "blocks", "audit"] as const;
export type ListName = typeof LISTS[number];

export interface ListWish {
  /** Only what concerns this peer. */
  readonly peer: string | undefined;
  readonly limit: number;
  readonly wallMs: number;
  /** What devices are called here (`kept_peers.ts`). */
  readonly names: ReadonlyMap<string, string>;
}

/** A list as it was just now. */
export interface Listing {
  /** For programs. */
  readonly json: object;
  /** For people. */
  readonly lines: readonly string[];
}

interface Shown<T> {
  readonly items: readonly T[];
  /** Of them all; undefined when nobody counts. */
  readonly total: number | undefined;
}

export async function readList(name: ListName, wish: ListWish, connection: AdminConnection): Promise<Listing> {
  switch (name) {
    case "streams": {
      const streams = await readPages(connection, wish, "streams", streamsAnswer, (page) => page.streams);
      return listing(name, streams, streamColumns());
    }
    case "sessions": {
      const sessions = await readPages(connection, wish, "sessions", sessionsAnswer, (page) => page.sessions);
      const items = sessions.items.map((session) => named(session, wish.names));
      return listing(name, { ...sessions, items }, sessionColumns(wish.wallMs));
    }
    case "peers": {
      const peers = await readPages(connection, wish, "peers", peersAnswer, (page) => page.peers);
      return listing(name, peers, peerColumns());
    }
    case "links": {
      const links = await readPages(connection, wish, "links", linksAnswer, (page) => page.links);
      return listing(name, links, linkColumns());
    }
    case "blocks": {
      const blocks = await readPages(connection, wish, "blocks", blocksAnswer, (page) => page.blocks);
      return listing(name, blocks, blockColumns());
    }
    case "audit":
      return listing(name, await readAudit(connection, wish), auditColumns());
  }
}

type PagedAnswer = z.ZodType<{ readonly total: number; readonly next?: string | undefined }>;

/** As many pages as it takes. */
export async function readPages<S extends PagedAnswer, T>(
  connection: AdminConnection,
  { peer, limit }: Pick<ListWish, "peer" | "limit">,
  path: string,
  answer: S,
  itemsOf: (page: z.output<S>) => readonly T[],
): Promise<Shown<T>> {
  const items: T[] = [];
  let total = 0;
  let after: string | undefined;
  do {
    const query = new URLSearchParams({
      limit: String(Math.min(MAX_LISTED, limit - items.length)),
      ...(peer !== undefined && { peer }),
      ...(after !== undefined && { after }),
    });
    const page = await connection.call({ path: `/v1/${path}?${query}`, answer });
    items.push(...itemsOf(page));
    after = page.next;
    total = page.total;
  } while (after !== undefined && items.length < limit);
  return { items, total };
}

/** The newest last, where one looks first. */
async function readAudit(connection: AdminConnection, { peer, limit }: ListWish): Promise<Shown<AuditEntry>> {
  const items: AuditEntry[] = [];
  let before: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(MAX_LISTED), ...(before !== undefined && { before }) });
    const page = await connection.call({ path: `/v1/audit?${query}`, answer: auditAnswer });
    items.push(...page.entries.filter(({ subject }) => peer === undefined || subject === peer));
    before = page.next;
  } while (before !== undefined && items.length < limit);
  return { items: items.slice(0, limit).reverse(), total: undefined };
}

function listing<T>(name: ListName, { items, total }: Shown<T>, columns: readonly Column<T>[]): Listing {
  const json = { ...(total !== undefined && { total }), [name]: items };
  if (items.length === 0) return { json, lines: [`No ${name === "audit" ? "audit entries" : name}.`] };
  const more = total !== undefined && total > items.length ? [`${items.length} of ${total}; --limit shows more.`] : [];
  return { json, lines: [...tableLines(columns, items), ...more] };
}

function streamColumns(): readonly Column<StreamView>[] {
  return [
    { title: "peer", cell: ({ peerId }) => peerId },
    { title: "role", cell: ({ role }) => role },
    { title: "region", cell: ({ region }) => region, canBeCut: true },
    { title: "since", cell: ({ connectedMs }) => spanText(connectedMs), align: "right" },
    { title: "heard", cell: ({ silentMs }) => spanText(silentMs), align: "right" },
    { title: "rtt", cell: ({ rttMs }) => millisecondsText(rttMs), align: "right" },
    { title: "version", cell: ({ version }) => version ?? "", canBeCut: true },
  ];
}

type NamedSession = SessionView & { readonly name?: string };

/** With what its device is called here. */
function named(session: SessionView, names: ListWish["names"]): NamedSession {
  const name = session.isStatic && names.get(session.clientPeerId);
  return name ? { ...session, name } : session;
}

function sessionColumns(wallMs: number): readonly Column<NamedSession>[] {
  return [
    { title: "session", cell: ({ sessionId }) => sessionId },
    { title: "state", cell: ({ state, isStatic }) => isStatic && state === "active" ? "static" : state },
    { title: "client", cell: ({ name, clientPeerId }) => name ?? clientPeerId, canBeCut: true },
    { title: "exit", cell: ({ exitPeerId }) => exitPeerId ?? "", canBeCut: true },
    { title: "region", cell: ({ exitRegion }) => exitRegion ?? "", canBeCut: true },
    // Of sessions that carry packets; others have none.
    { title: "port", cell: ({ relayPort }) => relayPort?.toString() ?? "" },
    { title: "ends in", cell: ({ expiresAtMs }) => spanText(expiresAtMs - wallMs), align: "right" },
  ];
}

function peerColumns(): readonly Column<PeerView>[] {
  return [
    { title: "peer", cell: ({ peerId }) => peerId },
    { title: "state", cell: ({ state }) => state },
    { title: "role", cell: ({ role }) => role ?? "" },
    { title: "region", cell: ({ region }) => region ?? "", canBeCut: true },
    { title: "sessions", cell: ({ sessions }) => String(sessions), align: "right" },
    { title: "health", cell: ({ telemetry, revoked }) => revoked?.reason || healthText(telemetry), canBeCut: true },
  ];
}

function linkColumns(): readonly Column<LinkView>[] {
  return [
    { title: "kind", cell: ({ kind }) => kind },
    { title: "peer", cell: ({ peerId }) => peerId },
    { title: "links", cell: ({ links }) => String(links), align: "right" },
    { title: "rtt", cell: ({ rttMs }) => millisecondsText(rttMs), align: "right" },
  ];
}

function blockColumns(): readonly Column<Block>[] {
  return [
    { title: "kind", cell: ({ kind }) => kind },
    { title: "peer", cell: ({ peerId }) => peerId },
    { title: "since", cell: ({ sinceMs }) => timeText(sinceMs) },
    { title: "reason", cell: ({ reason }) => reason, canBeCut: true },
  ];
}

function auditColumns(): readonly Column<AuditEntry>[] {
  return [
    { title: "when (UTC)", cell: ({ atMs }) => timeText(atMs) },
    { title: "action", cell: ({ action }) => action },
    { title: "about", cell: ({ subject }) => subject ?? "" },
    { title: "outcome", cell: ({ outcome }) => outcome },
    { title: "detail", cell: ({ detail }) => detail ?? "", canBeCut: true },
  ];
}

/** What a peer says of itself, as far as it fits. */
function healthText(telemetry: Telemetry | undefined): string {
  const { dataPath, load, draining } = telemetry ?? {};
  const words = [
    dataPath && (dataPath.ok ? "well" : "failing"),
    load !== undefined && `load ${Math.round(load * 100)}%`,
    draining && "draining",
  ];
  return words.filter(Boolean).join(", ");
}

function millisecondsText(ms: number | undefined): string {
  return ms === undefined ? "" : `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)}ms`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}
