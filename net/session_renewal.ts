/**
 * Sees to it that the session in use does not expire while it is in use.
 *
 *   two thirds of its life have passed ──→ renew: the same session lasts longer, and its streams do not notice
 *   that was refused, or not answered  ──→ again, a few times
 *   little is left                     ──→ replace: another session takes its place, make before break
 *
 * A client that is gone asks for neither, so its sessions lapse.
 */

import { type Clock, deadline, type Timer } from "../protocol/clock.ts";
import { messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Random } from "../protocol/random.ts";
import type { WatchedSession } from "./watched_session.ts";

export interface RenewalOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Has the session last longer, and gives until when, by the wall clock. */
  renew(sessionId: string, signal: AbortSignal): Promise<number>;
  /** Puts another session in its place. */
  replace(signal: AbortSignal): Promise<void>;
}

/** The share of its life after which a session is renewed, give or take a tenth: sessions made together part. */
const RENEW_AFTER = 0.65;
/** What is left when it is replaced instead: this, or a quarter of a life that is short. */
const REPLACE_BEFORE_MS = 60_000;
const AGAIN_MS = 5_000;
/** However short a life is, or seems to be by a clock that was set: what is done about it is not done more often. */
const LEAST_WAIT_MS = 500;
const ATTEMPT_MS = 15_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

export class SessionRenewal implements Disposable {
  readonly #options: RenewalOptions;
  readonly #stop = new AbortController();
  #session: WatchedSession | undefined;
  /** How long the session was to last when it was granted or renewed. */
  #lifeMs = 0;
  #timer: Timer | undefined;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** The session that is in use from now on, or has just been renewed; undefined if there is none. */
  follow(session: WatchedSession | undefined): void {
    this.#timer?.cancel();
    this.#session = session;
    if (!session || this.#stop.signal.aborted) return;
    this.#lifeMs = this.#leftMs(session);
    this.#wait(this.#lifeMs * (RENEW_AFTER + 0.1 * (2 * this.#options.random.next() - 1)));
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    this.follow(undefined);
  }

  get #replaceBeforeMs(): number {
    return Math.min(REPLACE_BEFORE_MS, this.#lifeMs / 4);
  }

  #leftMs({ expiresAtMs }: WatchedSession): number {
    return expiresAtMs - this.#options.clock.wallNow();
  }

  #wait(forMs: number): void {
    const untilReplacedMs = this.#leftMs(this.#session!) - this.#replaceBeforeMs;
    const waitMs = untilReplacedMs > 0 ? Math.min(forMs, untilReplacedMs) : forMs;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(
      Math.min(Math.max(LEAST_WAIT_MS, waitMs), MAX_TIMER_MS),
      () => void this.#act(),
    );
  }

  async #act(): Promise<void> {
    const { clock, log, renew, replace } = this.#options;
    const session = this.#session!;
    const isLate = this.#leftMs(session) <= this.#replaceBeforeMs;
    try {
      using limit = deadline(clock, ATTEMPT_MS, "renew a session", this.#stop.signal);
      if (isLate) return await replace(limit.signal);
      const expiresAtMs = await renew(session.session.sessionId, limit.signal);
      session.expiresAtMs = Math.max(session.expiresAtMs, expiresAtMs);
      if (this.#session === session) this.follow(session);
    } catch (error) {
      if (this.#session !== session || this.#stop.signal.aborted) return;
      log.warn(isLate ? "A session that is about to expire could not be replaced" : "A session could not be renewed", {
        session_id: session.session.sessionId,
        error: messageOf(error),
      });
      this.#wait(Math.max(Math.min(AGAIN_MS, this.#lifeMs / 10), isLate ? 0 : this.#leftMs(session) / 4));
    }
  }
}
