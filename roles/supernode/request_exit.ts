/**
 * RequestExit: a session for a client at the best exit there is.
 *
 *   wish → exits here ─┬─ enough? ─→ rank → first that says yes to SETUP_EXIT → session, offer
 *                      └─ none → base → other supernodes, all at once → rank
 *
 * An exit that is connected here is always nearer than one behind another supernode, so others are asked only when none
 * here meets the wish. Candidates that were not needed stay with the session, for when its exit fails.
 */

import type { SessionOffer } from "../../protocol/control/commands.ts";
import type { ExitWish, InfoFailure } from "../../protocol/control/messages.ts";
import { rank } from "../../protocol/control/selection.ts";
import type { AuthenticatedPeer } from "../../protocol/control/stream_server.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ExitCandidate } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import { openSession, type SessionRecord } from "../../protocol/session.ts";
import { newId } from "./command_outbox.ts";
import type { ExitPool } from "./exit_pool.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { Peering } from "./peering.ts";
import type { Sessions } from "./sessions.ts";

/** Of one client at once: one in use, one it moves to, and what it has not let go of. */
const MAX_SESSIONS_PER_CLIENT = 16;
/** Exits tried for one wish, and how long each may take. */
const MAX_TRIES = 3;
const SETUP_WITHIN_MS = 4_000;
const ASK_WITHIN_MS = 2_500;

/** Whom a session is for. */
export interface SessionClient
  extends Pick<AuthenticatedPeer, "peerId" | "publicKey" | "wireguardKey" | "wireguardSignature"> {
  readonly certificate?: string | undefined;
}

export interface RequestExitOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly pool: ExitPool;
  readonly peering: Peering;
  readonly setup: ExitSetup;
  readonly sessionLifetimeMs: number;
  /** The round trip on a client's data link, when it is known: part of the way to every exit. */
  clientRttMs(peerId: string): number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

export type ExitGrant =
  | { readonly ok: true; readonly offer: SessionOffer }
  | { readonly ok: false; readonly reason: InfoFailure; readonly retryAfterMs?: number; readonly remark?: string };

export class RequestExit {
  readonly #options: RequestExitOptions;
  readonly #outcomes;

  constructor(options: RequestExitOptions) {
    this.#options = options;
    this.#outcomes = options.metrics.counter("exit_requests_total", "Exits asked for by clients", ["outcome"]);
  }

  /** Rejects only when the store fails. */
  async grant(client: SessionClient, wish: ExitWish, previous?: SessionRecord): Promise<ExitGrant> {
    const grant = await this.#grant(client, wish, previous);
    this.#outcomes.add(1, { outcome: grant.ok ? "ok" : grant.reason });
    return grant;
  }

