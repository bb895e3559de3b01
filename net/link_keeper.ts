/**
 * Keeps one link up: connects, waits for its end, waits a while, connects again. Whoever needs the link and finds it down
 * waits for the attempt under way, or brings the next one forward.
 */

import { Backoff, type BackoffOptions } from "../protocol/backoff.ts";
import { type Clock, deadline, delay, type Timer } from "../protocol/clock.ts";
import { DialError, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import type { Random } from "../protocol/random.ts";
import type { Link } from "./link.ts";
import { MuxConnection, type MuxStream } from "./mux.ts";

export interface LinkKeeperOptions {
  /** Makes a link, not yet started; gives up and leaves nothing behind when the signal is aborted. */
  connect(signal: AbortSignal): Promise<Link>;
  /** What the link leads to, for logs and errors. */
  readonly farEnd: string;
  /** What kind of thing that is. Default: "tunnel server". */
  readonly farKind?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Is given the streams that the far end opens. Without it they are closed at once. */
  onStream?(stream: MuxStream): void;
  /** A link is up. */
  onUp?(): void;
  /** A link that was up has ended. */
  onLost?(): void;
  /** Asked after a link has ended or an attempt failed: no attempt begins by itself within so long. */
  retryFloorMs?(): number;
  /** Between attempts that fail. */
  readonly backoff?: BackoffOptions;
  /** For all of `connect`. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Extensions are on unless it says otherwise: both ends are ours. */
  readonly mux?: Omit<MuxOptions, "role">;
}

/** A link that lived so long shows that the far end is well: the next failure starts from a short wait again. */
const STEADY_MS = 10_000;
/** However many dials ask for it, no attempt begins so soon after the last. */
const RETRY_FLOOR_MS = 250;

export class LinkKeeper {
  readonly #options: LinkKeeperOptions;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  /** The attempt under way or, between attempts, the last that failed. */
  #attempt: Promise<MuxConnection>;
  #attempting = true;
  #attemptEndedMs = 0;
  #skipWait: (() => void) | undefined;
  readonly done: Promise<void>;
  connection: MuxConnection | undefined;

  constructor(options: LinkKeeperOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random, options.backoff);
    this.#attempt = this.#begin();
    this.done = this.#keep();
  }

  /** The link that is being made. If the last attempt has failed a new one begins, though not at once after that. */
  attempt(): Promise<MuxConnection> {
    // A lost link is cleared away by `#keep` first, which has waited for its end longer than we do.
    if (this.connection?.closed) return this.connection.ended.then(() => this.attempt());
    if (!this.#attempting && !this.connection && this.#skipWait) {
      const sinceMs = this.#options.clock.now() - this.#attemptEndedMs;
      this.#attempt = this.#begin(RETRY_FLOOR_MS - sinceMs);
      this.#skipWait();
    }
    return this.#attempt;
  }

  close(): void {
    this.#stop.abort(new DialError("path_down", "The tunnel is closed"));
    this.connection?.close();
    this.#skipWait?.();
  }

  async #keep(): Promise<void> {
    const { clock, log, metrics, farEnd, farKind = "tunnel server" } = this.#options;
    const up = metrics.gauge("tunnel_client_links_active", "Links up to tunnel servers");
    const server = farEnd;
    while (!this.#stop.signal.aborted) {
      try {
        const connection = await this.#attempt;
        const startedMs = clock.now();
        up.add(1);
        this.#options.onUp?.();
        log.debug("A tunnel link is up", { server });
        await connection.ended;
        up.add(-1);
        this.connection = undefined;
        this.#options.onLost?.();
        this.#attempt = failed(new DialError("path_down", `The link to the ${farKind} was lost`));
        if (clock.now() - startedMs >= STEADY_MS) this.#backoff.reset();
        if (this.#stop.signal.aborted) return;
        log.warn(`A link to a ${farKind} was lost`, { server, reason: connection.failure ?? "closed" });
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.warn(`Cannot reach the ${farKind}`, { server, error: messageOf(error) });
      }
      const floorMs = this.#options.retryFloorMs?.() ?? 0;
      if (await this.#wait(Math.max(floorMs, this.#backoff.nextMs()))) this.#attempt = this.#begin();
    }
  }

  /** Waits; false when a dial has begun the next attempt already. */
  #wait(delayMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (waited: boolean) => {
        timer.cancel();
        this.#skipWait = undefined;
        resolve(waited && !this.#stop.signal.aborted);
      };
      const timer: Timer = this.#options.clock.after(delayMs, () => finish(true));
      this.#skipWait = () => finish(false);
    });
  }

  #begin(afterMs = 0): Promise<MuxConnection> {
    const { clock } = this.#options;
    this.#attempting = true;
    const begun = afterMs > 0 ? delay(clock, afterMs, this.#stop.signal).then(() => this.#connect()) : this.#connect();
    const attempt = begun.finally(() => {
      this.#attempting = false;
      this.#attemptEndedMs = clock.now();
    });
    return heard(attempt);
  }

  async #connect(): Promise<MuxConnection> {
    const { clock, connectTimeoutMs = 10_000, mux, farEnd } = this.#options;
    using limit = deadline(clock, connectTimeoutMs, `reach ${farEnd}`, this.#stop.signal);
    const link = await this.#options.connect(limit.signal);
    if (limit.signal.aborted) {
      link.close();
      throw limit.signal.reason;
    }
    const connection = new MuxConnection(link, clock, { extensions: true, ...mux, role: "client" });
    const { onStream } = this.#options;
    if (onStream) connection.onStream = onStream;
    connection.start();
    return this.connection = connection;
  }
}

/** The same promise; whoever waits for it hears of its failure, and if nobody does that is no fault. */
function heard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function failed(error: Error): Promise<never> {
  return heard(Promise.reject(error));
}
