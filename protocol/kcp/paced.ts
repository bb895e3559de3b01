/**
 * Congestion control after BBR (draft-ietf-ccwg-bbr): a model of the route, which is the greatest rate at which it has
 * delivered of late and the shortest round trip of late, and a sender who sends at that rate, has little more in flight than
 * the two make, and now and then looks whether the model still holds.
 *
 *   starting   twice the rate every round, until it no longer grows, a queue is there or much is lost
 *   draining   slower, until the queue that starting has made is gone
 *   probing    by turns: a little faster for a round (is there more?), slower until that queue is gone, as fast as the route
 *   emptying   half in flight for a round, so that the shortest round trip is seen again: when it has not been for long, or
 *              when there is a queue that does not go away, which may be a route that has become longer
 *
 * Loss says little by itself (see `LossJudge`). What says more is a queue: while one stays, only the rates of the last
 * rounds count. Pacing is by credit that time gives, in portions of about a millisecond, because timers tick in those.
 *
 * Segments are not told apart (see `DeliveryRate`), so their slots are not used.
 */

import { type Random, randomInt } from "../random.ts";
import type { Congestion } from "./congestion.ts";
import { DeliveryRate } from "./delivery_rate.ts";
import { LossJudge } from "./loss_judge.ts";

export interface PacedOptions {
  /** Of a full datagram. */
  readonly segmentBytes: number;
  readonly random: Random;
}

export type PacedState = "starting" | "draining" | "up" | "down" | "cruising" | "emptying";

const FIRST_WINDOW_SEGMENTS = 16;
const LEAST_WINDOW_SEGMENTS = 4;
/** 2 / ln 2 and a little less than its inverse: doubles the rate each round, and takes the queue away in one. */
const STARTING_GAIN = 2.77;
const DRAINING_GAIN = 0.35;
const UP_GAIN = 1.25;
const DOWN_GAIN = 0.75;
/** Not quite all of it: what is measured is never exact, and a queue never goes by itself. */
const CRUISING_GAIN = 0.99;
/** More in flight than the route holds: as much again, but no more than makes a queue of so long. */
const QUEUE_MS = 30;
/** Both ends are busy with other things now and then. */
const ALLOWANCE_MS = 3;
const GROWTH = 1.25;
const STARTING_ROUNDS = 3;
const RATE_ROUNDS = 10;
const SHORTEST_KEPT_MS = 10_000;
const EMPTY_MS = 60;
const MOST_EMPTYING_MS = 3000;
/** A turn of probing is no shorter, however short the round trip. */
const LEAST_TURN_MS = 10;
const CRUISING_TURNS = { least: 2, spread: 6 } as const;
/** A queue is what makes every round trip of a round so much longer than the shortest. */
const QUEUE_FACTOR = 1.25;
const QUEUE_ALLOWANCE_MS = 12;
/** So many such rounds are no accident of a busy host: only their rates count. After more, it may be the route. */
const QUEUE_TRUST_ROUNDS = 3;
const QUEUE_ROUNDS = 5;
const STARTING_LOSS = 0.2;
/** How much credit may gather while timers are late. */
const CREDIT_MS = 15;
const PORTION_MS = 1;
/** Without an answer for so long beyond the round trip, what was known of the route is old. */
const SILENCE_MS = 250;

export class PacedCongestion implements Congestion {
  roomAtMs = Infinity;
  readonly #segmentBytes: number;
  readonly #random: Random;
  readonly #delivery = new DeliveryRate();
  #state: PacedState = "starting";
  #stateSinceMs = 0;
  #windowBytes: number;
  #gain = STARTING_GAIN;
  /** Bytes that may go now, and bytes per millisecond that it grows by; Infinity before anything is known. */
  #creditBytes = Infinity;
  #creditAtMs = 0;
  #paceRate = Infinity;

  /** The greatest rate of each of the last rounds, and of all of them. */
  readonly #rates = new Float64Array(RATE_ROUNDS);
  #round = 0;
  #rate = 0;
  #roundEndsAtBytes = 0;
  #roundHasRate = false;
  #fullRate = 0;
  #roundsWithoutGrowth = 0;
  #losesMuch = false;

  #minRttMs = Infinity;
  #minRttAtMs = 0;
  #roundMinRttMs = Infinity;
  #lastRttMs = 0;
  #queueRounds = 0;
  #emptySinceMs = Infinity;
  /** Of the time since then. */
  #emptyMinRttMs = Infinity;
  /** What the rate was before there was a queue. */
  #rateWithoutQueue = 0;
  #cruiseTurns = 0;

  readonly #loss: LossJudge;

