/**
 * RequestExitPeer and what follows: the exits that are connected here, serving clients of other supernodes.
 *
 * Each such session has a record here as well, so that its streams can be joined and its exit's failure be told; it
 * belongs to the supernode that asked, and nobody else may end it. What one supernode may ask for is bounded: how many
 * sessions, for how long, and how long an exit is waited for.
 */

import type { Clock } from "../../protocol/clock.ts";
import { rank } from "../../protocol/control/selection.ts";
import type {
  ExitCandidate,
  ExitEndRequest,
  ExitPeerRequest,
  ExitPeerResponse,
  ExitSetupRequest,
  ExitSetupResponse,
} from "../../protocol/directory.ts";
import type { Random } from "../../protocol/random.ts";
import { openSession, type SessionEnd, type SessionRecord } from "../../protocol/session.ts";
import type { ExitPool } from "./exit_pool.ts";
import type { ExitSetup } from "./exit_setup.ts";
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

/** Told to one who asks. */
const MAX_TOLD = 8;
/** Twice what supernodes ask for. */
const MAX_LIFETIME_MS = 24 * 3_600_000;
/** Whoever asks over HTTP does not wait for longer. */
const MAX_SETUP_MS = 8_000;

export interface HostedExitsOptions {
  readonly sessions: Sessions;
  readonly pool: Pick<ExitPool, "candidate" | "candidates">;
  readonly setup: ExitSetup;
  readonly ending: SessionEnding;
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
    const { pool, random, isDraining } = this.#options;
    if (isDraining()) return { candidates: [] };
    const ranked = rank(pool.candidates(clientPeerId, wish), wish, random);
    return { candidates: ranked.slice(0, Math.min(count, MAX_TOLD)).map(({ candidate }) => candidate) };
  }

  /** Asking twice is asking once, also while the first is under way. */
  async setUp(request: ExitSetupRequest, supernodeId: string): Promise<ExitSetupResponse> {
    const { sessions, pool, clock } = this.#options;
    const { sessionId, exitPeerId } = request;
    const known = sessions.find(sessionId);
    if (known && known.clientSupernodeId !== supernodeId) return { status: "failed", code: "not_yours" };
    if (known && !isOf(known, request)) return { status: "failed", code: "other_session" };
    if (request.expiresAtMs > clock.wallNow() + MAX_LIFETIME_MS) return { status: "failed", code: "too_long" };
    if (request.renews) return await this.#renew(request, known);
    if (known?.state === "active") return { status: "applied" };
    const underWay = this.#underWay.get(sessionId);
    if (underWay) return await underWay;
    const candidate = pool.candidate(exitPeerId);
    if (!candidate) return { status: "no_such_exit" };
    if (sessions.isFullFor(supernodeId)) return { status: "busy" };
    const settingUp = this.#setUp(request, supernodeId, candidate).finally(() => this.#underWay.delete(sessionId));
    this.#underWay.set(sessionId, settingUp);
    return await settingUp;
  }

  async #renew(request: ExitSetupRequest, known: SessionRecord | undefined): Promise<ExitSetupResponse> {
    const { sessions, setup } = this.#options;
    if (known?.state !== "active") return { status: "failed", code: "unknown_session" };
    const { status, code } = await setup.command(withinReason(request));
    const { sessionId, expiresAtMs } = request;
    if (status === "applied") await sessions.advance(sessionId, { kind: "renew", expiresAtMs });
    return { status, ...(code !== undefined && { code }) };
  }

  async #setUp(
    request: ExitSetupRequest,
    supernodeId: string,
    candidate: ExitCandidate,
  ): Promise<ExitSetupResponse> {
    const { sessions, setup } = this.#options;
    const { sessionId, exitPeerId, commandId: setupCommandId } = request;
    this.#open(request, supernodeId, candidate);
    const chosen = sessions.change(sessionId, { kind: "chosen", exitPeerId, setupCommandId });
    try {
      const asking = setup.command(withinReason(request));
      await chosen?.kept;
      const { status, code, remark } = await asking;
      if (!sessions.find(sessionId)) return { status: "failed", code: "ended" };
      if (status === "applied") await sessions.advance(sessionId, { kind: "ready" });
      else await sessions.advance(sessionId, { kind: "end", reason: "exit_failed" });
      return { status, ...(code !== undefined && { code }), ...(remark !== undefined && { remark }) };
    } catch (error) {
      sessions.forget(sessionId);
      if (chosen) setup.end(chosen.record, "setup_failed");
      throw error;
    }
  }

  async end({ sessionId, reason }: ExitEndRequest, supernodeId: string): Promise<void> {
    const { sessions, ending } = this.#options;
    if (sessions.find(sessionId)?.clientSupernodeId !== supernodeId) return;
    await ending.end(sessionId, REASONS[reason], "client");
  }

  #open(request: ExitSetupRequest, supernodeId: string, candidate: ExitCandidate): void {
    const { sessions, clock } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey, clientProof, expiresAtMs } = request;
    sessions.add(openSession({
      sessionId,
      clientPeerId,
      clientWireguardKey,
      ...(clientProof && { clientProof }),
      clientSupernodeId: supernodeId,
      wish: {},
      candidates: [candidate],
      expiresAtMs,
    }, clock.wallNow()));
  }
}

function withinReason(request: ExitSetupRequest): ExitSetupRequest {
  return { ...request, timeoutMs: Math.min(request.timeoutMs, MAX_SETUP_MS) };
}

/** Whether the session is the one asked for, as far as that is known of it. */
function isOf({ clientPeerId, clientWireguardKey, exit }: SessionRecord, request: ExitSetupRequest): boolean {
  return clientPeerId === request.clientPeerId && clientWireguardKey === request.clientWireguardKey &&
    (!exit || exit.exit.peerId === request.exitPeerId);
}
