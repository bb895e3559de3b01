/**
 * Whether one way out of several is fit to use, judged from what was seen: probes of its data path and real dials.
 *
 *   up ── failuresToDown failures in a row ──→ down
 *   up ←── successesToUp successes in a row ── down
 *
 * A success ends a row of failures and a failure a row of successes, so a single odd one changes nothing.
 * One that came back is up at once but `settled` only after `settleMs`, so that a preferred way that comes and goes
 * does not drag traffic with it each time. A machine without time or timers of its own: every event carries the time,
 * and `nextProbeAtMs` says when the owner should probe next. It starts up, since nothing speaks against it yet.
 *
 * Not here: what counts as a failure (`net/monitor.ts`).
 */

import { Backoff } from "./backoff.ts";
import { CulvertError } from "./errors.ts";
import type { Random } from "./random.ts";

export interface HealthOptions {
  /** Failures in a row that take it down. Default 2. */
  readonly failuresToDown?: number;
  /** Successes in a row that bring it back. Default 2. */
  readonly successesToUp?: number;
  /** How long it must stay up after a fall before it is preferred again. Default 30 s. */
  readonly settleMs?: number;
  /** Between probes while up, give or take a quarter. Default 10 s. */
  readonly probeEveryMs?: number;
  /** The ceiling of the first wait between probes while down; it doubles from there. Default 1 s. */
  readonly retryBaseMs?: number;
  /** The ceiling of any wait between probes while down. Default 30 s. */
  readonly retryMaxMs?: number;
  /** The share of a new latency in the smoothed one, above 0 and at most 1. Default 0.3. */
  readonly latencyWeight?: number;
}

/** Full jitter may draw a wait of nothing, and a storm of failed dials asks for a probe each: no closer than this. */
const MIN_PROBE_GAP_MS = 250;

export class Health {
  readonly #random: Random;
  readonly #options: Required<HealthOptions>;
  readonly #backoff: Backoff;
  #up = true;
  #failures = 0;
  #successes = 0;
  #upSinceMs = -Infinity;
  #latencyMs: number | undefined;
  #lastProbeAtMs = -Infinity;
  #nextProbeAtMs: number;

  constructor(nowMs: number, random: Random, options: HealthOptions = {}) {
    this.#random = random;
    this.#options = {
      failuresToDown: atLeast(1, "failuresToDown", options.failuresToDown ?? 2),
      successesToUp: atLeast(1, "successesToUp", options.successesToUp ?? 2),
      settleMs: atLeast(0, "settleMs", options.settleMs ?? 30_000),
      probeEveryMs: atLeast(1, "probeEveryMs", options.probeEveryMs ?? 10_000),
      retryBaseMs: atLeast(1, "retryBaseMs", options.retryBaseMs ?? 1_000),
      retryMaxMs: atLeast(1, "retryMaxMs", options.retryMaxMs ?? 30_000),
      latencyWeight: options.latencyWeight ?? 0.3,
    };
    const { retryBaseMs, retryMaxMs, latencyWeight } = this.#options;
    if (!(latencyWeight > 0 && latencyWeight <= 1)) {
      throw invalid("latencyWeight", "above 0 and at most 1", latencyWeight);
    }
    this.#backoff = new Backoff(random, { baseMs: retryBaseMs, maxMs: retryMaxMs });
    this.#nextProbeAtMs = nowMs + random.next() * retryBaseMs;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Probes' latency, smoothed; undefined until one has succeeded. A dial's would say more of its target. */
  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  /** Failures in a row up to now. */
  get failures(): number {
    return this.#failures;
  }

  get nextProbeAtMs(): number {
    return this.#nextProbeAtMs;
  }

  /** Up, and for long enough that it may be preferred to another. One that never fell is settled from the start. */
  isSettled(nowMs: number): boolean {
    return this.#up && nowMs - this.#upSinceMs >= this.#options.settleMs;
  }

  /** A probe came back after `latencyMs`. True if that brought it up. */
  probeSucceeded(nowMs: number, latencyMs: number): boolean {
    const { latencyWeight, probeEveryMs, retryBaseMs } = this.#options;
    this.#lastProbeAtMs = nowMs;
    this.#latencyMs = this.#latencyMs === undefined
      ? latencyMs
      : this.#latencyMs + latencyWeight * (latencyMs - this.#latencyMs);
    const changed = this.#succeeded(nowMs);
    this.#backoff.reset();
    // While recovering the next one follows soon: it is what stands between the member and its return.
    this.#nextProbeAtMs = nowMs + (this.#up ? probeEveryMs * (0.75 + this.#random.next() / 2) : retryBaseMs);
    return changed;
  }

  /** A probe failed. True if that took it down. */
  probeFailed(nowMs: number): boolean {
    this.#lastProbeAtMs = nowMs;
    const changed = this.#failed();
    this.#nextProbeAtMs = nowMs + Math.max(MIN_PROBE_GAP_MS, this.#backoff.nextMs());
    return changed;
  }

  /** A real dial went through. True if that brought it up. */
  dialSucceeded(nowMs: number): boolean {
    return this.#succeeded(nowMs);
  }

  /** A real dial failed by its fault. True if that took it down. */
  dialFailed(nowMs: number): boolean {
    const wasUp = this.#up;
    const changed = this.#failed();
    if (wasUp) this.suspect(nowMs);
    return changed;
  }

  /** Something failed that may or may not be its fault: a probe should tell, soon. */
  suspect(nowMs: number): void {
    const soonMs = Math.max(nowMs, this.#lastProbeAtMs + MIN_PROBE_GAP_MS);
    if (this.#up) this.#nextProbeAtMs = Math.min(this.#nextProbeAtMs, soonMs);
  }

  #succeeded(nowMs: number): boolean {
    this.#failures = 0;
    if (this.#up || ++this.#successes < this.#options.successesToUp) return false;
    this.#up = true;
    this.#upSinceMs = nowMs;
    return true;
  }

  #failed(): boolean {
    this.#failures++;
    this.#successes = 0;
    if (!this.#up || this.#failures < this.#options.failuresToDown) return false;
    this.#up = false;
    return true;
  }
}

function atLeast(least: number, name: string, value: number): number {
  if (!(value >= least && value < Infinity)) throw invalid(name, `a number from ${least}`, value);
  return value;
}

function invalid(name: string, rule: string, value: number): CulvertError {
  return new CulvertError("invalid_option", `Cannot watch health: ${name} must be ${rule}, got ${value}`);
}