  /** More than the rate says came in since then: ACKs come in bunches. */
  #bunchSinceMs = 0;
  #bunchBytes = 0;
  #mostBunched = 0;

  #turnBytes = 0;
  #turnMinRttMs = Infinity;
  #turnSentAtMs = -Infinity;
  /** When the first went out of what was sent since the last answer. */
  #unansweredSinceMs = Infinity;
  #isSilent = false;

  constructor(options: PacedOptions, nowMs: number) {
    this.#segmentBytes = options.segmentBytes;
    this.#random = options.random;
    this.#loss = new LossJudge(options.segmentBytes);
    this.#windowBytes = FIRST_WINDOW_SEGMENTS * options.segmentBytes;
    this.#minRttAtMs =
      this.#stateSinceMs =
      this.#bunchSinceMs =
        nowMs;
  }

  get state(): PacedState {
    return this.#state;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** What the route delivers at the most, as far as is known; bytes per millisecond. */
  get rate(): number {
    return this.#rate;
  }

  /** Infinity before the first answer. */
  get minRttMs(): number {
    return this.#minRttMs;
  }

  roomBytes(inFlightBytes: number, nowMs: number): number {
    this.roomAtMs = Infinity;
    const window = this.#isSilent ? LEAST_WINDOW_SEGMENTS * this.#segmentBytes : this.#windowBytes;
    if (inFlightBytes >= window) return 0;
    this.#gatherCredit(nowMs);
    if (this.#creditBytes > 0) return Math.min(window - inFlightBytes, this.#creditBytes);
    this.roomAtMs = nowMs + Math.max(PORTION_MS, (this.#segmentBytes - this.#creditBytes) / this.#paceRate);
    return 0;
  }

  onSent(_slot: number, bytes: number, inFlightBytes: number, nowMs: number): void {
    this.#creditBytes -= bytes;
    if (this.#unansweredSinceMs === Infinity) this.#unansweredSinceMs = nowMs;
    this.#delivery.onSent(inFlightBytes, this.#lastRttMs, nowMs);
  }

  onAcked(_slot: number, bytes: number, rttMs: number, nowMs: number): void {
    this.#turnBytes += bytes;
    if (rttMs < this.#turnMinRttMs) this.#turnMinRttMs = rttMs;
    const sentAtMs = nowMs - rttMs;
    if (sentAtMs > this.#turnSentAtMs) this.#turnSentAtMs = sentAtMs;
  }

  onLost(_slot: number, bytes: number, _nowMs: number): void {
    this.#loss.onLost(bytes);
  }

  /** Slots mean nothing here. */
  onMoved(): void {}

  onTimeout(nowMs: number): void {
    if (nowMs - this.#unansweredSinceMs > SILENCE_MS + 2 * this.#lastRttMs) this.#isSilent = true;
  }

  onTurn(inFlightBytes: number, isAppLimited: boolean, nowMs: number): void {
    if (this.#turnBytes > 0) this.#hear(inFlightBytes, nowMs);
    // What fills the route and a little more shows all that it can do.
    const enough = Math.min(this.#windowBytes, this.#rate * this.#minRttMs * UP_GAIN);
    if (isAppLimited && inFlightBytes < enough) this.#delivery.onNothingToSend(inFlightBytes);
  }

  #hear(inFlightBytes: number, nowMs: number): void {
    if (this.#isSilent) this.#beginAnew(nowMs);
    this.#unansweredSinceMs = Infinity;
    const bytes = this.#turnBytes;
    this.#loss.onCame(bytes);
    this.#noteRtt(this.#turnMinRttMs, nowMs);
    const hasRate = this.#delivery.sample(bytes, this.#turnSentAtMs, this.#minRttMs, nowMs);
    if (hasRate) this.#noteRate();
    this.#noteBunch(bytes, nowMs);
    this.#turnBytes = 0;
    this.#turnMinRttMs = Infinity;
    this.#turnSentAtMs = -Infinity;
    if (this.#delivery.deliveredThen >= this.#roundEndsAtBytes) this.#endRound(nowMs);
    this.#moveOn(inFlightBytes, nowMs);
    this.#setPace();
  }

  /** After a silence nothing is known of the route but how long it was. */
  #beginAnew(nowMs: number): void {
    this.#isSilent = false;
    this.#rates.fill(0);
    this.#rate =
      this.#fullRate =
      this.#roundsWithoutGrowth =
      this.#queueRounds =
        0;
    this.#loss.forget();
    this.#windowBytes = FIRST_WINDOW_SEGMENTS * this.#segmentBytes;
    this.#mostBunched = this.#bunchBytes = 0;
    this.#roundEndsAtBytes = this.#delivery.deliveredBytes;
    this.#enter("starting", nowMs);
  }

  #noteRtt(rttMs: number, nowMs: number): void {
    if (rttMs === Infinity) return; // of none that came can it be told
    this.#lastRttMs = rttMs;
    if (rttMs < this.#roundMinRttMs) this.#roundMinRttMs = rttMs;
    if (rttMs < this.#emptyMinRttMs) this.#emptyMinRttMs = rttMs;
    if (rttMs > this.#minRttMs) return;
    this.#minRttMs = rttMs;
    this.#minRttAtMs = nowMs;
  }

  #noteRate(): void {
    const { rate, isAppLimited } = this.#delivery;
    if (isAppLimited && rate <= this.#rate) return;
    this.#roundHasRate = true;
    const slot = this.#round % RATE_ROUNDS;
    if (rate > this.#rates[slot]!) this.#rates[slot] = rate;
    if (rate > this.#rate) this.#rate = rate;
  }

  /** How much more than the rate comes at once: as much more must be in flight, or the line runs empty meanwhile. */
  #noteBunch(bytes: number, nowMs: number): void {
    const expected = this.#rate * (nowMs - this.#bunchSinceMs);
    if (this.#bunchBytes <= expected) {
      this.#bunchBytes = 0;
      this.#bunchSinceMs = nowMs;
    }
    this.#bunchBytes += bytes;
    const more = Math.min(this.#bunchBytes - this.#rate * (nowMs - this.#bunchSinceMs), this.#rate * QUEUE_MS);
    if (more > this.#mostBunched) this.#mostBunched = more;
  }

  #endRound(nowMs: number): void {
    this.#roundEndsAtBytes = this.#delivery.deliveredBytes;
    this.#countLoss();
    const hasQueue = this.#roundMinRttMs < Infinity &&
      this.#roundMinRttMs > QUEUE_FACTOR * this.#minRttMs + QUEUE_ALLOWANCE_MS;
    if (this.#state === "starting") this.#judgeStart(hasQueue, nowMs);
    else this.#judgeQueue(hasQueue, nowMs);
    this.#roundMinRttMs = Infinity;
    this.#mostBunched *= 0.9;
    if (!this.#roundHasRate) return;
    this.#roundHasRate = false;
    this.#rates[++this.#round % RATE_ROUNDS] = 0;
    this.#rate = this.#greatestOf(RATE_ROUNDS);
  }

  #greatestOf(rounds: number): number {
    let greatest = 0;
    for (let back = 0; back < rounds; back++) {
      greatest = Math.max(greatest, this.#rates[(this.#round - back + RATE_ROUNDS) % RATE_ROUNDS]!);
    }
    return greatest;
  }

  #judgeStart(hasQueue: boolean, nowMs: number): void {
    const isTooMuch = hasQueue || this.#losesMuch;
    this.#losesMuch = false;
    if (!isTooMuch && (!this.#roundHasRate || this.#delivery.isAppLimited)) return;
    if (this.#rate >= this.#fullRate * GROWTH) {
      this.#fullRate = this.#rate;
      this.#roundsWithoutGrowth = 0;
    } else if (++this.#roundsWithoutGrowth >= STARTING_ROUNDS || isTooMuch) {
      this.#enter("draining", nowMs);
    }
  }

  /** A queue that stays is a route that has become slower or longer, or others who share it. */
  #judgeQueue(hasQueue: boolean, nowMs: number): void {
    this.#queueRounds = hasQueue ? this.#queueRounds + 1 : 0;
    if (this.#queueRounds <= 1) this.#rateWithoutQueue = this.#rate;
    if (this.#queueRounds < QUEUE_TRUST_ROUNDS) return;
    const recent = this.#greatestOf(QUEUE_TRUST_ROUNDS);
    if (recent > 0) {
      for (let back = QUEUE_TRUST_ROUNDS; back < RATE_ROUNDS; back++) {
        this.#rates[(this.#round - back + RATE_ROUNDS) % RATE_ROUNDS] = 0;
      }
      this.#rate = recent;
    }
    if (this.#queueRounds >= QUEUE_ROUNDS && this.#state !== "emptying") this.#enter("emptying", nowMs);
  }

  #countLoss(): void {
    const loss = this.#loss.take();
    if (loss === undefined) return;
    if (this.#state === "starting") this.#losesMuch = loss > STARTING_LOSS;
    else this.#loss.judge(loss);
  }

  /** From one state to the next, when it is time. */
  #moveOn(inFlightBytes: number, nowMs: number): void {
    const sinceMs = nowMs - this.#stateSinceMs;
    const turnMs = Math.max(LEAST_TURN_MS, this.#minRttMs);
    const holds = this.#rate * this.#minRttMs + this.#rate * ALLOWANCE_MS;
    switch (this.#state) {
      case "starting":
        break;
      case "draining":
        if (inFlightBytes <= holds) this.#enter("cruising", nowMs);
        break;
      case "up":
        if (sinceMs > turnMs && (inFlightBytes >= UP_GAIN * holds || sinceMs > 2 * turnMs)) this.#enter("down", nowMs);
        break;
      case "down":
        if (inFlightBytes <= holds || sinceMs > 2 * turnMs) this.#enter("cruising", nowMs);
        break;
      case "cruising":
        if (sinceMs > this.#cruiseTurns * turnMs) this.#enter("up", nowMs);
        break;
      case "emptying":
        this.#empty(inFlightBytes, nowMs);
        break;
    }
    if (nowMs - this.#minRttAtMs > SHORTEST_KEPT_MS && this.#state !== "starting") this.#enter("emptying", nowMs);
  }

  /** Waits until half is gone and then for a round; what is the shortest round trip then, is. */
  #empty(inFlightBytes: number, nowMs: number): void {
    const isOver = nowMs - this.#stateSinceMs > MOST_EMPTYING_MS;
    if (this.#emptySinceMs === Infinity) {
      if (inFlightBytes > this.#emptyWindow() && !isOver) return;
      this.#emptySinceMs = nowMs;
      this.#emptyMinRttMs = Infinity;
    }
    if (nowMs - this.#emptySinceMs < Math.max(EMPTY_MS, this.#lastRttMs) && !isOver) return;
    this.#minRttAtMs = nowMs;
    if (this.#emptyMinRttMs < Infinity) {
      if (this.#emptyMinRttMs > GROWTH * this.#minRttMs) this.#restoreRate();
      this.#minRttMs = this.#emptyMinRttMs;
    }
    this.#queueRounds = 0;
    this.#enter("up", nowMs);
  }

  /** What seemed to be a queue was the route, which is longer now; it was not slower. */
  #restoreRate(): void {
    this.#rate = Math.max(this.#rate, this.#rateWithoutQueue);
    this.#rates[this.#round % RATE_ROUNDS] = this.#rate;
  }

  #emptyWindow(): number {
    return Math.max(LEAST_WINDOW_SEGMENTS * this.#segmentBytes, this.#rate * this.#minRttMs / 2);
  }

  #enter(state: PacedState, nowMs: number): void {
    this.#state = state;
    this.#stateSinceMs = nowMs;
    this.#emptySinceMs = Infinity;
    this.#minRttAtMs = state === "emptying" ? nowMs : this.#minRttAtMs;
    if (state === "cruising") this.#cruiseTurns = CRUISING_TURNS.least + randomInt(this.#random, CRUISING_TURNS.spread);
    this.#gain = {
      starting: STARTING_GAIN,
      draining: DRAINING_GAIN,
      up: UP_GAIN,
      down: DOWN_GAIN,
      cruising: CRUISING_GAIN,
      emptying: CRUISING_GAIN,
    }[state];
  }

  #setPace(): void {
    if (this.#rate === 0 || this.#minRttMs === Infinity) return;
    const least = LEAST_WINDOW_SEGMENTS * this.#segmentBytes;
    const holds = this.#rate * this.#minRttMs;
    const more = this.#rate * ALLOWANCE_MS + this.#mostBunched;
    const isStarting = this.#state === "starting";
    const spare = isStarting ? holds : Math.min(holds, this.#rate * QUEUE_MS);
    const first = isStarting ? FIRST_WINDOW_SEGMENTS * this.#segmentBytes : least;
    const rate = isStarting ? Math.max(this.#rate, first / this.#minRttMs) : this.#rate;
    this.#windowBytes = this.#state === "emptying"
      ? this.#emptyWindow()
      : Math.max(first, (holds + spare) * this.#loss.share + more);
    this.#paceRate = rate * this.#gain * this.#loss.share;
    this.#creditBytes = Math.min(this.#creditBytes, this.#mostCredit());
  }

  #gatherCredit(nowMs: number): void {
    const sinceMs = nowMs - this.#creditAtMs;
    this.#creditAtMs = nowMs;
    // Where round trips are shorter than can be told, starting again knows no pace: debts of the one before are void.
    if (this.#paceRate === Infinity) return void (this.#creditBytes = Infinity);
    this.#creditBytes = Math.min(this.#creditBytes + sinceMs * this.#paceRate, this.#mostCredit());
  }

  #mostCredit(): number {
    return Math.max(2 * this.#segmentBytes, this.#paceRate * CREDIT_MS);
  }
}
