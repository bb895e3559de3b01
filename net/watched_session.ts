/**
 * A client's session with what is known of its health: probes through it, all the way out and back, decide, not whether
 * somebody says that the exit is there. Dials under way when it is found to have failed are given up, so that they can be
 * made elsewhere.
 */

import { type Clock, deadline, type Timer } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";
import { Health } from "../protocol/health.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { Random } from "../protocol/random.ts";
import type { Datagrams, DialOptions, Path } from "../protocol/stream.ts";
import { abortable } from "./abortable.ts";
import { httpProbe, type Probe } from "./probe.ts";

/** The way through a session; `TunnelPath` is one. */
export interface SessionWay extends Path {
  datagrams(options?: DialOptions): Promise<Datagrams>;
  /** Streams that are open. */
  readonly streamCount: number;
  /** Settles when it can be tried, where that takes anything; rejects when it cannot be made. */
  readonly opened?: Promise<void>;
  /** Settles when nothing of it is left, after `close`. */
  closed(): Promise<void>;
}

/** A session that has been granted, and the way through it. */
export interface OpenSession {
  readonly sessionId: string;
  readonly exitPeerId: string;
  /** Where the exit is, if that is known. */
  readonly region?: string;
  /** By the wall clock. */
  readonly expiresAtMs: number;
  readonly path: SessionWay;
}

export interface WatchOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Default: a byte of `hello.culvert`, which the exit answers. */
  readonly probe?: Probe;
  /** Default 5 s. */
  readonly probeEveryMs?: number;
  /** A probe that takes longer has failed. Default 3 s. */
  readonly probeTimeoutMs?: number;
  /** Probes in a row that have to fail. Default 2. */
  readonly failuresToDown?: number;
  readonly supernode: SupernodeWay;
  readonly metrics: Metrics;
}

/** The way to the supernode, which all sessions share: what fails while it is down says nothing about an exit. */
export interface SupernodeWay {
  /** Whether streams can be opened on it. */
  readonly isUp: boolean;
  /** How often it has been lost until now. */
  readonly losses: number;
  /** Settles when it is up. */
  up(signal: AbortSignal): Promise<void>;
}

/** What a client knows of the way through its exit. */
export interface DataPath {
  readonly ok: boolean;
  /** Of probes, smoothed. */
  readonly latencyMs?: number;
  /** Probes in a row that did not come back. */
  readonly failures: number;
}

