/**
 * What a connected peer may ask of its supernode: an exit, a token for its data link, its sessions, the end of one.
 */

import type { InfoFailure, InfoRequest, InfoResponse } from "../../protocol/control/messages.ts";
import type { AuthenticatedPeer } from "../../protocol/control/stream_server.ts";
import type { RequestExit } from "./request_exit.ts";
import type { Sessions } from "./sessions.ts";

const MAX_LISTED = 1024;

export interface InfoRequestDeps {
  readonly requests: RequestExit;
  readonly sessions: Sessions;
  relayToken(peerId: string): string;
  endSession(sessionId: string): Promise<boolean>;
  /** Whether the peer can still be answered. */
  isHere(): boolean;
}

export async function answerRequest(
  peer: AuthenticatedPeer,
  request: InfoRequest,
  { requests, sessions, relayToken, endSession, isHere }: InfoRequestDeps,
): Promise<InfoResponse> {
  const head = { type: "info.response", requestId: request.requestId } as const;
  const failed = (reason: InfoFailure, retryAfterMs?: number): InfoResponse => ({
    ...head,
    what: "failed",
    reason,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
  switch (request.what) {
    case "exit": {
      if (peer.role !== "client") return failed("forbidden");
      const grant = await requests.grant(peer, request.wish);
      // Nobody will ever hear of it.
      if (grant.ok && !isHere()) await endSession(grant.offer.sessionId);
      return grant.ok ? { ...head, what: "exit", session: grant.offer } : failed(grant.reason, grant.retryAfterMs);
    }
    case "relay_token":
      return { ...head, what: "relay_token", relayToken: relayToken(peer.peerId) };
    case "sessions": {
      const own = peer.role === "client" ? sessions.ofClient(peer.peerId) : sessions.ofExit(peer.peerId);
      return { ...head, what: "sessions", sessionIds: own.slice(0, MAX_LISTED).map(({ sessionId }) => sessionId) };
    }
    case "end_session": {
      const record = sessions.find(request.sessionId);
      if (!record) return failed("unknown_session");
      const isTheirs = record.clientPeerId === peer.peerId || record.exit?.exit.peerId === peer.peerId;
      if (!isTheirs) return failed("forbidden");
      await endSession(request.sessionId);
      return { ...head, what: "end_session" };
    }
  }
}
