/**
 * RequestExitPeer and what follows: the exits that are connected here, serving clients of other supernodes.
 *
 * Each such session has a record here as well, so that its streams can be joined and its exit's failure be told; it
 * belongs to the supernode that asked, and nobody else may end it. What one supernode may ask for is bounded: how many
 * sessions, for how long, and how long an exit is waited for.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { ExitWish } from "../../protocol/control/messages.ts";
import { rank } from "../../protocol/control/selection.ts";
import type {
  ExitCandidate,
  ExitEndRequest,
  ExitPeerRequest,
  ExitPeerResponse,
  ExitSetupRequest,
  ExitSetupResponse,
} from "../../protocol/directory.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { openSession, type SessionEnd, type SessionPackets, type SessionRecord } from "../../protocol/session.ts";
import type { ExitPool } from "./exit_pool.ts";
import type { ExitSetup, SetupAnswer } from "./exit_setup.ts";
import type { PacketSessions } from "./packet_sessions.ts";
import type { SessionEnding } from "./session_ending.ts";
import type { Sessions } from "./sessions.ts";

/** What a session's end is called here, when its client's supernode gives the reason. */
const REASONS: Readonly<Record<ExitEndRequest["reason"], SessionEnd>> = {
  client_left: "client_left",
  exit_failed: "exit_failed",
  expired: "expired",
  replaced: "rotated",
  setup_failed: "no_exit",
  revoked: "revoked",
  admin: "admin",
  shutdown: "shutdown",
};

/** Somebody has ended it while it was set up. */
const ENDED: ExitSetupResponse = { status: "failed", code: "ended" };

/** Told to one who asks. */
const MAX_TOLD = 8;
const DAY_MS = 24 * 3_600_000;
/** Twice what supernodes ask for. */
const MAX_LIFETIME_MS = DAY_MS;
/** Packets may be for a client that is configured once and never renews: a year, and a day to spare for clocks. */
const MAX_PACKET_LIFETIME_MS = 367 * DAY_MS;
/** Whoever asks over HTTP does not wait for longer. */
const MAX_SETUP_MS = 8_000;

export interface HostedExitsOptions {
  readonly sessions: Sessions;
  readonly pool: Pick<ExitPool, "candidate" | "candidates">;
  readonly setup: ExitSetup;
  readonly ending: SessionEnding;
  readonly packets: PacketSessions;
  readonly log: Log;
  /** Whether exits are about to go elsewhere. */
  isDraining(): boolean;
  readonly clock: Clock;
  readonly random: Random;
}

export class HostedExits {
  readonly #options: HostedExitsOptions;
  /** By session. */
  readonly #underWay = new Map<string, Promise<ExitSetupResponse>>();

  constructor(options: HostedExitsOptions) {
    this.#options = options;
  }

  candidates({ clientPeerId, wish, count = MAX_TOLD }: ExitPeerRequest): ExitPeerResponse {
    const { pool, packets, random, isDraining } = this.#options;
    if (isDraining() || wish.carries === "packets" && !packets.isRelaying) return { candidates: [] };
    const ranked = rank(pool.candidates(clientPeerId, wish), wish, random);
    return { candidates: ranked.slice(0, Math.min(count, MAX_TOLD)).map(({ candidate }) => candidate) };
  }