const FAILURES_TO_DOWN = 2;
const RETRY_MS = 500;
const RETIRE_LOOK_MS = 250;
const LATENCY_BUCKETS_S = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export class WatchedSession {
  readonly session: OpenSession;
  /** By the wall clock; put off when it is renewed. */
  expiresAtMs: number;
  readonly #options: WatchOptions;
  readonly #probe: Probe;
  readonly #health: Health;
  readonly #onFailed: (session: WatchedSession) => void;
  readonly #dials = new Set<AbortController>();
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #probing = false;
  #state: "live" | "failed" | "retired" = "live";
  readonly #metrics;

  /** `onFailed` is called once, should it fail while it is live. */
  constructor(session: OpenSession, options: WatchOptions, onFailed: (session: WatchedSession) => void) {
    const { clock, random, metrics, probeEveryMs = 5_000, probe = httpProbe() } = options;
    const { failuresToDown = FAILURES_TO_DOWN } = options;
    this.session = session;
    this.expiresAtMs = session.expiresAtMs;
    this.#options = options;
    this.#probe = probe;
    this.#onFailed = onFailed;
    this.#health = new Health(clock.now(), random, {
      failuresToDown,
      probeEveryMs,
      retryBaseMs: RETRY_MS,
    });
    this.#metrics = {
      probes: metrics.counter("client_probes_total", "Probes through the exit, by outcome", ["outcome"]),
      latency: metrics.histogram(
        "client_probe_latency_seconds",
        "How long probes took that came back",
        LATENCY_BUCKETS_S,
      ),
    };
    this.#schedule();
  }

  /** What its probes have found. */
  get dataPath(): DataPath {
    const { failures, latencyMs } = this.#health;
    return { ok: failures === 0, failures, ...(latencyMs !== undefined && { latencyMs }) };
  }

  /** Settles when a byte has come back through it; rejects also when it has failed meanwhile. */
  async probe(signal: AbortSignal): Promise<void> {
    await this.#probe(this.session.path, signal);
    if (this.#state !== "live") throw new DialError("path_down", "The exit has failed");
  }

  /** Opens something through it; gives up at the abort of `parent`, or with `path_down` when the session fails meanwhile. */
  async attempt<T extends { close(): void }>(
    open: (path: SessionWay, signal: AbortSignal) => Promise<T>,
    parent: AbortSignal | undefined,
  ): Promise<T> {
    parent?.throwIfAborted();
    const dial = new AbortController();
    const onAbort = () => dial.abort(parent!.reason);
    parent?.addEventListener("abort", onAbort, { once: true });
    this.#dials.add(dial);
    try {
      return await abortable(() => open(this.session.path, dial.signal), dial.signal);
    } finally {
      this.#dials.delete(dial);
      parent?.removeEventListener("abort", onAbort);
    }
  }

  /** It may be in trouble: a probe should tell, soon. */
  suspect(): void {
    this.#health.suspect(this.#options.clock.now());
    this.#schedule();
  }

  /** It has failed: what is being dialled through it is given up. */
  fail(): void {
    if (this.#state !== "live") return;
    this.#state = "failed";
    this.#timer?.cancel();
    for (const dial of this.#dials) dial.abort(new DialError("path_down", "The exit has failed"));
    this.#onFailed(this);
  }

  /** No more probes; what is open may go on until the last of it has ended, or for so long. */
  retire(withinMs: number): void {
    this.#state = "retired";
    const { clock } = this.#options;
    const closeAtMs = clock.now() + withinMs;
    const look = () => {
      this.#timer?.cancel();
      const { streamCount } = this.session.path;
      if (streamCount + this.#dials.size === 0 || clock.now() >= closeAtMs) return this.close();
      this.#timer = clock.after(RETIRE_LOOK_MS, look);
    };
    look();
  }

  close(): void {
    this.#state = "retired";
    this.#timer?.cancel();
    this.#stop.abort(new DialError("path_down", "The session is closed"));
    this.session.path.close();
  }

  /** Settles when nothing of it is left. Call `close` or `retire` first. */
  async closed(): Promise<void> {
    await this.session.path.closed();
  }

  #schedule(): void {
    if (this.#state !== "live" || this.#probing) return;
    this.#scheduleIn(Math.max(0, this.#health.nextProbeAtMs - this.#options.clock.now()));
  }

  #scheduleIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => void this.#runProbe());
  }

  async #runProbe(): Promise<void> {
    const { clock, probeTimeoutMs = 3_000, supernode } = this.#options;
    this.#probing = true;
    const startMs = clock.now();
    const { losses } = supernode;
    using limit = deadline(clock, probeTimeoutMs, "probe the exit", this.#stop.signal);
    let ok = true;
    try {
      await this.probe(limit.signal);
    } catch {
      ok = false;
    }
    this.#probing = false;
    if (this.#state !== "live") return;
    const nowMs = clock.now();
    const isOnlyTheWay = !ok && (!supernode.isUp || supernode.losses !== losses);
    this.#metrics.probes.add(1, { outcome: ok ? "ok" : isOnlyTheWay ? "no_link" : "failed" });
    if (ok) {
      this.#metrics.latency.observe((nowMs - startMs) / 1000);
      this.#health.probeSucceeded(nowMs, nowMs - startMs);
    } else if (isOnlyTheWay) return this.#scheduleIn(RETRY_MS);
    else if (this.#health.probeFailed(nowMs)) return this.fail();
    this.#schedule();
  }
}
