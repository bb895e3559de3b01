/**
 * A client's way out through whichever exit it has a session with: a Path that asks for a session when it needs one, and
 * goes to another when that fails, expires or is to be left.
 *
 *   dial ──→ the present session ──→ stream
 *              │ it fails, or is found to have failed by a probe
 *              ↓
 *            another session, not at that exit ──→ the same dial again
 *
 *   rotate (ROTATE_PEER), replace   make before break: the next one carries a probe before it takes the place of the present
 *                                   one, whose streams may go on for a while. Asked for by somebody, it is at another exit
 *
 * What fails because the way to the supernode was lost is no fault of the exit: a dial waits for the way to be back, and
 * is made again on the same session. When a session has just been lost, a dial waits for the next one, for as long as it
 * may and a few seconds at most; otherwise it fails at once, and says why there is none.
 *
 * Streams do not move between exits. However many dials there are, one session is asked for at a time, and not more often
 * than the supernode takes kindly.
 *
 * Not here: what asking and opening takes (`acquire`), when a session is renewed (`session_renewal.ts`), which exits are not
 * wanted (`failed_exits.ts`).
 */

import { orAborted } from "../protocol/abort.ts";
import { deadline, delay } from "../protocol/clock.ts";
import { CulvertError, DialError, type DialFailure, dialFailureOf, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../protocol/stream.ts";
import { FailedExits } from "./failed_exits.ts";
import { SessionRenewal } from "./session_renewal.ts";
import {
  type DataPath,
  type OpenSession,
  type SessionWay,
  WatchedSession,
  type WatchOptions,
} from "./watched_session.ts";

export interface SessionSwitchOptions extends WatchOptions {
  /** Gets a session, not at these exits, and opens its path. */
  acquire(exclude: readonly string[], signal: AbortSignal): Promise<OpenSession>;
  /** Has the session last longer, and gives until when, by the wall clock. */
  renew(sessionId: string, signal: AbortSignal): Promise<number>;
  /** The session is not used any more. Must not throw. */
  release(sessionId: string): void;
  /** It is the one in use from now on. Must not throw. */
  onTake?(session: OpenSession): void;
  /** There is none in use until the next one is taken. Must not throw. */
  onLose?(): void;
  /**
   * A session is taken only once it has carried a probe, within so long, also where there is none before it: for sessions
   * that whatever goes through them cannot try again elsewhere.
   */
  readonly proveWithinMs?: number;
  readonly log: Log;
}

export interface Rotation {
  /** How long streams on the old session may go on. */
  readonly drainMs: number;
  readonly signal: AbortSignal;
}

type SwitchReason = "failed" | "rotated" | "expiring" | "moved" | "asked";
/** What asking for a session may meet with while the network finds its way around something that has been lost. */
const WORTH_WAITING: readonly DialFailure[] = ["host_unreachable", "path_down", "busy", "timeout"];

/** How often a dial is made: an exit may fail, and the next one too. */
const MAX_ATTEMPTS = 3;
/** Between two requests for a session. */
const ACQUIRE_GAP_MS = 300;
/** How long streams on a session that is left may go on, unless told otherwise. */
const DRAIN_MS = 30_000;
/** How long is waited for the way to the supernode, and by a dial for the session that follows one that was lost. */
const WAIT_MS = 10_000;
const LOST_GRACE_MS = 5_000;
const REPLACE_PROBE_MS = 5_000;

export class SessionSwitch implements Path {
  readonly #options: SessionSwitchOptions;
  readonly #stop = new AbortController();
  #present: WatchedSession | undefined;
  /** The id of the last one that failed: its rotation may still come. */
  #failedId: string | undefined;
  #acquiring: Promise<WatchedSession> | undefined;
  #acquiredAtMs = -Infinity;
  readonly #failedExits: FailedExits;
  readonly #sessions = new Set<WatchedSession>();
  /** When there was last a session and then none. */
  #lostAtMs = -Infinity;
  readonly #renewal: SessionRenewal;
  readonly #metrics;

  constructor(options: SessionSwitchOptions) {
    this.#options = options;
    this.#failedExits = new FailedExits(options.clock);
    const { metrics } = options;
    this.#metrics = {
      switches: metrics.counter("client_exit_switches_total", "Sessions left for another, by reason", ["reason"]),
      acquired: metrics.counter("client_sessions_total", "Sessions asked for, by outcome", ["outcome"]),
      open: metrics.gauge("client_sessions_active", "Sessions in use, or with streams that have not ended"),
    };
    this.#renewal = new SessionRenewal({
      ...options,
      renew: (sessionId, signal) => options.renew(sessionId, signal),
      replace: (signal) => this.replace("expiring", signal),
    });
  }

  /** The session that new streams go through. */
  get present(): OpenSession | undefined {
    return this.#present?.session;
  }

  /** What the present session's probes have found. */
  get dataPath(): DataPath | undefined {
    return this.#present?.dataPath;
  }

  /** Of every session that is not closed yet. */
  get sessionIds(): ReadonlySet<string> {
    return new Set([...this.#sessions].map(({ session }) => session.sessionId));
  }

  dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return this.#run((path, signal) => path.dial(target, { ...options, signal }), options.signal);
  }

  datagrams(options: DialOptions = {}): Promise<Datagrams> {
    return this.#run((path, signal) => path.datagrams({ ...options, signal }), options.signal);
  }

  /** Gets a session if there is none, so that the first dial need not wait. */
  async warm(signal?: AbortSignal): Promise<void> {
    await this.#session(signal);
  }

  /**
   * Puts `next` in the place of the session with that id once it carries a probe. Otherwise closes it and throws:
   * `unknown_session` when that is not, or no longer, the one in use.
   */
  async rotate(sessionId: string, next: OpenSession, { drainMs, signal }: Rotation): Promise<void> {
    const session = this.#watch(next);
    try {
      if (!this.#isInPlaceOf(sessionId)) throw unknownSession();
      await this.#prove(session, signal);
      this.#stop.signal.throwIfAborted();
      if (!this.#isInPlaceOf(sessionId)) throw unknownSession();
    } catch (error) {
      this.#close(session, 0, { isReleased: false });
      throw error;
    }
    this.#take(session, "rotated", drainMs);
  }

  /** Gets another session and puts it in the place of the present one, whose streams may go on until they end or expire. */
  async replace(reason: "expiring" | "moved" | "asked", signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const old = this.#present;
    if (!old) return void await this.#session(signal);
    const next = await this.#ask(reason === "asked" ? old.session.exitPeerId : undefined);
    try {
      using limit = deadline(clock, REPLACE_PROBE_MS, "probe the exit", signal);
      await this.#prove(next, limit.signal);
      this.#stop.signal.throwIfAborted();
      if (this.#present && this.#present !== old) throw unknownSession();
    } catch (error) {
      this.#close(next, 0, { isReleased: true });
      if (!this.#present || this.#present === old) throw error;
      return; // something else has taken its place meanwhile
    }
    this.#take(next, reason, Math.max(0, Math.min(DRAIN_MS, old.expiresAtMs - clock.wallNow())));
  }

  /** Something has happened, such as a sleep of the machine, that the present session may not have survived: it is probed. */
  suspect(): void {
    this.#present?.suspect();
  }

  /** The session is over; what is open on it ends. */
  drop(sessionId: string): void {
    for (const session of this.#sessions) {
      if (session.session.sessionId !== sessionId) continue;
      if (this.#present === session) this.#lose();
      this.#close(session, 0, { isReleased: false });
    }
  }

  close(): void {
    this.#stop.abort(new DialError("path_down", "Cannot dial: the path is closed"));
    this.#renewal[Symbol.dispose]();
    this.#present = undefined;
    for (const session of this.#sessions) this.#close(session, 0, { isReleased: true });
  }

  /** Settles when nothing of it is left. Call `close` first. */
  async closed(): Promise<void> {
    await this.#acquiring?.catch(() => {});
    await Promise.all([...this.#sessions].map((session) => session.closed()));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #run<T extends { close(): void }>(
    open: (path: SessionWay, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { supernode, clock } = this.#options;
    let giveUpAtMs: number | undefined;
    for (let attempt = 1;;) {
      const session = await this.#session(signal);
      const { losses } = supernode;
      try {
        return await session.attempt(open, signal);
      } catch (error) {
        signal?.throwIfAborted();
        const failure = dialFailureOf(error);
        if (failure === "timeout") session.suspect();
        if ((failure !== "path_down" && failure !== "unauthorized") || this.#stop.signal.aborted) throw error;
        if (!supernode.isUp || supernode.losses !== losses) {
          giveUpAtMs ??= clock.now() + WAIT_MS;
          await this.#reach(giveUpAtMs, signal, error);
        } else {
          session.fail();
          if (attempt++ === MAX_ATTEMPTS) throw error;
        }
      }
    }
  }

  /** Settles when a byte has come back through it; what the way to the supernode was lost for is tried again. */
  async #prove(session: WatchedSession, signal: AbortSignal): Promise<void> {
    const { supernode, clock } = this.#options;
    const giveUpAtMs = clock.now() + WAIT_MS;
    for (;;) {
      const { losses } = supernode;
      try {
        return await session.probe(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (supernode.isUp && supernode.losses === losses) throw error;
        await this.#reach(giveUpAtMs, signal, error);
      }
    }
  }

  /** Waits until the supernode can be reached again; throws `error` when that takes too long. */
  async #reach(giveUpAtMs: number, signal: AbortSignal | undefined, error: unknown): Promise<void> {
    const { supernode, clock } = this.#options;
    const leftMs = giveUpAtMs - clock.now();
    if (leftMs <= 0) throw error;
    // The wait itself is to end with the dial: while the supernode is away there may be many.
    const ends = signal ? AbortSignal.any([this.#stop.signal, signal]) : this.#stop.signal;
    using limit = deadline(clock, leftMs, "reach the supernode", ends);
    try {
      await supernode.up(limit.signal);
    } catch {
      signal?.throwIfAborted();
      throw error;
    }
  }

  async #session(signal: AbortSignal | undefined): Promise<WatchedSession> {
    this.#stop.signal.throwIfAborted();
    if (this.#present) return this.#present;
    this.#acquiring ??= this.#acquire().finally(() => this.#acquiring = undefined);
    this.#acquiring.catch(() => {});
    return await orAborted(this.#acquiring, signal);
  }

  async #acquire(): Promise<WatchedSession> {
    const { clock } = this.#options;
    for (;;) {
      const waitMs = this.#acquiredAtMs + ACQUIRE_GAP_MS - clock.now();
      if (waitMs > 0) await delay(clock, waitMs, this.#stop.signal);
      // A rotation may have come first.
      if (this.#present) return this.#present;
      this.#acquiredAtMs = clock.now();
      try {
        const session = await this.#askProved();
        const present = this.#present as WatchedSession | undefined;
        if (!present) return this.#take(session, "failed", 0);
        this.#close(session, 0, { isReleased: true });
        return present;
      } catch (error) {
        const isLeft = clock.now() < this.#lostAtMs + LOST_GRACE_MS && !this.#stop.signal.aborted;
        if (!isLeft || !WORTH_WAITING.includes(dialFailureOf(error))) throw asDialled(error);
      }
    }
  }

  async #askProved(): Promise<WatchedSession> {
    const { proveWithinMs, clock } = this.#options;
    const session = await this.#ask();
    if (proveWithinMs === undefined) return session;
    try {
      using limit = deadline(clock, proveWithinMs, "probe the exit", this.#stop.signal);
      await this.#prove(session, limit.signal);
      return session;
    } catch (error) {
      // Found out here or by its own probes: in either case it is asked for elsewhere the next time.
      session.fail();
      throw new DialError("path_down", messageOf(error), { cause: error });
    }
  }

  #lose(): void {
    this.#lostAtMs = this.#options.clock.now();
    this.#present = undefined;
    this.#renewal.follow(undefined);
    this.#options.onLose?.();
  }

  /**
   * A new session, not at `leaving`. Should there be none but at exits that have failed, one of those is better than
   * nothing, and one that failed long ago better than the last.
   */
  async #ask(leaving?: string): Promise<WatchedSession> {
    const failed = this.#failedExits.list();
    try {
      const left = leaving === undefined || failed.includes(leaving) ? [] : [leaving];
      const session = await this.#options.acquire([...failed, ...left], this.#stop.signal);
      if (this.#stop.signal.aborted) {
        session.path.close();
        this.#options.release(session.sessionId);
        throw this.#stop.signal.reason;
      }
      this.#metrics.acquired.add(1, { outcome: "ok" });
      return this.#watch(session);
    } catch (error) {
      this.#metrics.acquired.add(1, { outcome: dialFailureOf(error) });
      if (dialFailureOf(error) !== "host_unreachable" || !this.#failedExits.forgive()) throw error;
      return await this.#ask(leaving);
    }
  }

  #watch(session: OpenSession): WatchedSession {
    const watched = new WatchedSession(session, this.#options, (failed) => this.#failed(failed));
    this.#sessions.add(watched);
    this.#metrics.open.set(this.#sessions.size);
    return watched;
  }

  #failed(session: WatchedSession): void {
    const { log } = this.#options;
    const { sessionId, exitPeerId } = session.session;
    this.#failedExits.add(exitPeerId);
    log.warn("An exit has failed", { session_id: sessionId, exit: exitPeerId });
    const wasPresent = this.#present === session;
    this.#close(session, wasPresent ? DRAIN_MS : 0, { isReleased: true });
    if (!wasPresent) return;
    this.#failedId = sessionId;
    this.#lose();
    this.#metrics.switches.add(1, { reason: "failed" });
    this.#session(undefined).catch((error) => log.warn("There is no exit", { error: messageOf(error) }));
  }

  /** Makes it the one that new streams go through. */
  #take(session: WatchedSession, reason: SwitchReason, drainMs: number): WatchedSession {
    const { log } = this.#options;
    const { sessionId, exitPeerId } = session.session;
    const old = this.#present;
    this.#present = session;
    this.#options.onTake?.(session.session); // before the old one goes
    if (old) {
      this.#metrics.switches.add(1, { reason });
      this.#close(old, drainMs, { isReleased: true });
    }
    log.info("Streams leave through an exit", { session_id: sessionId, exit: exitPeerId });
    this.#renewal.follow(session);
    return session;
  }

  #close(session: WatchedSession, drainMs: number, { isReleased }: { readonly isReleased: boolean }): void {
    session.retire(drainMs);
    session.closed().then(() => {
      if (!this.#sessions.delete(session)) return;
      this.#metrics.open.set(this.#sessions.size);
      if (isReleased) this.#options.release(session.session.sessionId);
    });
  }

  #isInPlaceOf(sessionId: string): boolean {
    return this.#present ? this.#present.session.sessionId === sessionId : this.#failedId === sessionId;
  }
}

/** To a dial, that no exit was found is no word about its target. */
function asDialled(error: unknown): unknown {
  if (dialFailureOf(error) !== "host_unreachable") return error;
  return new DialError("path_down", messageOf(error), { cause: error, isForAll: true });
}

function unknownSession(): CulvertError {
  return new CulvertError("unknown_session", "The session is not the one in use");
}
