/**
 * RequestExit: a session for a client at the best exit there is.
 *
 *   wish → exits here → rank → the first that says yes to SETUP_EXIT → session, offer
 *            │ none, or none says yes
 *            ↓
 *          base → other supernodes, all at once → rank → the first that says yes …
 *
 * An exit that is connected here is always nearer than one behind another supernode, so those are tried first.
 * Candidates that were not needed stay with the session: when its exit fails and nobody else can be asked, they are tried.
 * A session that carries packets has a port opened before its exit is asked, which is closed again if that says no.
 */

import type { SessionOffer } from "../../protocol/control/commands.ts";
import type { ExitWish, InfoFailure } from "../../protocol/control/messages.ts";
import { hasRoom, meetsWish, rank } from "../../protocol/control/selection.ts";
import type { AuthenticatedPeer } from "../../protocol/control/stream_server.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ExitCandidate } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import { openSession, type SessionPackets, type SessionRecord } from "../../protocol/session.ts";
import { noTracing, type Tracing } from "../../protocol/tracing.ts";
import { newId } from "./command_outbox.ts";
import type { ExitPool } from "./exit_pool.ts";
import type { ExitSetup, SetupAnswer } from "./exit_setup.ts";
import type { PacketSessions } from "./packet_sessions.ts";
import type { Peering } from "./peering.ts";
import type { Sessions } from "./sessions.ts";

/** Of one client at once: one in use, one it moves to, and what it has not let go of. */
const MAX_SESSIONS_PER_CLIENT = 16;
/** Exits tried for one wish, and how long each may take. */
const MAX_TRIES = 3;
const SETUP_WITHIN_MS = 4_000;
const ASK_WITHIN_MS = 2_500;
/** No other exit is tried after so long, so that the client hears of it before it gives up. */
const GRANT_WITHIN_MS = 8_000;

/** Whom a session is for. */
export interface SessionClient
  extends Pick<AuthenticatedPeer, "peerId" | "publicKey" | "wireguardKey" | "wireguardSignature"> {
  readonly certificate?: string | undefined;
}

export interface RequestExitOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly pool: Pick<ExitPool, "candidate" | "candidates">;
  readonly peering: Pick<Peering, "candidates">;
  readonly setup: ExitSetup;
  readonly packets: PacketSessions;
  readonly sessionLifetimeMs: number;
  /** The round trip on a client's data link, when it is known: part of the way to every exit. */
  clientRttMs(peerId: string): number | undefined;
  /** Whether an exit, wherever it is connected, is not to be given to anybody. */
  isRevoked(exitPeerId: string): boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing?: Tracing | undefined;
}

export type ExitGrant =
  | { readonly ok: true; readonly offer: SessionOffer }
  | { readonly ok: false; readonly reason: InfoFailure; readonly retryAfterMs?: number; readonly remark?: string };

/** What more there is to say of a session that is granted. */
export interface GrantOptions {
  /** The session it takes the place of; if that is static, so is this. */
  readonly previous?: SessionRecord | undefined;
  /** Nobody is connected for it: it stays until then, whoever is away. */
  readonly staticUntilMs?: number | undefined;
  /** This exit and no other. */
  readonly only?: string | undefined;
}

const NO_EXIT = { ok: false, reason: "no_exit", retryAfterMs: 2_000 } as const;

export class RequestExit {
  readonly #options: RequestExitOptions;
  readonly #outcomes;
  /** Base has not answered last: said once, however many ask. */
  #isBaseSilent = false;

  constructor(options: RequestExitOptions) {
    this.#options = options;
    this.#outcomes = options.metrics.counter("exit_requests_total", "Exits asked for by clients", ["outcome"]);
  }

  /** Rejects only when the store fails. */
  async grant(client: SessionClient, wish: ExitWish, options: GrantOptions = {}): Promise<ExitGrant> {
    const { tracing = noTracing } = this.#options;
    const grant = await tracing.run("session.grant", {}, async (span) => {
      const grant = await this.#grant(client, wish, options);
      if (grant.ok) span.add({ session_id: grant.offer.sessionId });
      else span.fail(grant.reason);
      return grant;
    });
    this.#outcomes.add(1, { outcome: grant.ok ? "ok" : grant.reason });
    return grant;
  }

