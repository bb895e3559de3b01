/**
 * Ends a session for everybody who has a part in it, so that none is left with half of one.
 *
 *   here ──→ the exit: DISCONNECT, or by way of its supernode
 *        └─→ the client: DISCONNECT, or by way of its supernode
 *
 * Whoever has ended it is not told of it. Who cannot be told now finds out later: a client and an exit when they come
 * back, a supernode by `session_checks.ts`.
 */

import type { Disconnect } from "../../protocol/control/commands.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { SessionEnd, SessionRecord } from "../../protocol/session.ts";
import { type CommandOutbox, newId } from "./command_outbox.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { Peering } from "./peering.ts";
import type { Sessions } from "./sessions.ts";

const TELL_CLIENT_WITHIN_MS = 60_000;

/** Which end of the session it was, with the supernode there. */
export type SessionSide = "client" | "exit";

export interface SessionEndingOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly setup: ExitSetup;
  readonly outbox: CommandOutbox;
  readonly peering: Pick<Peering, "notify">;
  readonly random: Random;
  readonly log: Log;
  isConnected(peerId: string): boolean;
}

export class SessionEnding {
  readonly #options: SessionEndingOptions;

  constructor(options: SessionEndingOptions) {
    this.#options = options;
  }

  /** False if there is no such session. Rejects only when the store fails. */
  async end(sessionId: string, reason: SessionEnd, by?: SessionSide): Promise<boolean> {
    const { sessions, setup } = this.#options;
    const record = sessions.find(sessionId);
    if (!record) return false;
    try {
      await sessions.advance(sessionId, { kind: "end", reason });
    } finally {
      // Whether or not it could be written down.
      if (by !== "exit") setup.end(record, TOLD[reason]);
      if (by !== "client") this.#tellClient(record, TOLD[reason]);
    }
    return true;
  }

  #tellClient(record: SessionRecord, reason: Disconnect["reason"]): void {
    const { supernodeId, outbox, peering, random, log, isConnected } = this.#options;
    const { sessionId, clientPeerId, clientSupernodeId, exit } = record;
    if (clientSupernodeId !== supernodeId) {
      if (!exit) return;
      const notice = { exitPeerId: exit.exit.peerId, reason: "ended" as const, sessionIds: [sessionId] };
      peering.notify(clientSupernodeId, notice).catch((error) =>
        log.info("A supernode was not told that a session has ended", {
          supernode_id: clientSupernodeId,
          session_id: sessionId,
          error: messageOf(error),
        })
      );
      return;
    }
    if (!isConnected(clientPeerId)) return;
    const order = { kind: "DISCONNECT" as const, commandId: newId(random), sessionId, payload: { reason } };
    void outbox.push(clientPeerId, { ...order, timeoutMs: TELL_CLIENT_WITHIN_MS });
  }
}

const TOLD: Readonly<Record<SessionEnd, Disconnect["reason"]>> = {
  client_left: "client_left",
  exit_failed: "exit_failed",
  exit_left: "exit_failed",
  no_exit: "setup_failed",
  rotated: "replaced",
  expired: "expired",
  revoked: "revoked",
  admin: "admin",
  shutdown: "shutdown",
};
