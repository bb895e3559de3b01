/**
 * What the dashboard of `culvert up` shows: the parts that run here, and what supernodes and base say of the others.
 *
 *   supernodes ─▶ streams, sessions, links ─┐
 *   base ───────▶ relays ───────────────────┼─▶ one inventory, with the names that parts have here
 *   this program ▶ parts, notices ──────────┘
 *
 * A supernode that was killed stays, as silent. How much of the processor each takes is not known: they share the process.
 */

import deno from "../../deno.json" with { type: "json" };
import type {
  Deed,
  DeedOutcome,
  Inventory,
  NetworkSource,
  PeerFacts,
  SessionFacts,
  SourceEvent,
  SupernodeFacts,
} from "../../edge/dashboard/inventory.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { AuditEntry } from "../../protocol/stored_records.ts";
import { auditEvent } from "../admin_api/heard_audit.ts";
import { relayFactsOf } from "../base/facts.ts";
import { telemetryFactsOf } from "../dashboard/telemetry_facts.ts";
import type { SessionView, StreamView } from "../supernode/admin_schema.ts";
import type { AskedParts, BaseSaid, SupernodeSaid } from "./asked_parts.ts";
import type { UpDeeds } from "./dashboard_deeds.ts";
import type { Notices } from "./notices.ts";
import type { ShownNetwork } from "./watched_network.ts";

export interface UpSourceOptions {
  readonly network: ShownNetwork;
  readonly asked: Pick<AskedParts, "supernodes" | "bases">;
  readonly deeds: Pick<UpDeeds, "act">;
  readonly notices: Notices;
  readonly clock: Clock;
}

const PART_DEEDS = ["kill_part", "start_part"] as const;
const BASE_DEEDS = [...PART_DEEDS, "revoke", "unrevoke"] as const;
const ALL_DEEDS = [...BASE_DEEDS, "block", "unblock", "drain", "undrain", "end_session", "push"] as const;

export class UpSource implements NetworkSource {
  readonly kind = "up";
  readonly version = deno.version;
  readonly title: string;
  readonly #options: UpSourceOptions;
  /** Entries that have been told, by part. */
  readonly #told = new Map<string, ReadonlySet<string>>();
  #knownRelays: readonly PeerFacts[] = [];

  constructor(options: UpSourceOptions) {
    this.#options = options;
    this.title = options.network.title;
  }

  get deeds(): NetworkSource["deeds"] {
    const roles = this.#options.network.asked.map(({ role }) => role);
    return roles.includes("supernode") ? ALL_DEEDS : roles.includes("base") ? BASE_DEEDS : PART_DEEDS;
  }

  async inventory(signal: AbortSignal): Promise<Inventory> {
    const { asked, network } = this.#options;
    const [supernodes, bases] = await Promise.all([asked.supernodes(signal), asked.bases(signal)]);
    this.#tellAudits([...supernodes, ...bases]);
    const peers = [...this.#peers(supernodes), ...this.#relays(bases)];
    return {
      supernodes: this.#supernodes(supernodes),
      peers,
      sessions: sessionsOf(supernodes),
      links: linksOf(supernodes),
      blocked: blockedOf(peers, supernodes, bases),
      parts: network.parts(),
    };
  }

  act(deed: Deed, signal: AbortSignal): Promise<DeedOutcome> {
    return this.#options.deeds.act(deed, signal);
  }

  listen(hear: (event: SourceEvent) => void): Disposable {
    return this.#options.notices.listen(hear);
  }

  #supernodes(said: readonly SupernodeSaid[]): SupernodeFacts[] {
    const answers = new Map(said.map(({ part, status }) => [part.name, status]));
    return this.#options.network.asked.flatMap(({ name, role, peerId, region = "" }): SupernodeFacts[] => {
      if (role !== "supernode" || peerId === undefined) return [];
      const status = answers.get(name);
      if (!status) return [{ supernodeId: peerId, name, region, state: "silent", streams: 0, exits: 0 }];
      const { draining, streams, exits, maxStreams, version, traffic } = status;
      const state = draining ? "draining" : "online";
      return [{ supernodeId: peerId, name, region, state, streams, exits, maxStreams, version, traffic }];
    });
  }

  /** One that has just moved is where it was heard last. */
  #peers(said: readonly SupernodeSaid[]): PeerFacts[] {
    const wallMs = this.#options.clock.wallNow();
    const heard = said.flatMap(({ status, streams }) => streams.map((stream) => ({ stream, at: status.supernodeId })));
    heard.sort((one, other) => other.stream.silentMs - one.stream.silentMs);
    const peers = heard.map(({ stream, at }) => ({
      ...peerFactsOf(stream, at, wallMs),
      name: this.#nameOf(stream.peerId),
    }));
    return [...new Map(peers.map((peer) => [peer.peerId, peer])).values()];
  }

  /** While no base answers, those that were known last. */
  #relays(said: readonly BaseSaid[]): readonly PeerFacts[] {
    if (said.length === 0) return this.#knownRelays;
    const relays = relayFactsOf(said.flatMap(({ relays }) => relays));
    return this.#knownRelays = relays.map((relay) => ({ ...relay, name: this.#nameOf(relay.peerId) }));
  }

  #nameOf(peerId: string): string | undefined {
    return this.#options.network.nameOf(peerId);
  }

  /** What administrators have done since it was last looked at. */
  #tellAudits(said: readonly (SupernodeSaid | BaseSaid)[]): void {
    const fresh: AuditEntry[] = [];
    for (const { part, audit } of said) {
      const told = this.#told.get(part.name);
      fresh.push(...audit.filter(({ id }) => !told?.has(id)));
      this.#told.set(part.name, new Set(audit.map(({ id }) => id)));
    }
    fresh.sort((one, other) => one.atMs - other.atMs);
    const nameOf = (id: string) => this.#nameOf(id) ?? id;
    for (const entry of fresh) this.#options.notices.post(auditEvent(entry, nameOf));
  }
}

