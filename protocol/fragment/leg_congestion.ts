/**
 * How much one leg may have in flight: a window of about twice what it delivers in a round trip, after BBR
 * (draft-ietf-ccwg-bbr), without pacing, because under every leg lie TCP connections that pace.
 *
 *   starting   the window grows by what is delivered, until the rate no longer grows with it
 *   running    2 × the greatest rate of late × (the shortest round trip of late + an allowance)
 *   draining   every 10 s for a moment, when the round trip has not been as short as before: the queue runs empty, so that
 *              the shortest round trip is known again
 *
 * Loss alone means little on legs that relays may drop from: the window shrinks only when a fifth of a round is lost.
 */

import type { SentEntry } from "./sent_log.ts";

const FIRST_WINDOW_BYTES = 128 * 1024;
const MIN_WINDOW_BYTES = 96 * 1024;
const GAIN = 2;
/** Answers come in bunches: the other end holds them back, and both ends are busy with other things. */
const ALLOWANCE_MS = 6;
const STARTING_GROWTH = 1.25;
const STARTING_ROUNDS = 3;
const QUEUE_MS = 15;
const SHORTEST_KEPT_MS = 10_000;
const DRAIN_MS = 100;
const RATE_EPOCH_MS = 1000;
const HEAVY_LOSS = 0.2;
/** Of fewer, as many as that are lost by chance when the loss is light. */
const MIN_ROUND_FRAGMENTS = 32;
const MIN_LOSS_SCALE = 0.2;
/** Fragments over which loss is counted; when there are more, the older half counts half. */
const LOSS_MEMORY = 512;
const FIRST_RTO_MS = 300;
const MIN_RTO_MS = 80;
const MAX_RTO_MS = 2000;
/** As long as an ACK is held back, and a little. */
const ACK_ALLOWANCE_MS = 8;

/** What an answer says of a leg that is new. */
export interface LegAnswer {
  /** The fragment with the largest number of those that came. */
  readonly newest: SentEntry;
  readonly heldBackMs: number;
  /** How many fragments the answer covers that none did before, how many of them came, and their bytes. */
  readonly fragments: number;
  readonly received: number;
  readonly bytes: number;
}

export class LegCongestion {
  readonly #maxWindowBytes: number;
  #windowBytes = FIRST_WINDOW_BYTES;
  #rttMs: number | undefined;
  #rttVariationMs = 0;
  #lastRttMs = 0;
  #shortestMs = Infinity;
  #shortestAtMs = 0;
  #drainUntilMs = -Infinity;

  #deliveredBytes = 0;
  #deliveredAtMs = 0;
  /** Bytes per millisecond: the greatest of this epoch, and of the one before. */
  #rate = 0;
  #rateBefore = 0;
  #epochEndsAtMs = 0;
  /** Until so much is delivered, the rate says what there was to send, not what the leg can do. */
  #appLimitedUntilBytes = 0;

  #isStarting = true;
  #roundEndsAtBytes = 0;
  #fullRate = 0;
  #roundsWithoutGrowth = 0;
  #roundFragments = 0;
  #roundReceived = 0;
  #lossScale = 1;
  #countedFragments = 0;
  #countedReceived = 0;

