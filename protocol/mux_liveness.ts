/**
 * Whether the other end of an mux session lives, and how far away it is. Between two ends of ours a PING goes out at every
 * interval and its PONG measures the round trip; towards others, and while a PONG is awaited, a NOP shows that we live.
 */

/** The shortest round trip is taken over at least this long, at most twice as long. */
const RTT_EPOCH_MS = 30_000;

export class MuxLiveness {
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  readonly #pings: boolean;
  #heardMs: number;
  #shownMs: number;
  #token = 0;
  /** When the ping that has no answer yet was sent. */
  #pingSentMs: number | undefined;
  #rttMs = 0;
  #measurements = 0;
  #epochMs: number;
  #minNow = Infinity;
  #minBefore = Infinity;

  constructor(options: { intervalMs: number; timeoutMs: number; pings: boolean }, nowMs: number) {
    this.#intervalMs = options.intervalMs;
    this.#timeoutMs = options.timeoutMs;
    this.#pings = options.pings;
    this.#heardMs = this.#epochMs = nowMs;
    // The first ping is due at once: the round trip should be known before it matters.
    this.#shownMs = options.pings ? -Infinity : nowMs;
  }

  /** The round trip, smoothed. */
  get rttMs(): number | undefined {
    return this.#measurements === 0 ? undefined : this.#rttMs;
  }

  /** The shortest round trip of the last minute: the path without its queues. */
  get minRttMs(): number | undefined {
    const shortest = Math.min(this.#minNow, this.#minBefore);
    return shortest === Infinity ? undefined : shortest;
  }

  /** Bytes have come. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  /** Bytes have gone; towards others that is sign of life enough. */
  sent(nowMs: number): void {
    if (!this.#pings) this.#shownMs = nowMs;
  }

  isSilent(nowMs: number): boolean {
    return nowMs - this.#heardMs >= this.#timeoutMs;
  }

  isDue(nowMs: number): boolean {
    return nowMs - this.#shownMs >= this.#intervalMs;
  }

  /** Takes the sign of life that is due: a PING's token, or undefined for a NOP. */
  show(nowMs: number): number | undefined {
    this.#shownMs = nowMs;
    if (!this.#pings || this.#pingSentMs !== undefined) return undefined;
    this.#pingSentMs = nowMs;
    this.#token = (this.#token + 1) >>> 0;
    return this.#token;
  }

  answered(token: number, nowMs: number): void {
    if (this.#pingSentMs === undefined || token !== this.#token) return;
    const rttMs = nowMs - this.#pingSentMs;
    this.#pingSentMs = undefined;
    // The first few weigh alike: the very first is taken while both ends are still warming up.
    this.#measurements++;
    this.#rttMs += (rttMs - this.#rttMs) / Math.min(this.#measurements, 8);
    if (nowMs - this.#epochMs >= RTT_EPOCH_MS) {
      this.#minBefore = this.#minNow;
      this.#minNow = Infinity;
      this.#epochMs = nowMs;
    }
    this.#minNow = Math.min(this.#minNow, rttMs);
  }
}