function peerFactsOf(stream: StreamView, supernodeId: string, wallMs: number): PeerFacts {
  const { peerId, role, region, version, connectedMs, silentMs, telemetry } = stream;
  return {
    peerId,
    role,
    region,
    supernodeId,
    version,
    connectedAtMs: wallMs - connectedMs,
    heardAtMs: wallMs - silentMs,
    ...telemetryFactsOf(telemetry),
  };
}

/** Of peers that are connected their supernode decides: one that it lets in is not shut out, whatever others say. */
function blockedOf(
  peers: readonly PeerFacts[],
  supernodes: readonly SupernodeSaid[],
  bases: readonly BaseSaid[],
): Set<string> {
  const all = new Set([...supernodes, ...bases].flatMap(({ blocked }) => blocked));
  if (all.size === 0) return all;
  const bySupernode = new Map(supernodes.map(({ status, blocked }) => [status.supernodeId, new Set(blocked)]));
  for (const { peerId, supernodeId = "" } of peers) {
    if (bySupernode.get(supernodeId)?.has(peerId) === false) all.delete(peerId);
  }
  return all;
}

/** Each once; the client's supernode, which owns the record, knows best. */
function sessionsOf(said: readonly SupernodeSaid[]): SessionFacts[] {
  const sessions = new Map<string, SessionView>();
  for (const { status, sessions: views } of said) {
    for (const view of views) {
      if (view.clientSupernodeId === status.supernodeId || !sessions.has(view.sessionId)) {
        sessions.set(view.sessionId, view);
      }
    }
  }
  return Array.from(sessions.values(), sessionFactsOf);
}

function sessionFactsOf({ wish: _, ...view }: SessionView): SessionFacts {
  const { sessionId, state, clientPeerId, clientSupernodeId, exitPeerId, exitSupernodeId, exitRegion } = view;
  const { carries, relay, isStatic, previousSessionId, createdAtMs, expiresAtMs } = view;
  return {
    ...{ sessionId, state, clientPeerId, clientSupernodeId, exitPeerId, exitSupernodeId, exitRegion },
    ...{ carries, relay, isStatic, previousSessionId, createdAtMs, expiresAtMs },
  };
}

/** Each once, whichever end tells of it. */
function linksOf(said: readonly SupernodeSaid[]): { readonly from: string; readonly to: string }[] {
  const links = new Map<string, { readonly from: string; readonly to: string }>();
  for (const { status: { supernodeId }, links: views } of said) {
    for (const { kind, peerId } of views) {
      const [from, to] = [supernodeId, peerId].sort() as [string, string];
      if (kind === "supernode") links.set(`${from} ${to}`, { from, to });
    }
  }
  return [...links.values()];
}
