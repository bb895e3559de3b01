/**
 * The round trip as KCP reckons it, in whole milliseconds, and the time after which a segment counts as lost. As RFC 6298
 * has it, but for this: a round trip far below the others hardly counts as variation.
 */

export const FIRST_RTO_MS = 200;
export const MAX_RTO_MS = 60_000;
const MIN_RTO_MS = 100;
const MIN_RTO_NO_DELAY_MS = 30;
const MIN_INTERVAL_MS = 10;
const MAX_INTERVAL_MS = 5000;
/** Who looks for more room makes round trips longer by it, in the time of one: that is no loss. */
const PACED_SPARE_MS = 50;

export interface RoundTripOptions {
  readonly noDelay: boolean;
  readonly intervalMs: number;
  readonly minRtoMs?: number;
  /** A congestion scheme paces what is sent: timeouts are half a round trip longer. */
  readonly isPaced?: boolean;
}

export class RoundTrip {
  /** 0 until measured. */
  srttMs = 0;
  rtoMs = FIRST_RTO_MS;
  readonly intervalMs: number;
  readonly #minRtoMs: number;
  readonly #isPaced: boolean;
  #variationMs = 0;

  constructor(options: RoundTripOptions) {
    this.#minRtoMs = options.minRtoMs ?? (options.noDelay ? MIN_RTO_NO_DELAY_MS : MIN_RTO_MS);
    this.#isPaced = options.isPaced ?? false;
    this.intervalMs = Math.max(MIN_INTERVAL_MS, Math.min(options.intervalMs, MAX_INTERVAL_MS));
  }

  add(rttMs: number): void {
    if (this.srttMs === 0) {
      this.srttMs = rttMs;
      this.#variationMs = rttMs >> 1;
    } else {
      const difference = rttMs - this.srttMs;
      this.srttMs += difference >> 3;
      const isFarBelow = rttMs < this.srttMs - this.#variationMs;
      this.#variationMs += (Math.abs(difference) - this.#variationMs) >> (isFarBelow ? 5 : 2);
    }
    const pacedMs = this.#isPaced ? Math.max(PACED_SPARE_MS, this.srttMs >> 1) : 0;
    const rtoMs = this.srttMs + Math.max(this.intervalMs, this.#variationMs * 4, pacedMs);
    this.rtoMs = Math.min(Math.max(this.#minRtoMs, rtoMs), MAX_RTO_MS);
  }
}
