/**
 * What a supernode's dashboard shows and does: its own streams, sessions and links, and of other supernodes what base and the
 * sessions tell. Deeds are those of the administrators' API, and as those in the audit log.
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
import type { SupernodeRecord } from "../../protocol/directory.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { BlockKind } from "../../protocol/stored_records.ts";
import type { HeardAudit } from "../admin_api/heard_audit.ts";
import { supernodeFactsOf } from "../base/facts.ts";
import { attempt, failed, outcomeOf } from "../dashboard/outcomes.ts";
import { telemetryFactsOf } from "../dashboard/telemetry_facts.ts";
import type { AdminDeeds } from "./admin_deeds.ts";
import { blockBody } from "../admin_api/schema.ts";
import { commandBody, drainBody } from "./admin_schema.ts";
import type { ListedSupernodes } from "./listed_supernodes.ts";
import type { ControlStream } from "./stream_manager.ts";
import type { Supernode } from "./supernode.ts";
import type { Vitals } from "./vitals.ts";

/** Of a peer elsewhere, where nobody has said it. */
const UNKNOWN_REGION = "elsewhere";

export interface SupernodeSourceDeps {
  readonly supernode: Supernode;
  readonly region: string;
  readonly deeds: AdminDeeds;
  readonly audit: Pick<HeardAudit, "listen">;
  readonly others: Pick<ListedSupernodes, "now">;
  readonly vitals: Pick<Vitals, "cpuPct">;
  readonly clock: Clock;
}

export class SupernodeSource implements NetworkSource {
  readonly kind = "supernode";
  readonly version = deno.version;
  readonly deeds = ["drain", "undrain", "revoke", "unrevoke", "block", "unblock", "end_session", "push"] as const;
  readonly title: string;
  readonly #deps: SupernodeSourceDeps;

  constructor(deps: SupernodeSourceDeps) {
    this.#deps = deps;
    this.title = `Supernode ${deps.region}`;
  }