  constructor(maxWindowBytes: number, nowMs: number) {
    this.#maxWindowBytes = maxWindowBytes;
    this.#deliveredAtMs = nowMs;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Without an answer for so long, something is wrong. */
  get rtoMs(): number {
    if (this.#rttMs === undefined) return FIRST_RTO_MS;
    const rtoMs = this.#rttMs + 4 * this.#rttVariationMs + ACK_ALLOWANCE_MS;
    return Math.min(MAX_RTO_MS, Math.max(MIN_RTO_MS, rtoMs));
  }

  /** Of how many fragments the loss is known, about. */
  get countedFragments(): number {
    return this.#countedFragments;
  }

  /** What of the last fragments was lost, 0 to 1. */
  get lossShare(): number {
    if (this.#countedFragments === 0) return 0;
    return Math.max(0, 1 - this.#countedReceived / this.#countedFragments);
  }

  /** What the log notes of a fragment that goes out now. */
  entry(nowMs: number, inFlightBytes: number, asks: boolean): SentEntry {
    if (inFlightBytes === 0) this.#deliveredAtMs = nowMs; // the time before it was idle
    return {
      sentAtMs: nowMs,
      deliveredBytes: this.#deliveredBytes,
      deliveredAtMs: this.#deliveredAtMs,
      wasAppLimited: this.#deliveredBytes < this.#appLimitedUntilBytes,
      asks,
    };
  }

  /** There was room, and nothing to fill it. */
  onNothingToSend(inFlightBytes: number): void {
    this.#appLimitedUntilBytes = this.#deliveredBytes + inFlightBytes + 1;
  }

  onAnswer(answer: LegAnswer, nowMs: number): void {
    const { newest, heldBackMs, fragments, received, bytes } = answer;
    this.#measureRtt(Math.max(0.05, nowMs - newest.sentAtMs - heldBackMs), nowMs);
    const cameBytes = fragments === 0 ? 0 : bytes * Math.min(1, received / fragments);
    this.#deliveredBytes += cameBytes;
    this.#deliveredAtMs = nowMs;
    this.#measureRate(newest, nowMs);
    this.#countLoss(fragments, received);
    if (this.#isStarting && this.#hasQueue(nowMs - newest.sentAtMs - heldBackMs)) this.#isStarting = false;
    if (this.#isStarting && !newest.wasAppLimited) this.#windowBytes += cameBytes;
    if (newest.deliveredBytes >= this.#roundEndsAtBytes) this.#endRound(newest.wasAppLimited);
    this.#setWindow(nowMs);
  }

  /** More came than was thought: fragments that were only late. */
  onLateFragments(count: number): void {
    this.#roundReceived += count;
    this.#countedReceived += count;
  }

  /** It did not answer, and does again. */
  restart(nowMs: number): void {
    if (this.#rttMs !== undefined) this.#rttMs = this.#lastRttMs;
    this.#windowBytes = Math.min(this.#windowBytes, FIRST_WINDOW_BYTES);
    this.#isStarting = true;
    this.#fullRate = this.#roundsWithoutGrowth = 0;
    this.#rate = this.#rateBefore = 0;
    this.#deliveredAtMs = nowMs;
    this.#roundEndsAtBytes = this.#deliveredBytes;
    this.#roundFragments = this.#roundReceived = 0;
  }

  #measureRtt(rttMs: number, nowMs: number): void {
    this.#lastRttMs = rttMs;
    if (this.#rttMs === undefined) {
      this.#rttMs = rttMs;
      this.#rttVariationMs = rttMs / 2;
    } else {
      this.#rttVariationMs += (Math.abs(rttMs - this.#rttMs) - this.#rttVariationMs) / 4;
      this.#rttMs += (rttMs - this.#rttMs) / 8;
    }
    if (rttMs <= this.#shortestMs) {
      this.#shortestMs = rttMs;
      this.#shortestAtMs = nowMs;
    } else if (nowMs - this.#shortestAtMs > SHORTEST_KEPT_MS) {
      this.#drainUntilMs = nowMs + DRAIN_MS + this.#rttMs;
      this.#shortestMs = rttMs;
      this.#shortestAtMs = nowMs;
    }
  }

  /** What starts must not fill every queue on the way before it notices. */
  #hasQueue(rttMs: number): boolean {
    return rttMs > GAIN * this.#shortestMs + QUEUE_MS;
  }

  #measureRate(newest: SentEntry, nowMs: number): void {
    const intervalMs = nowMs - newest.deliveredAtMs;
    if (intervalMs < Math.max(1, Math.min(this.#shortestMs, 100))) return;
    const rate = (this.#deliveredBytes - newest.deliveredBytes) / intervalMs;
    if (newest.wasAppLimited && rate <= Math.max(this.#rate, this.#rateBefore)) return;
    if (nowMs >= this.#epochEndsAtMs) {
      this.#rateBefore = this.#rate;
      this.#rate = 0;
      this.#epochEndsAtMs = nowMs + Math.max(RATE_EPOCH_MS, 8 * this.#shortestMs);
    }
    this.#rate = Math.max(this.#rate, rate);
  }

  #countLoss(fragments: number, received: number): void {
    this.#roundFragments += fragments;
    this.#roundReceived += received;
    this.#countedFragments += fragments;
    this.#countedReceived += received;
    if (this.#countedFragments <= LOSS_MEMORY) return;
    this.#countedFragments /= 2;
    this.#countedReceived /= 2;
  }

  #endRound(wasAppLimited: boolean): void {
    this.#roundEndsAtBytes = this.#deliveredBytes;
    const isLossKnown = this.#roundFragments >= MIN_ROUND_FRAGMENTS;
    if (isLossKnown) {
      const isHeavy = this.#roundReceived < this.#roundFragments * (1 - HEAVY_LOSS);
      if (isHeavy) this.#isStarting = false;
      this.#lossScale = isHeavy ? Math.max(MIN_LOSS_SCALE, this.#lossScale * 0.7) : Math.min(1, this.#lossScale * 1.1);
      this.#roundFragments = this.#roundReceived = 0;
    }
    if (!this.#isStarting || wasAppLimited) return;
    const rate = Math.max(this.#rate, this.#rateBefore);
    if (rate >= this.#fullRate * STARTING_GROWTH) {
      this.#fullRate = rate;
      this.#roundsWithoutGrowth = 0;
    } else if (++this.#roundsWithoutGrowth >= STARTING_ROUNDS) {
      this.#isStarting = false;
    }
  }

  #setWindow(nowMs: number): void {
    if (!this.#isStarting) {
      const rate = Math.max(this.#rate, this.#rateBefore);
      const isDraining = nowMs < this.#drainUntilMs;
      const wanted = rate * (this.#shortestMs + (isDraining ? 0 : ALLOWANCE_MS)) * (isDraining ? 0.5 : GAIN);
      this.#windowBytes = wanted * this.#lossScale;
    }
    this.#windowBytes = Math.min(this.#maxWindowBytes, Math.max(MIN_WINDOW_BYTES, this.#windowBytes));
  }
}
