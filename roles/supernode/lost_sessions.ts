/**
 * What becomes of sessions of which somebody else says that they are over: a client of ours is taken to another exit,
 * what another supernode's client has here is ended.
 */

import type { SessionLeft } from "../../protocol/control/messages.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { Rotation } from "./rotation.ts";
import type { SessionEnding } from "./session_ending.ts";
import type { Sessions } from "./sessions.ts";

export interface LostSessionsOptions {
  readonly sessions: Sessions;
  readonly ending: SessionEnding;
  readonly rotation: Rotation;
  readonly log: Log;
}

export class LostSessions {
  readonly #options: LostSessionsOptions;

  constructor(options: LostSessionsOptions) {
    this.#options = options;
  }

  /** An exit that is connected here has let go of a session. */
  async endedByExit(sessionId: string, reason: SessionLeft): Promise<void> {
    const { sessions, rotation, ending } = this.#options;
    const record = sessions.find(sessionId);
    // One that is being set up has not begun: the exit speaks of an earlier life of it.
    if (record?.state !== "active") return;
    if (reason !== "expired" && sessions.isOwn(record)) rotation.move(record, "exit_left");
    else await ending.end(sessionId, reason === "expired" ? "expired" : "exit_left", "exit");
  }

  /** A peer has lost its memory of what it was told: an exit serves none of its sessions any more. */
  async forgottenBy(peerId: string): Promise<void> {
    const { sessions, ending, log } = this.#options;
    try {
      for (const { sessionId, state } of sessions.ofExit(peerId)) {
        if (state === "active") await ending.end(sessionId, "exit_left", "exit");
      }
    } catch (error) {
      log.error("Cannot end a session", { peer_id: peerId, error: messageOf(error) });
    }
  }

  /** The supernode at the other end does not know it. */
  async unknownElsewhere(record: SessionRecord): Promise<void> {
    const { sessions, rotation, ending } = this.#options;
    if (sessions.isOwn(record)) rotation.move(record, "exit_left");
    else await ending.end(record.sessionId, "client_left", "client");
  }
}
