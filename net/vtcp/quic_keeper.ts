/**
 * Keeps one QUIC connection up: connects, waits for its end, waits a while, connects again. Whoever needs it and finds it
 * down waits for the attempt under way, or has the next one begin at once.
 */

import { orAborted } from "../../protocol/abort.ts";
import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";

export interface QuicKeeperOptions {
  /** Makes a connection; gives up when the signal is aborted. */
  connect(signal: AbortSignal): Promise<Deno.QuicConn>;
  /** What it leads to, for logs and errors. */
  readonly farEnd: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** For all of `connect`. Default 8 s. */
  readonly connectTimeoutMs?: number;
}

/** A connection that lived so long shows that the far end is well: the next failure starts from a short wait again. */
const STEADY_MS = 10_000;
const RETRY = { baseMs: 250, maxMs: 10_000 };
/** However many dials ask for it, no attempt begins so soon after the last. */
const RETRY_FLOOR_MS = 200;

export class QuicKeeper {
  readonly #options: QuicKeeperOptions;
  readonly #stop = new AbortController();
  readonly #metrics;
  #attempt = Promise.withResolvers<Deno.QuicConn>();
  /** Set while it waits for the next attempt. */
  #hurry: AbortController | undefined;
  /** The connection that is up. */
  connection: Deno.QuicConn | undefined;
  readonly done: Promise<void>;

  constructor(options: QuicKeeperOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#metrics = {
      up: metrics.gauge("vtcp_connections_active", "QUIC connections up to servers of vtcp"),
      attempts: metrics.counter("vtcp_connects_total", "Attempts to connect by vtcp, by outcome", ["outcome"]),
      seconds: metrics.histogram("vtcp_connect_seconds", "How long connecting by vtcp took", [0.1, 0.3, 1, 3, 10]),
    };
    this.done = this.#keep();
  }

  /** The connection, when it is up. Rejects with a DialError that says why it is not, or with the signal's reason. */
  async wait(signal?: AbortSignal): Promise<Deno.QuicConn> {
    if (this.#stop.signal.aborted) throw closed();
    if (this.connection) return this.connection;
    this.#hurry?.abort();
    return await orAborted(this.#attempt.promise, signal);
  }

  close(): void {
    this.#stop.abort(closed());
    this.connection?.close();
  }

  async #keep(): Promise<void> {
    const { clock, random, log, farEnd } = this.#options;
    const backoff = new Backoff(random, RETRY);
    while (!this.#stop.signal.aborted) {
      const beganMs = clock.now();
      try {
        const connection = await this.#connect();
        this.#metrics.attempts.add(1, { outcome: "up" });
        this.#metrics.seconds.observe((clock.now() - beganMs) / 1000);
        log.debug("A QUIC connection is up", { server: farEnd });
        const reason = await this.#hold(connection);
        if (this.#stop.signal.aborted) break;
        if (clock.now() - beganMs >= STEADY_MS) backoff.reset();
        log.warn("A QUIC connection was lost", { server: farEnd, reason });
      } catch (error) {
        if (this.#stop.signal.aborted) break;
        this.#metrics.attempts.add(1, { outcome: dialFailureOf(error) });
        log.warn("Cannot reach the server", { server: farEnd, error: messageOf(error) });
        const told = error instanceof DialError
          ? error
          : new DialError("path_down", messageOf(error), { cause: error });
        this.#renewAttempt().reject(told);
      }
      await this.#pause(backoff.nextMs());
    }
    this.#attempt.reject(closed());
  }

  async #connect(): Promise<Deno.QuicConn> {
    this.#attempt.promise.catch(() => {}); // whoever waits hears of it
    const { clock, farEnd, connectTimeoutMs = 8000 } = this.#options;
    using limit = deadline(clock, connectTimeoutMs, `reach ${farEnd}`, this.#stop.signal);
    return await this.#options.connect(limit.signal);
  }

  /** Until it ends; gives why. */
  async #hold(connection: Deno.QuicConn): Promise<string> {
    if (this.#stop.signal.aborted) connection.close();
    this.connection = connection;
    this.#metrics.up.add(1);
    this.#renewAttempt().resolve(connection);
    try {
      const { reason } = await connection.closed;
      return reason || "closed";
    } catch (error) {
      return messageOf(error);
    } finally {
      this.connection = undefined;
      this.#metrics.up.add(-1);
    }
  }

  /** From now on whoever waits waits for the next one. */
  #renewAttempt(): PromiseWithResolvers<Deno.QuicConn> {
    const attempt = this.#attempt;
    this.#attempt = Promise.withResolvers();
    this.#attempt.promise.catch(() => {});
    return attempt;
  }

  async #pause(delayMs: number): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    await delay(clock, Math.min(delayMs, RETRY_FLOOR_MS), signal).catch(() => {});
    const hurry = this.#hurry = new AbortController();
    const rest = AbortSignal.any([hurry.signal, signal]);
    if (delayMs > RETRY_FLOOR_MS) await delay(clock, delayMs - RETRY_FLOOR_MS, rest).catch(() => {});
    this.#hurry = undefined;
  }
}

function closed(): DialError {
  return new DialError("path_down", "Cannot dial: the tunnel is closed");
}
