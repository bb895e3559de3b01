/**
 * What becomes of sessions of which somebody else says that they are over: a client of ours is taken to another exit,
 * what another supernode's client has here is ended. One that an exit has only forgotten is set up there again.
 */

import type { SessionLeft } from "../../protocol/control/messages.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { PacketSessions } from "./packet_sessions.ts";
import type { Rotation } from "./rotation.ts";
import type { SessionEnding } from "./session_ending.ts";
import type { Sessions } from "./sessions.ts";
import { isFixed, type StaticSessions } from "./static_sessions.ts";

const SET_UP_WITHIN_MS = 10_000;

export interface LostSessionsOptions {
  readonly sessions: Sessions;
  readonly ending: SessionEnding;
  readonly rotation: Rotation;
  readonly setup: Pick<ExitSetup, "begin">;
  readonly packets: Pick<PacketSessions, "isAsGranted">;
  readonly statics: Pick<StaticSessions, "letGo" | "setUpAgain">;
  readonly log: Log;
}

export class LostSessions {
  readonly #options: LostSessionsOptions;

  constructor(options: LostSessionsOptions) {
    this.#options = options;
  }

  /** An exit that is connected here has let go of a session. */
  async endedByExit(sessionId: string, reason: SessionLeft): Promise<void> {
    const { sessions, rotation, ending, statics } = this.#options;
    const record = sessions.find(sessionId);
    // One that is being set up has not begun: the exit speaks of an earlier life of it.
    if (record?.state !== "active") return;
    if (reason !== "expired" && isFixed(record)) statics.letGo(record);
    else if (reason !== "expired" && sessions.isOwn(record)) rotation.move(record, "exit_left");
    else await ending.end(sessionId, reason === "expired" ? "expired" : "exit_left", "exit");
  }

  /**
   * A peer has lost its memory of what it was told: an exit is told again which sessions it serves, under the ids of
   * the commands that it was told with, so that what it does know is not done twice. What it does not take back ends.
   * A client sees to its sessions itself, whenever it comes.
   */
  async forgottenBy(peerId: string): Promise<void> {
    const { sessions, setup, packets, statics, log } = this.#options;
    try {
      for (const { sessionId } of sessions.ofExit(peerId)) {
        const record = sessions.served(sessionId);
        if (!record) continue;
        if (isFixed(record)) {
          await statics.setUpAgain(record);
          continue;
        }
        const answer = await setup.begin(record, SET_UP_WITHIN_MS);
        const { status } = answer;
        log.info("A session was set up again", { session_id: sessionId, peer_id: peerId, status });
        // With other addresses than its client has it is of no use.
        const isAsBefore = status === "applied" && packets.isAsGranted(record, answer);
        if (!isAsBefore) await this.endedByExit(sessionId, "policy");
      }
    } catch (error) {
      log.error("Cannot end a session", { peer_id: peerId, error: messageOf(error) });
    }
  }

  /** The supernode at the other end does not know it. */
  async unknownElsewhere(record: SessionRecord): Promise<void> {
    const { sessions, rotation, ending, statics } = this.#options;
    if (isFixed(record)) await statics.setUpAgain(record);
    else if (sessions.isOwn(record)) rotation.move(record, "exit_left");
    else await ending.end(record.sessionId, "client_left", "client");
  }
}