  async #grant(client: SessionClient, wish: ExitWish, options: GrantOptions): Promise<ExitGrant> {
    const { sessions, setup, clock } = this.#options;
    const { previous, only } = options;
    const refusal = this.#refusalOf(client, wish, previous);
    if (refusal) return refusal;
    const isWanted = ({ exit }: ExitCandidate) => only === undefined || exit.peerId === only;
    const untilMs = clock.now() + GRANT_WITHIN_MS;
    const elsewhere = async () => (await this.#elsewhere(client.peerId, wish, previous)).filter(isWanted);
    const here = this.#rank(client.peerId, wish, this.#here(client.peerId, wish, only));
    const isEnough = here.some(hasRoom);
    const candidates = isEnough ? here : inOrder(here, await elsewhere());
    if (candidates.length === 0) return { ...NO_EXIT, remark: describe(wish) };
    const { sessionId } = this.#open(client, { wish, candidates, ...options });
    try {
      let ready = await this.#tryAll(sessionId, candidates, untilMs);
      if (!ready && isEnough && clock.now() < untilMs) {
        const others = await elsewhere();
        await sessions.advance(sessionId, { kind: "candidates", candidates: others });
        ready = await this.#tryAll(sessionId, others, untilMs);
      }
      if (ready) return { ok: true, offer: this.offerOf(ready) };
      await sessions.advance(sessionId, { kind: "end", reason: "no_exit" });
      return { ...NO_EXIT, remark: "No exit that was asked has agreed" };
    } catch (error) {
      const left = sessions.find(sessionId);
      sessions.forget(sessionId);
      if (left) setup.end(left, "setup_failed");
      throw error;
    }
  }

  /** What the client is told of its session. */
  offerOf(record: SessionRecord): SessionOffer {
    const { exit, region, latencyMs, bandwidthMbps } = record.exit!;
    const packets = this.#options.packets.offerOf(record);
    return {
      sessionId: record.sessionId,
      exit,
      region,
      expiresAtMs: record.expiresAtMs,
      ...(latencyMs !== undefined && { latencyMs }),
      ...(bandwidthMbps !== undefined && { bandwidthMbps }),
      ...(packets && { packets }),
    };
  }

