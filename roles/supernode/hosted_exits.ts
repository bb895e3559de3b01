/**
 * RequestExitPeer and what follows: the exits that are connected here, serving clients of other supernodes.
 *
 * Each such session has a record here as well, so that its streams can be joined and its exit's failure be told; it
 * belongs to the supernode that asked, and nobody else may end it.
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

export interface HostedExitsOptions {
  readonly sessions: Sessions;
  readonly pool: ExitPool;
  readonly setup: ExitSetup;
  readonly ending: SessionEnding;
  /** Whether exits are about to go elsewhere. */
  isDraining(): boolean;
  readonly clock: Clock;
  readonly random: Random;
}

export class HostedExits {
  readonly #options: HostedExitsOptions;

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
    const { sessions, pool } = this.#options;
    const { sessionId, exitPeerId } = request;
    const known = sessions.find(sessionId);
    if (known && known.clientSupernodeId !== supernodeId) return { status: "failed", code: "not_yours" };
    if (request.renews) return await this.#renew(request, known);
    if (known?.state === "active") return { status: "applied" };
    const candidate = pool.candidate(exitPeerId);
    if (!candidate) return { status: "no_such_exit" };
    if (!known && sessions.isFull) return { status: "busy" };
    if (!known) this.#open(request, supernodeId);
    try {
      return await this.#command(request, candidate);
    } catch (error) {
      sessions.forget(sessionId);
      throw error;
    }
  }

  async #renew(request: ExitSetupRequest, known: SessionRecord | undefined): Promise<ExitSetupResponse> {
    const { sessions, setup } = this.#options;
    if (known?.state !== "active" || known.exit?.exit.peerId !== request.exitPeerId) {
      return { status: "failed", code: "unknown_session" };
    }
    const { status, code } = await setup.command(request);
    const { sessionId, expiresAtMs } = request;
    if (status === "applied") await sessions.advance(sessionId, { kind: "renew", expiresAtMs });
    return { status, ...(code !== undefined && { code }) };
  }

  async #command(request: ExitSetupRequest, candidate: ExitCandidate): Promise<ExitSetupResponse> {
    const { sessions, setup } = this.#options;
    const { sessionId, exitPeerId, commandId } = request;
    if (sessions.find(sessionId)?.state === "requested") {
      await sessions.advance(sessionId, { kind: "candidates", candidates: [candidate] });
      await sessions.advance(sessionId, { kind: "chosen", exitPeerId, setupCommandId: commandId });
    }
    const { status, code, remark } = await setup.command(request);
    if (status === "applied") await sessions.advance(sessionId, { kind: "ready" });
    else await sessions.advance(sessionId, { kind: "end", reason: "exit_failed" });
    return { status, ...(code !== undefined && { code }), ...(remark !== undefined && { remark }) };
  }

  async end({ sessionId, reason }: ExitEndRequest, supernodeId: string): Promise<void> {
    const { sessions, ending } = this.#options;
    if (sessions.find(sessionId)?.clientSupernodeId !== supernodeId) return;
    await ending.end(sessionId, REASONS[reason], "client");
  }

  #open(request: ExitSetupRequest, supernodeId: string): void {
    const { sessions, clock } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey, expiresAtMs } = request;
    const wish = {};
    sessions.add(openSession({
      sessionId,
      clientPeerId,
      clientWireguardKey,
      clientSupernodeId: supernodeId,
      wish,
      candidates: [],
      expiresAtMs,
    }, clock.wallNow()));
  }
}