  async #grant(client: SessionClient, wish: ExitWish, previous: SessionRecord | undefined): Promise<ExitGrant> {
    const { sessions, random } = this.#options;
    if (sessions.isFull) return { ok: false, reason: "busy", retryAfterMs: 5_000 };
    if (sessions.ofClient(client.peerId).length >= MAX_SESSIONS_PER_CLIENT) {
      return { ok: false, reason: "busy", retryAfterMs: 30_000 };
    }
    const wayMs = this.#options.clientRttMs(client.peerId) ?? 0;
    const candidates = (await this.#candidates(client.peerId, wish)).map((candidate) => (
      candidate.latencyMs === undefined ? candidate : { ...candidate, latencyMs: candidate.latencyMs + wayMs }
    ));
    const ranked = rank(candidates, wish, random).map(({ candidate }) => candidate);
    if (ranked.length === 0) return { ok: false, reason: "no_exit", retryAfterMs: 2_000, remark: describe(wish) };
    const record = this.#open(client, wish, ranked, previous);
    sessions.add(record);
    try {
      return await this.#tryAll(record, ranked);
    } catch (error) {
      sessions.forget(record.sessionId);
      throw error;
    }
  }

  async #tryAll(opened: SessionRecord, ranked: readonly ExitCandidate[]): Promise<ExitGrant> {
    let record = opened;
    for (const candidate of ranked.slice(0, MAX_TRIES)) {
      const outcome = await this.#try(record, candidate);
      if (outcome.isReady) return { ok: true, offer: offerOf(outcome.record) };
      record = outcome.record;
    }
    await this.#options.sessions.advance(record.sessionId, { kind: "end", reason: "no_exit" });
    return { ok: false, reason: "no_exit", retryAfterMs: 2_000, remark: "No exit that was asked has agreed" };
  }

  async #candidates(clientPeerId: string, wish: ExitWish): Promise<ExitCandidate[]> {
    const { pool, peering, random, log } = this.#options;
    const here = pool.candidates(clientPeerId, wish);
    if (here.length > 0) return here;
    try {
      return await peering.candidates({ requestId: newId(random), clientPeerId, wish }, ASK_WITHIN_MS);
    } catch (error) {
      log.warn("Base does not say who has exits", { error: messageOf(error) });
      return [];
    }
  }

  #open(client: SessionClient, wish: ExitWish, candidates: ExitCandidate[], previous: SessionRecord | undefined) {
    const { supernodeId, clock, random, sessionLifetimeMs } = this.#options;
    const { publicKey, wireguardSignature, certificate } = client;
    const wallMs = clock.wallNow();
    return openSession({
      sessionId: newId(random),
      clientPeerId: client.peerId,
      clientWireguardKey: client.wireguardKey,
      clientProof: { publicKey, wireguardSignature, ...(certificate !== undefined && { certificate }) },
      clientSupernodeId: supernodeId,
      wish,
      candidates,
      previousSessionId: previous?.sessionId,
      expiresAtMs: wallMs + sessionLifetimeMs,
    }, wallMs);
  }

  /** Tries one exit; the record is the session after it. */
  async #try(record: SessionRecord, candidate: ExitCandidate) {
    const { sessions, setup, random, log } = this.#options;
    const { sessionId } = record;
    const exitPeerId = candidate.exit.peerId;
    const chosen = await sessions.advance(sessionId, { kind: "chosen", exitPeerId, setupCommandId: newId(random) });
    if (!chosen) return { isReady: false, record };
    const status = await setup.begin(chosen, SETUP_WITHIN_MS);
    if (status === "applied") {
      const ready = await sessions.advance(sessionId, { kind: "ready" });
      if (ready) return { isReady: true, record: ready };
      // The client has let go of it meanwhile.
      setup.end(chosen, "client_left");
      return { isReady: false, record: chosen };
    }
    log.info("An exit was not set up", { session_id: sessionId, peer_id: exitPeerId, status });
    return { isReady: false, record: await sessions.advance(sessionId, { kind: "refused" }) ?? chosen };
  }
}

/** Why nothing was found, for the person who wished it. */
function describe({ region, minBandwidthMbps, maxLatencyMs }: ExitWish): string {
  const parts = [
    ...(region === undefined ? [] : [`in ${region}`]),
    ...(minBandwidthMbps === undefined ? [] : [`with ${minBandwidthMbps} Mbit/s to spare`]),
    ...(maxLatencyMs === undefined ? [] : [`within ${maxLatencyMs} ms`]),
  ];
  return parts.length === 0 ? "There is no exit at present" : `There is no exit ${parts.join(", ")} at present`;
}

/** What the client is told of its session. */
export function offerOf(record: SessionRecord): SessionOffer {
  const { exit, region, latencyMs, bandwidthMbps } = record.exit!;
  return {
    sessionId: record.sessionId,
    exit,
    region,
    expiresAtMs: record.expiresAtMs,
    ...(latencyMs !== undefined && { latencyMs }),
    ...(bandwidthMbps !== undefined && { bandwidthMbps }),
  };
}