  /** Whatever exits there may be. One that is replaced takes no room, or those of a client with all it may have could not be. */
  #refusalOf({ peerId }: SessionClient, wish: ExitWish, previous: SessionRecord | undefined): ExitGrant | undefined {
    const { sessions, packets } = this.#options;
    if (sessions.isFull) return { ok: false, reason: "busy", retryAfterMs: 5_000 };
    const others = sessions.grantedTo(peerId).filter(({ sessionId }) => sessionId !== previous?.sessionId);
    if (others.filter(({ isStatic }) => !isStatic).length >= MAX_SESSIONS_PER_CLIENT) {
      return { ok: false, reason: "busy", retryAfterMs: 30_000 };
    }
    const isReplacing = (record: SessionRecord) =>
      others.some(({ sessionId }) => sessionId === record.previousSessionId);
    const refusal = packets.refusalOf(wish, others.filter((record) => !isReplacing(record)));
    return refusal && { ok: false, ...refusal };
  }

  /** The session once one of them serves it; undefined when none does, or none in time. */
  async #tryAll(
    sessionId: string,
    candidates: readonly ExitCandidate[],
    untilMs: number,
  ): Promise<SessionRecord | undefined> {
    const { sessions, clock } = this.#options;
    for (const candidate of candidates.slice(0, MAX_TRIES)) {
      if (!sessions.find(sessionId) || clock.now() >= untilMs) return undefined;
      const ready = await this.#try(sessionId, candidate);
      if (ready) return ready;
    }
    return undefined;
  }

  /** Exits that are connected here; of many the pool gives some, so one that is asked for is looked up. */
  #here(clientPeerId: string, wish: ExitWish, only: string | undefined): ExitCandidate[] {
    const { pool } = this.#options;
    if (only === undefined) return pool.candidates(clientPeerId, wish);
    const candidate = only === clientPeerId ? undefined : pool.candidate(only);
    return candidate && meetsWish(candidate, wish) ? [candidate] : [];
  }

  /** Exits of other supernodes; when none can be asked, those that were known when the session before was set up. */
  async #elsewhere(
    clientPeerId: string,
    wish: ExitWish,
    previous: SessionRecord | undefined,
  ): Promise<ExitCandidate[]> {
    const { supernodeId, peering, random, log } = this.#options;
    let found: ExitCandidate[] = [];
    try {
      found = await peering.candidates({ requestId: newId(random), clientPeerId, wish }, ASK_WITHIN_MS);
      this.#isBaseSilent = false;
    } catch (error) {
      if (!this.#isBaseSilent) log.warn("Base does not say who has exits", { error: messageOf(error) });
      this.#isBaseSilent = true;
    }
    const known = previous?.candidates.filter((candidate) => candidate.supernodeId !== supernodeId) ?? [];
    return this.#rank(clientPeerId, wish, found.length > 0 ? found : known);
  }

  #rank(clientPeerId: string, wish: ExitWish, candidates: readonly ExitCandidate[]): ExitCandidate[] {
    const { clientRttMs, isRevoked, random } = this.#options;
    const wayMs = clientRttMs(clientPeerId) ?? 0;
    const whole = candidates.filter(({ exit }) => !isRevoked(exit.peerId)).map((candidate) => (
      candidate.latencyMs === undefined ? candidate : { ...candidate, latencyMs: candidate.latencyMs + wayMs }
    ));
    return rank(whole, wish, random).map(({ candidate }) => candidate);
  }

  #open(
    client: SessionClient,
    { wish, candidates, previous, staticUntilMs = previous?.isStatic ? previous.expiresAtMs : undefined }:
      & GrantOptions
      & Pick<SessionRecord, "wish" | "candidates">,
  ): SessionRecord {
    const { supernodeId, sessions, clock, random, sessionLifetimeMs } = this.#options;
    const { publicKey, wireguardSignature, certificate } = client;
    const wallMs = clock.wallNow();
    const record = openSession({
      sessionId: newId(random),
      clientPeerId: client.peerId,
      clientWireguardKey: client.wireguardKey,
      clientProof: { publicKey, wireguardSignature, ...(certificate !== undefined && { certificate }) },
      clientSupernodeId: supernodeId,
      wish,
      candidates,
      previousSessionId: previous?.sessionId,
      ...(staticUntilMs !== undefined && { isStatic: true }),
      expiresAtMs: staticUntilMs ?? wallMs + sessionLifetimeMs,
    }, wallMs);
    sessions.add(record);
    return record;
  }

  /** The session if that exit serves it. */
  async #try(sessionId: string, candidate: ExitCandidate): Promise<SessionRecord | undefined> {
    const { sessions, setup, packets, random, log } = this.#options;
    const exitPeerId = candidate.exit.peerId;
    const before = sessions.find(sessionId);
    if (!before) return undefined;
    let opened: SessionPackets | undefined;
    try {
      opened = await packets.open(before, candidate.exit);
    } catch (error) {
      log.warn("A session was not relayed", { session_id: sessionId, error: messageOf(error) });
      return undefined;
    }
    const setupCommandId = newId(random);
    const chosen = sessions.change(sessionId, { kind: "chosen", exitPeerId, setupCommandId, packets: opened });
    if (!chosen) return void await packets.close(before);
    const asking = setup.begin(chosen.record, SETUP_WITHIN_MS);
    await chosen.kept;
    const answer = await asking;
    if (answer.status === "applied") {
      const ready = await this.#ready(chosen.record, answer);
      if (ready) return ready;
    } else {
      log.info("An exit was not set up", { session_id: sessionId, peer_id: exitPeerId, status: answer.status });
    }
    await sessions.advance(sessionId, { kind: "refused" });
    await packets.close(chosen.record);
    return undefined;
  }

  /** The session that its exit serves; undefined when that came to nothing after all, and then the exit is told. */
  async #ready(record: SessionRecord, answer: SetupAnswer): Promise<SessionRecord | undefined> {
    const { sessions, setup, packets, log } = this.#options;
    const { sessionId } = record;
    let agreed: SessionPackets | undefined;
    try {
      agreed = await packets.agreed(record, answer);
    } catch (error) {
      log.warn("A session was not relayed", { session_id: sessionId, error: messageOf(error) });
      setup.end(record, "setup_failed");
      return undefined;
    }
    const ready = await sessions.advance(sessionId, { kind: "ready", packets: agreed });
    // Otherwise the client has let go of it meanwhile.
    if (!ready) setup.end(record, "client_left");
    return ready;
  }
}

/** Why nothing was found, for the person who wished it. */
function describe({ region, minBandwidthMbps, maxLatencyMs, carries }: ExitWish): string {
  const parts = [
    ...(carries === "packets" ? ["that carries packets"] : []),
    ...(region === undefined ? [] : [`in ${region}`]),
    ...(minBandwidthMbps === undefined ? [] : [`with ${minBandwidthMbps} Mbit/s to spare`]),
    ...(maxLatencyMs === undefined ? [] : [`within ${maxLatencyMs} ms`]),
  ];
  return parts.length === 0 ? "There is no exit at present" : `There is no exit ${parts.join(", ")} at present`;
}

/** Exits here before those elsewhere, unless only those have room. */
function inOrder(here: readonly ExitCandidate[], others: readonly ExitCandidate[]): ExitCandidate[] {
  return others.some(hasRoom) ? [...others, ...here] : [...here, ...others];
}