  /** Asking twice is asking once, also while the first is under way. */
  async setUp(request: ExitSetupRequest, supernodeId: string): Promise<ExitSetupResponse> {
    const { sessions, pool, packets, clock } = this.#options;
    const { sessionId, exitPeerId } = request;
    const known = sessions.find(sessionId);
    if (known && known.clientSupernodeId !== supernodeId) return { status: "failed", code: "not_yours" };
    if (known && !isOf(known, request)) return { status: "failed", code: "other_session" };
    const maxLifetimeMs = request.packets ? MAX_PACKET_LIFETIME_MS : MAX_LIFETIME_MS;
    if (request.expiresAtMs > clock.wallNow() + maxLifetimeMs) return { status: "failed", code: "too_long" };
    if (request.renews) return await this.#renew(request, known);
    if (known?.state === "active") return { status: "applied", ...this.#packetsOf(known) };
    const underWay = this.#underWay.get(sessionId);
    if (underWay) return await underWay;
    const candidate = pool.candidate(exitPeerId);
    if (!candidate) return { status: "no_such_exit" };
    if (request.packets && !candidate.carriesPackets) return { status: "failed", code: "no_packets" };
    if (sessions.isFullFor(supernodeId)) return { status: "busy" };
    if (request.packets && packets.isFullFor(supernodeId)) return { status: "busy" };
    const settingUp = this.#setUp(request, supernodeId, candidate).finally(() => this.#underWay.delete(sessionId));
    this.#underWay.set(sessionId, settingUp);
    return await settingUp;
  }

  async #renew(request: ExitSetupRequest, known: SessionRecord | undefined): Promise<ExitSetupResponse> {
    const { sessions, setup } = this.#options;
    if (known?.state !== "active") return { status: "failed", code: "unknown_session" };
    const { status, code } = await setup.command(withinReason(request, this.#relayOf(known)));
    const { sessionId, expiresAtMs } = request;
    if (status === "applied") await sessions.advance(sessionId, { kind: "renew", expiresAtMs });
    return { status, ...(code !== undefined && { code }), ...(status === "applied" && this.#packetsOf(known)) };
  }

  async #setUp(
    request: ExitSetupRequest,
    supernodeId: string,
    candidate: ExitCandidate,
  ): Promise<ExitSetupResponse> {
    const { sessions, setup, packets } = this.#options;
    const { sessionId, exitPeerId, commandId: setupCommandId } = request;
    const record = this.#open(request, supernodeId, candidate);
    const opened = request.packets && await this.#relay(record, candidate, request.packets.relay);
    if (opened instanceof CulvertError) return { status: "failed", code: opened.code };
    const chosen = sessions.change(sessionId, { kind: "chosen", exitPeerId, setupCommandId, packets: opened });
    if (!chosen) {
      await packets.close(record);
      return ENDED;
    }
    try {
      const asking = setup.command(withinReason(request, this.#relayOf(chosen.record)));
      await chosen.kept;
      const answer = await asking;
      const { status, code, remark } = answer;
      if (!sessions.find(sessionId)) return ENDED;
      if (status === "applied") return await this.#ready(chosen.record, answer);
      await sessions.advance(sessionId, { kind: "end", reason: "exit_failed" });
      return { status, ...(code !== undefined && { code }), ...(remark !== undefined && { remark }) };
    } catch (error) {
      sessions.forget(sessionId);
      setup.end(chosen.record, "setup_failed");
      throw error;
    }
  }

  /** The exit serves the session. One that does not say which addresses its client has knows nothing of packets. */
  async #ready(record: SessionRecord, answer: SetupAnswer): Promise<ExitSetupResponse> {
    const { sessions, packets, ending } = this.#options;
    const { sessionId } = record;
    if (record.packets && !answer.packets) {
      await ending.end(sessionId, "exit_failed", "client");
      return { status: "failed", code: "no_grant" };
    }
    const agreed = await packets.agreed(record, answer);
    const ready = await sessions.advance(sessionId, { kind: "ready", packets: agreed });
    return ready ? { status: "applied", ...this.#packetsOf(ready) } : ENDED;
  }

  /** For the client's supernode. */
  #packetsOf({ packets }: SessionRecord): Pick<ExitSetupResponse, "packets" | "relay"> {
    if (!packets?.grant) return {};
    return { packets: packets.grant, relay: this.#options.packets.endpointOf(packets) };
  }

  /** For the exit. */
  #relayOf({ packets }: SessionRecord): string | undefined {
    return packets && this.#options.packets.endpointOf(packets);
  }

  async end({ sessionId, reason }: ExitEndRequest, supernodeId: string): Promise<void> {
    const { sessions, ending } = this.#options;
    if (sessions.find(sessionId)?.clientSupernodeId !== supernodeId) return;
    await ending.end(sessionId, REASONS[reason], "client");
  }

  #open(request: ExitSetupRequest, supernodeId: string, candidate: ExitCandidate): SessionRecord {
    const { sessions, clock } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey, clientProof, expiresAtMs } = request;
    const record = openSession({
      sessionId,
      clientPeerId,
      clientWireguardKey,
      ...(clientProof && { clientProof }),
      clientSupernodeId: supernodeId,
      wish: wishOf(request),
      candidates: [candidate],
      expiresAtMs,
    }, clock.wallNow());
    sessions.add(record);
    return record;
  }

  /** Gives a session its port; without one it is forgotten again. */
  async #relay(
    record: SessionRecord,
    { exit }: ExitCandidate,
    clientRelay: string,
  ): Promise<SessionPackets | CulvertError | undefined> {
    const { sessions, packets, log } = this.#options;
    const { sessionId } = record;
    try {
      return await packets.open(record, exit, clientRelay);
    } catch (error) {
      log.info("A session was not relayed", { session_id: sessionId, error: messageOf(error) });
      sessions.forget(sessionId);
      return error instanceof CulvertError ? error : new CulvertError("failed", messageOf(error));
    }
  }
}

/** What is known of what the client wished for. */
function wishOf({ packets }: ExitSetupRequest): ExitWish {
  if (!packets) return {};
  return { carries: "packets", ...(packets.isTerminated && { relay: "terminate" }) };
}

/** The exit finds the client at the session's port here, if it has one. */
function withinReason(request: ExitSetupRequest, relay: string | undefined): ExitSetupRequest {
  const timeoutMs = Math.min(request.timeoutMs, MAX_SETUP_MS);
  const { packets, ...rest } = request;
  return { ...rest, timeoutMs, ...(packets && relay !== undefined && { packets: { ...packets, relay } }) };
}

/** Whether the session is the one asked for, as far as that is known of it. */
function isOf({ clientPeerId, clientWireguardKey, exit }: SessionRecord, request: ExitSetupRequest): boolean {
  return clientPeerId === request.clientPeerId && clientWireguardKey === request.clientWireguardKey &&
    (!exit || exit.exit.peerId === request.exitPeerId);
}
