/**
 * What a connected peer may ask of its supernode: an exit, a longer life for a session, a token for its data link, its
 * sessions, the end of one.
 */

import {
  type InfoFailure,
  type InfoRequest,
  type InfoResponse,
  MAX_SESSIONS,
  type SessionLeft,
} from "../../protocol/control/messages.ts";
import type { AuthenticatedPeer } from "../../protocol/control/stream_server.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { RequestExit } from "./request_exit.ts";
import type { SessionSide } from "./session_ending.ts";
import type { SessionRenewals } from "./session_renewals.ts";
import type { Sessions } from "./sessions.ts";

export interface InfoRequestDeps {
  readonly requests: RequestExit;
  readonly sessions: Sessions;
  relayToken(peerId: string): string;
  readonly renewals: SessionRenewals;
  /** The client does not want it any more. */
  leave(sessionId: string): Promise<unknown>;
  /** The exit has ended it. */
  ended(sessionId: string, reason: SessionLeft): Promise<unknown>;
  /** Whether the peer can still be answered. */
  isHere(): boolean;
}

export async function answerRequest(
  peer: AuthenticatedPeer,
  request: InfoRequest,
  { requests, sessions, renewals, relayToken, leave, ended, isHere }: InfoRequestDeps,
): Promise<InfoResponse> {
  const head = { type: "info.response", requestId: request.requestId } as const;
  const failed = (reason: InfoFailure, more: { retryAfterMs?: number; remark?: string } = {}): InfoResponse => ({
    ...head,
    what: "failed",
    reason,
    ...more,
  });
  switch (request.what) {
    case "exit": {
      if (peer.role !== "client") return failed("forbidden");
      for (const sessionId of unheard(peer.peerId, request.held, sessions)) await leave(sessionId);
      const grant = await requests.grant(peer, request.wish);
      if (!grant.ok) {
        const { reason, ok: _, ...more } = grant;
        return failed(reason, more);
      }
      // Nobody will ever hear of it.
      if (!isHere()) await leave(grant.offer.sessionId);
      return { ...head, what: "exit", session: grant.offer };
    }
    case "renew": {
      const renewal = await renewals.renew(peer, request.sessionId);
      return renewal.ok ? { ...head, what: "renew", expiresAtMs: renewal.expiresAtMs } : failed(renewal.reason);
    }
    case "relay_token":
      return { ...head, what: "relay_token", relayToken: relayToken(peer.peerId) };
    case "sessions": {
      if (request.sessionIds) {
        const known = request.sessionIds.filter((sessionId) => sideOf(sessions.find(sessionId), peer));
        return { ...head, what: "sessions", sessionIds: known };
      }
      const own = peer.role === "client" ? sessions.grantedTo(peer.peerId) : sessions.ofExit(peer.peerId);
      return { ...head, what: "sessions", sessionIds: own.slice(0, MAX_SESSIONS).map(({ sessionId }) => sessionId) };
    }
    case "end_session": {
      const record = sessions.find(request.sessionId);
      if (!record) return failed("unknown_session");
      const side = sideOf(record, peer);
      if (!side) return failed("forbidden");
      if (side === "client") await leave(request.sessionId);
      else await ended(request.sessionId, request.reason ?? "shutdown");
      return { ...head, what: "end_session" };
    }
  }
}

/** Sessions whose offers have not reached their client; those that it is yet to be told of are not among them. */
function unheard(clientPeerId: string, held: readonly string[] | undefined, sessions: Sessions): string[] {
  if (!held) return [];
  const lost = sessions.grantedTo(clientPeerId).filter((record) =>
    record.state === "active" && !record.isStatic && !held.includes(record.sessionId) &&
    !sessions.find(record.previousSessionId ?? "")
  );
  return lost.map(({ sessionId }) => sessionId);
}

/** Which end of the session the peer is, if any. */
function sideOf(record: SessionRecord | undefined, { peerId }: AuthenticatedPeer): SessionSide | undefined {
  if (record?.clientPeerId === peerId) return "client";
  return record?.exit?.exit.peerId === peerId ? "exit" : undefined;
}
