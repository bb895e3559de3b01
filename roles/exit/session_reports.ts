/**
 * Keeps an exit and its supernode of one mind about which sessions there are, so that neither holds half of one.
 *
 *   a session ends here by itself ──→ end_session, kept until the supernode has heard it
 *   the control stream is open    ──→ sessions { those served } ──→ what the supernode does not know is served no longer
 *   it has been for two minutes   ──→ the same again: word of an end is lost when there are more commands than may wait
 *   it is open at another one     ──→ sessions that the last one ordered have a while for their streams, then end
 */

import type { ServedSessionStore } from "../../kv/served_sessions.ts";
import type { ControlStream } from "../../net/control.ts";
import type { SessionServer } from "../../net/session_server.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { MAX_SESSIONS, type SessionLeft } from "../../protocol/control/messages.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { ServedSessionRecord } from "../../protocol/session.ts";

/** As long as the data link to a supernode that was left stays, at most. */
const MOVED_MS = 60_000;
const COMPARE_EVERY_MS = 120_000;
/** A supernode ends streams on which too much is said. */
const TELL_GAP_MS = 250;
/** Its store does not work at present, say. */
const TELL_AGAIN_MS = 5_000;
/** More than these nobody is told of: sessions that a supernode is not told of expire there as well. */
const MAX_WAITING = 4096;

export interface SessionReportsOptions {
  readonly server: Pick<SessionServer, "remove" | "expiryOf">;
  readonly store: ServedSessionStore;
  control(): Pick<ControlStream, "isOpen" | "request" | "supernode">;
  readonly clock: Clock;
  readonly log: Log;
}

export class SessionReports implements AsyncDisposable {
  readonly #options: SessionReportsOptions;
  readonly #waiting = new Map<string, SessionLeft>();
  readonly #stop = new AbortController();
  #telling: Promise<void> | undefined;
  #isTelling = false;
  #hasOpened = false;
  /** One for each time that the stream has come up, until the next. */
  readonly #settling = new Set<Promise<void>>();
  #stopSettling = new AbortController();

  constructor(options: SessionReportsOptions) {
    this.#options = options;
  }

  /** The exit has ended a session by itself, perhaps before there was a control stream. */
  ended(sessionId: string, reason: SessionLeft): void {
    if (this.#waiting.size < MAX_WAITING) this.#waiting.set(sessionId, reason);
    this.#options.store.remove(sessionId).catch((error) => this.#complain("forget a session", error));
    this.#tell();
  }

  /** The control stream is open, for the first time or again. */
  opened(): void {
    this.#hasOpened = true;
    this.#stopSettling.abort();
    this.#stopSettling = new AbortController();
    const settling = this.#settleOften(this.#stopSettling.signal).finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
    this.#tell();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#stopSettling.abort();
    await Promise.all([this.#telling, ...this.#settling]);
  }

  #tell(): void {
    if (!this.#hasOpened || this.#waiting.size === 0 || this.#isTelling) return;
    this.#telling = this.#tellAll().catch((error) => this.#complain("tell of a session's end", error));
  }

  async #tellAll(): Promise<void> {
    const { control, clock } = this.#options;
    const { signal } = this.#stop;
    this.#isTelling = true;
    try {
      while (this.#waiting.size > 0 && control().isOpen) {
        const [sessionId, reason] = this.#waiting.entries().next().value!;
        let isHeard = true;
        await control().request({ what: "end_session", sessionId, reason }, signal).catch((error) => {
          // It does not know the session, or it is not ours: nothing is left to say. Otherwise it is told again.
          isHeard = isAnswer(error);
        });
        if (isHeard) this.#waiting.delete(sessionId);
        await delay(clock, isHeard ? TELL_GAP_MS : TELL_AGAIN_MS, signal);
      }
    } finally {
      this.#isTelling = false; // at once, or what comes before somebody hears of the end would wait for another
    }
  }

  async #settleOften(signal: AbortSignal): Promise<void> {
    const { control, clock } = this.#options;
    while (!signal.aborted) {
      if (control().isOpen) await this.#settle().catch((error) => this.#complain("compare the sessions", error));
      await delay(clock, COMPARE_EVERY_MS, signal).catch(() => {});
    }
  }

  async #settle(): Promise<void> {
    const { store, server, control, clock } = this.#options;
    const { signal } = this.#stop;
    const { supernodeId } = control().supernode;
    // Those that are set up from now on are not in question.
    const served = await store.load();
    const own = served.filter((session) => session.supernodeId === supernodeId);
    for (let from = 0; from < own.length; from += MAX_SESSIONS) {
      const sessionIds = own.slice(from, from + MAX_SESSIONS).map(({ sessionId }) => sessionId);
      const known = new Set((await control().request({ what: "sessions", sessionIds }, signal)).sessionIds);
      for (const sessionId of sessionIds) if (!known.has(sessionId)) await this.#drop(sessionId);
    }
    const left = served.filter((session) => session.supernodeId !== supernodeId);
    if (left.length === 0) return;
    await delay(clock, MOVED_MS, signal);
    if (control().supernode.supernodeId !== supernodeId) return; // the next stream sees to it
    const isAsBefore = (session: ServedSessionRecord) => server.expiryOf(session.sessionId) === session.expiresAtMs;
    for (const session of left) if (isAsBefore(session)) await this.#drop(session.sessionId);
  }

  async #drop(sessionId: string): Promise<void> {
    const { server, store, log } = this.#options;
    if (server.remove(sessionId)) {
      log.info("A session that the supernode does not know is over", { session_id: sessionId });
    }
    await store.remove(sessionId);
  }

  #complain(deed: string, error: unknown): void {
    if (!this.#stop.signal.aborted) this.#options.log.warn(`Cannot ${deed}`, { error: messageOf(error) });
  }
}

/** Whether the supernode has heard the question, and will not say anything else the next time. */
function isAnswer(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "unauthorized" || code === "denied";
}
