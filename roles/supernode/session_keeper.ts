/**
 * Looks after sessions that nobody looks after: it ends those whose time has passed and those whose client has been away
 * for too long, and has those moved whose exit is away, however that went unnoticed.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { SessionEnd, SessionRecord } from "../../protocol/session.ts";
import type { SessionSide } from "./session_ending.ts";
import type { Sessions } from "./sessions.ts";

const LOOK_EVERY_MS = 5_000;

export interface SessionKeeperOptions {
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly log: Log;
  /** Default 5 s. */
  readonly lookEveryMs?: number | undefined;
  /** How long sessions stay after their client has gone. */
  readonly clientGraceMs: number;
  isConnected(peerId: string): boolean;
  end(sessionId: string, reason: SessionEnd, by?: SessionSide): Promise<unknown>;
  /** Has a look at whether an exit of ours is still there. */
  checkExit(exitPeerId: string): void;
}

export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  /** Since when the clients of sessions have been seen to be away. */
  readonly #goneSinceMs = new Map<string, number>();

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, sessions, checkExit, lookEveryMs = LOOK_EVERY_MS } = this.#options;
    while (!signal.aborted) {
      await delay(clock, lookEveryMs, signal).catch(() => {});
      if (signal.aborted) return;
      await this.#endAll(sessions.expired(), "expired");
      await this.#endAll(this.#deserted(), "client_left", "client");
      for (const exitPeerId of sessions.exitsHere()) checkExit(exitPeerId);
    }
  }

  async #endAll(records: readonly SessionRecord[], reason: SessionEnd, by?: SessionSide): Promise<void> {
    const { log, end } = this.#options;
    for (const { sessionId } of records) {
      await end(sessionId, reason, by).catch((error) =>
        log.error("Cannot end a session", { session_id: sessionId, error: messageOf(error) })
      );
    }
  }

  #deserted(): SessionRecord[] {
    const { clock, clientGraceMs, sessions, isConnected } = this.#options;
    const nowMs = clock.now();
    const deserted: SessionRecord[] = [];
    for (const sessionId of this.#goneSinceMs.keys()) {
      if (!sessions.find(sessionId)) this.#goneSinceMs.delete(sessionId);
    }
    for (const record of sessions) {
      if (!sessions.isOwn(record) || record.isStatic || isConnected(record.clientPeerId)) {
        this.#goneSinceMs.delete(record.sessionId);
        continue;
      }
      const sinceMs = this.#goneSinceMs.get(record.sessionId) ?? nowMs;
      this.#goneSinceMs.set(record.sessionId, sinceMs);
      if (nowMs - sinceMs >= clientGraceMs) deserted.push(record);
    }
    return deserted;
  }
}
