/**
 * How a process comes to its end.
 *
 *   running ──SIGINT/SIGTERM──▶ draining ──drainTimeout──▶ cutting ──grace──▶ given up (1)
 *                                  └──────second signal──────┴──▶ given up at once (130)
 *
 * Draining aborts `signal`: take no new work, finish what is under way. Cutting aborts `hardSignal`: end everything.
 * So does the second signal, of which nothing but what listens to it is waited for. An error that nothing caught goes to cutting at once. `givenUp` settles only if the role does not end by itself.
 */

import type { Timer } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Host } from "./host.ts";

/** How long a role may take to end once everything has been cut: time to take routes and rules away again. */
const GRACE_MS = 3000;
/**
 * Signals so close together are one wish: at Ctrl-C the terminal sends one to every program in the foreground, and a
 * launcher such as `deno task` passes on its own.
 */
const ONE_WISH_MS = 500;
/** 128 + SIGINT, as shells report it. */
const EXIT_INTERRUPTED = 130;

export interface StoppingOptions {
  readonly host: Host;
  readonly log: Log;
  readonly drainTimeoutMs: number;
  /** Tells people about an error that nothing caught. */
  readonly report: (error: unknown) => void;
}

export class Stopping implements Disposable {
  readonly #options: StoppingOptions;
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  readonly #givenUp = Promise.withResolvers<number>();
  readonly #listeners: Disposable[];
  #timer: Timer | undefined;
  #failed = false;
  #askedAtMs = -Infinity;

  constructor(options: StoppingOptions) {
    this.#options = options;
    this.#listeners = [
      options.host.onStopSignal(() => this.#onSignal()),
      options.host.onUncaught((error) => this.#onUncaught(error)),
    ];
  }

  get signal(): AbortSignal {
    return this.#soft.signal;
  }

  get hardSignal(): AbortSignal {
    return this.#hard.signal;
  }

  /** Whether an error that nothing caught ended the work. */
  get failed(): boolean {
    return this.#failed;
  }

  /** The exit code with which to leave without waiting for the role any longer. */
  get givenUp(): Promise<number> {
    return this.#givenUp.promise;
  }

  /** Of a role that has nothing more to do; nothing is cut. */
  end(): void {
    this.#soft.abort(new CulvertError("stopped", "There is nothing more to do"));
  }

  #onSignal(): void {
    const { host, log, drainTimeoutMs } = this.#options;
    const nowMs = host.clock.now();
    if (nowMs - this.#askedAtMs < ONE_WISH_MS) return;
    if (this.#soft.signal.aborted) return this.#onSecondSignal();
    this.#askedAtMs = nowMs;
    log.info("Stopping; a second signal stops at once", { drain_timeout_ms: drainTimeoutMs });
    this.#soft.abort(new CulvertError("stopped", "The process was asked to stop"));
    this.#timer = host.clock.after(drainTimeoutMs, () => {
      log.warn("Cutting what has not ended by itself");
      this.#cut();
    });
  }

  /** What must not outlive the process is told first: whoever listens does its part before this returns. */
  #onSecondSignal(): void {
    this.#givenUp.resolve(EXIT_INTERRUPTED);
    this.#hard.abort(new CulvertError("stopped", "The process ends now"));
  }

  #onUncaught(error: unknown): void {
    this.#failed = true;
    this.#options.report(error);
    if (!this.#hard.signal.aborted) this.#cut();
  }

  #cut(): void {
    this.#timer?.cancel();
    const reason = new CulvertError("stopped", "The process ends now");
    this.#soft.abort(reason);
    this.#hard.abort(reason);
    this.#timer = this.#options.host.clock.after(GRACE_MS, () => this.#givenUp.resolve(1));
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    for (const listener of this.#listeners) listener[Symbol.dispose]();
  }
}