  inventory(): Inventory {
    const { supernode, others } = this.#deps;
    const known = new Map(others.now().map((record) => [record.supernodeId, record]));
    return {
      supernodes: [...this.#supernodes(known)],
      peers: [...this.#peers(known)],
      sessions: Array.from(supernode.sessions, sessionFactsOf),
      links: this.#linked().map((to) => ({ from: supernode.supernodeId, to })),
      blocked: new Set([...supernode.blocked].map(({ peerId }) => peerId)),
    };
  }

  act(deed: Deed): Promise<DeedOutcome> {
    return attempt(() => this.#act(deed));
  }

  listen(hear: (event: SourceEvent) => void): Disposable {
    return this.#deps.audit.listen(hear);
  }

  #linked(): string[] {
    return [...this.#deps.supernode.links.holders()].filter(({ kind }) => kind === "supernode").map(({ id }) => id);
  }

  *#supernodes(known: ReadonlyMap<string, SupernodeRecord>): Generator<SupernodeFacts> {
    const { supernode, region, vitals } = this.#deps;
    const { supernodeId, maxStreams, links, status } = supernode;
    yield {
      supernodeId,
      region,
      state: status.draining ? "draining" : "online",
      streams: status.streams,
      exits: status.exits,
      maxStreams,
      version: deno.version,
      cpuPct: vitals.cpuPct,
      traffic: { ...links.traffic },
    };
    for (const record of known.values()) yield supernodeFactsOf(record);
    // Those that only sessions or links tell of.
    const linked = new Set(this.#linked());
    const regions = new Map([...linked].map((id) => [id, UNKNOWN_REGION]));
    for (const { clientSupernodeId, exit } of supernode.sessions) {
      if (!regions.has(clientSupernodeId)) regions.set(clientSupernodeId, UNKNOWN_REGION);
      if (exit) regions.set(exit.supernodeId, exit.region);
    }
    for (const [id, where] of regions) {
      if (id === supernodeId || known.has(id)) continue;
      const state = linked.has(id) ? "online" : "silent";
      yield { supernodeId: id, region: where, state, streams: 0, exits: 0 };
    }
  }

  *#peers(known: ReadonlyMap<string, SupernodeRecord>): Generator<PeerFacts> {
    const { supernode, clock, region } = this.#deps;
    const { streams, sessions, supernodeId } = supernode;
    const wallOffsetMs = clock.wallNow() - clock.now();
    for (const stream of streams) yield peerFactsOf(stream, { supernodeId, wallOffsetMs });
    const regionOf = (id: string) => id === supernodeId ? region : known.get(id)?.region ?? UNKNOWN_REGION;
    const told = new Set<string>();
    const isNew = (peerId: string) => !streams.get(peerId) && !told.has(peerId) && told.add(peerId);
    for (const { clientPeerId, clientSupernodeId, exit } of sessions) {
      if (isNew(clientPeerId)) {
        const region = regionOf(clientSupernodeId);
        yield { peerId: clientPeerId, role: "client", region, supernodeId: clientSupernodeId };
      }
      if (exit && isNew(exit.exit.peerId)) {
        yield { peerId: exit.exit.peerId, role: "exit", region: exit.region, supernodeId: exit.supernodeId };
      }
    }
  }

  async #act(deed: Deed): Promise<DeedOutcome> {
    const { deeds } = this.#deps;
    switch (deed.kind) {
      case "revoke":
        return await this.#block("peer", deed.peerId, deed.reason);
      case "block":
        return await this.#block("supernode", deed.supernodeId, deed.reason);
      case "unrevoke":
        return outcomeOf(await deeds.blocks.unblock("peer", deed.peerId), () => `${deed.peerId} may come again.`);
      case "unblock":
        return outcomeOf(
          await deeds.blocks.unblock("supernode", deed.supernodeId),
          () => `${deed.supernodeId} is dealt with again.`,
        );
      case "end_session":
        return outcomeOf(await deeds.endSession(deed.sessionId), () => `The session ${deed.sessionId} has ended.`);
      case "push":
        return await this.#push(deed.peerId, deed.order);
      case "drain":
      case "undrain":
        return await this.#drain(deed.kind, deed.supernodeId);
      default:
        return failed("bad_request", `A supernode cannot ${deed.kind.replaceAll("_", " ")}.`);
    }
  }

  async #block(kind: BlockKind, peerId: string, reason: string | undefined): Promise<DeedOutcome> {
    const body = blockBody.safeParse({ kind, peerId, reason });
    if (!body.success) return failed("bad_request", "It must be a peer id, with a reason of at most 1,024 letters.");
    return outcomeOf(await this.#deps.deeds.blocks.block(body.data), ({ wasConnected }) => {
      return `${peerId} ${wasConnected ? "is thrown out" : "was not connected here"}, and is not let in any more.`;
    });
  }

  async #push(peerId: string, order: unknown): Promise<DeedOutcome> {
    const body = commandBody.safeParse({ peerId, command: order });
    if (!body.success) {
      const { path, message } = body.error.issues[0]!;
      return failed("bad_request", `Cannot push a command: ${path.join(".") || "it"}: ${message}`);
    }
    return outcomeOf(await this.#deps.deeds.push(body.data), ({ result }) => {
      return `${peerId} has answered: ${result?.status ?? "nothing"}.`;
    });
  }

  async #drain(kind: "drain" | "undrain", supernodeId: string): Promise<DeedOutcome> {
    const { deeds, supernode } = this.#deps;
    if (supernodeId !== supernode.supernodeId) {
      return failed("not_found", "Only this supernode can be drained here; others have dashboards of their own.");
    }
    if (kind === "undrain") return outcomeOf(await deeds.undrain(), () => "Peers are let in again.");
    const { leaveWithinMs } = drainBody.parse({});
    return outcomeOf(await deeds.drain(leaveWithinMs), ({ streams }) => {
      return `Nobody is let in any more, and ${streams} ${streams === 1 ? "peer is" : "peers are"} told to leave.`;
    });
  }
}

interface StreamPlace {
  readonly supernodeId: string;
  /** From the clock that only goes forward to the one on the wall. */
  readonly wallOffsetMs: number;
}

function peerFactsOf(
  { machine, telemetry, sinceMs, heardMs }: ControlStream,
  { supernodeId, wallOffsetMs }: StreamPlace,
): PeerFacts {
  const { peerId, role, region, version } = machine.peer!;
  return {
    peerId,
    role,
    region,
    supernodeId,
    version,
    connectedAtMs: Math.round(sinceMs + wallOffsetMs),
    heardAtMs: Math.round(heardMs + wallOffsetMs),
    ...telemetryFactsOf(telemetry),
  };
}

function sessionFactsOf(record: SessionRecord): SessionFacts {
  const { sessionId, state, clientPeerId, clientSupernodeId, exit, wish, isStatic, previousSessionId } = record;
  const { carries = "streams", relay = "blind" } = wish;
  return {
    sessionId,
    state,
    clientPeerId,
    clientSupernodeId,
    exitPeerId: exit?.exit.peerId,
    exitSupernodeId: exit?.supernodeId,
    exitRegion: exit?.region,
    carries,
    relay: carries === "packets" ? relay : undefined,
    isStatic,
    previousSessionId,
    createdAtMs: record.createdAtMs,
    expiresAtMs: record.expiresAtMs,
  };
}
