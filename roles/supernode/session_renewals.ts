/**
 * Lets a session last longer when its client asks: first at the exit, then at the supernodes, so that nobody believes in
 * one that the exit has let go of. A client that is gone does not ask, and its sessions lapse.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { InfoFailure } from "../../protocol/control/messages.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { newId } from "./command_outbox.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { SessionClient } from "./request_exit.ts";
import type { Sessions } from "./sessions.ts";

const RENEW_WITHIN_MS = 10_000;
/** Of a life that has hardly begun nothing need be renewed. */
const FRESH_SHARE = 0.9;

export interface SessionRenewalsOptions {
  readonly sessions: Sessions;
  readonly setup: ExitSetup;
  readonly sessionLifetimeMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export type Renewal =
  | { readonly ok: true; readonly expiresAtMs: number }
  | { readonly ok: false; readonly reason: InfoFailure };

export class SessionRenewals {
  readonly #options: SessionRenewalsOptions;

  constructor(options: SessionRenewalsOptions) {
    this.#options = options;
  }

  /** Rejects only when the store fails. */
  async renew(client: SessionClient, sessionId: string): Promise<Renewal> {
    const { sessions, setup, sessionLifetimeMs, clock, random, log } = this.#options;
    const record = sessions.find(sessionId);
    if (record?.state !== "active" || !sessions.isOwn(record)) return { ok: false, reason: "unknown_session" };
    const { peerId, publicKey, wireguardKey, wireguardSignature, certificate } = client;
    if (record.clientPeerId !== peerId || record.clientWireguardKey !== wireguardKey) {
      return { ok: false, reason: "forbidden" };
    }
    const expiresAtMs = clock.wallNow() + sessionLifetimeMs;
    if (record.expiresAtMs - clock.wallNow() > FRESH_SHARE * sessionLifetimeMs) {
      return { ok: true, expiresAtMs: record.expiresAtMs };
    }
    // The proof of today: the certificate of the day it was set up may have expired.
    const clientProof = { publicKey, wireguardSignature, ...(certificate !== undefined && { certificate }) };
    const renewed = { ...record, clientProof, expiresAtMs, setupCommandId: newId(random) };
    const status = await setup.renew(renewed, RENEW_WITHIN_MS);
    if (status === "applied" && await sessions.advance(sessionId, { kind: "renew", expiresAtMs })) {
      return { ok: true, expiresAtMs };
    }
    log.info("A session was not renewed", { session_id: sessionId, peer_id: peerId, status });
    return { ok: false, reason: "unavailable" };
  }
}
