/**
 * One leg that fragments leave by: what is on its way, whether the leg answers, and which fragments must be thought lost.
 *
 *   up ── unanswered for an RTO while others are answered ──▶ suspect ── answers a probe ──▶ up
 *   up, suspect ── its socket is gone ──▶ down ── pulled again ──▶ suspect
 *
 * What was in flight when a leg stops being up counts as lost. A suspect gets probes only, less and less often.
 */

import type { AckLeg } from "./frames.ts";
import { LegCongestion } from "./leg_congestion.ts";
import type { LegSealer } from "./leg_seal.ts";
import { SentLog } from "./sent_log.ts";
import type { LegState, SendLegStats } from "./session_types.ts";

const MAX_PROBE_INTERVAL_MS = 2000;
/** A leg that answers probes and soon nothing else waits for the next one, longer each time, while others are well. */
const RELAPSE_MS = 3000;
const MAX_RELAPSE_WAIT_MS = 500;
/** A fragment that was overtaken may come for as long as this and half a round trip. */
const SETTLE_MS = 10;
/** The furthest that a fragment is waited for which others have overtaken. */
const MAX_OVERTAKEN = 64;

export class SendLeg {
  readonly leg: number;
  readonly sealer: LegSealer;
  readonly congestion: LegCongestion;
  /** The first block it has not been offered. */
  cursor: number;
  /** It must carry a PING at the next opportunity. */
  owesPing = false;
  /** The peer does not know of it yet. */
  isHeld = false;
  /** So much slower than another that what waits for it holds up the rest: it gets parity only. */
  isLate = false;
  readonly #log = new SentLog();
  #state: LegState = "up";
  #largest = -1;
  #received = 0;
  /** Below this number nothing is waited for any more. */
  #givenUpBelow = 0;
  /** How many later ones may overtake a fragment before it counts as lost: learnt. */
  #overtaken = 0;
  /** Below this number all that came late has come; and the number that will be so at the time next to it. */
  #settledBelow = 0;
  #settlingBelow = 0;
  #settleAtMs = Infinity;
  #answeredAtMs: number;
  #askedAtMs = -Infinity;
  #probeAtMs = Infinity;
  #probeIntervalMs = 0;
  #revivedAtMs = -Infinity;

  constructor(leg: number, sealer: LegSealer, start: { cursor: number; maxWindowBytes: number; nowMs: number }) {
    this.leg = leg;
    this.sealer = sealer;
    this.cursor = start.cursor;
    this.congestion = new LegCongestion(start.maxWindowBytes, start.nowMs);
    this.#answeredAtMs = start.nowMs;
  }

  get state(): LegState {
    return this.#state;
  }

  get hasRoom(): boolean {
    const { inFlightBytes } = this.#log;
    return this.#state === "up" && !this.#log.isFull && inFlightBytes < this.congestion.windowBytes;
  }

  /** What is sent again may go beyond the window, somewhat. */
  get mayRepair(): boolean {
    return this.#state === "up" && this.#log.inFlightBytes < 2 * this.congestion.windowBytes;
  }

  /** Since when it owes an answer; Infinity when it owes none. */
  get waitsSinceMs(): number {
    return this.#state === "up" ? Math.max(this.#log.askedAtMs, this.#answeredAtMs) : Infinity;
  }

  /** When it will have owed one for an RTO. */
  get overdueAtMs(): number {
    return this.waitsSinceMs + this.congestion.rtoMs;
  }

  /** When a suspect is to be probed. */
  get probeAtMs(): number {
    return this.#state === "suspect" && !this.owesPing ? this.#probeAtMs : Infinity;
  }

  /** A fragment has gone out; `asks` when it wants an answer. */
  onSent(bytes: number, asks: boolean, nowMs: number): void {
    this.#log.add(bytes, this.congestion.entry(nowMs, this.#log.inFlightBytes, asks));
    if (asks) this.#askedAtMs = nowMs;
  }

  /** When it asked for an answer last. */
  get askedAtMs(): number {
    return this.#askedAtMs;
  }

  onNothingToSend(): void {
    if (this.hasRoom) this.congestion.onNothingToSend(this.#log.inFlightBytes);
  }

  /** Whether that fragment must be thought lost, if what was in it has not come. */
  hasLost(number: number): boolean {
    return number < this.#givenUpBelow || number < this.#settledBelow || number < this.#largest - this.#overtaken;
  }

  /** When fragments that were overtaken must be thought lost; Infinity when there can be none. */
  get settleAtMs(): number {
    return this.#overtaken > 0 ? this.#settleAtMs : Infinity;
  }

  settle(nowMs: number): void {
    this.#settledBelow = this.#settlingBelow;
    this.#settleAtMs = Infinity;
    this.#beginSettling(nowMs);
  }

  #beginSettling(nowMs: number): void {
    if (this.#settleAtMs !== Infinity || this.#settlingBelow >= this.#largest) return;
    this.#settlingBelow = this.#largest;
    this.#settleAtMs = nowMs + SETTLE_MS + (this.congestion.rttMs ?? 0) / 2;
  }

  /** Takes what an ACK says of the leg; false when it cannot be true. */
  onAnswer({ largest, received, heldBackMs }: AckLeg, nowMs: number): boolean {
    if (largest >= this.#log.next || received > largest + 1) return false;
    if (largest <= this.#largest) {
      this.#onLate(received);
      return true;
    }
    const newest = largest >= this.#log.first ? this.#log.get(largest) : undefined;
    const fragments = largest - this.#largest;
    const came = Math.max(0, received - this.#received);
    const bytes = this.#log.dropBefore(largest + 1);
    this.#largest = largest;
    this.#received = Math.max(this.#received, received);
    this.#answeredAtMs = nowMs;
    this.#beginSettling(nowMs);
    if (came > fragments) this.#learnOvertaking(came - fragments);
    if (!newest) return true; // of before it was given up: how long it takes now is not known
    this.congestion.onAnswer({ newest, heldBackMs, fragments, received: came, bytes }, nowMs);
    if (this.#state === "suspect") this.#revive(nowMs);
    return true;
  }

  /** It does not answer: probes only, the first at once unless it has only just come back. */
  suspect(nowMs: number, areOthersUp = false): void {
    this.#giveUp();
    this.#state = "suspect";
    if (areOthersUp && nowMs - this.#revivedAtMs < RELAPSE_MS) {
      this.#probeAtMs = nowMs + Math.min(MAX_RELAPSE_WAIT_MS, this.#probeIntervalMs);
      return;
    }
    this.#probeIntervalMs = this.congestion.rtoMs;
    this.probe(nowMs);
  }

  probe(nowMs: number): void {
    this.owesPing = true;
    this.#probeAtMs = nowMs + this.#probeIntervalMs;
    this.#probeIntervalMs = Math.min(MAX_PROBE_INTERVAL_MS, this.#probeIntervalMs * 2);
  }

  /** Its socket is gone. */
  fail(): void {
    this.#giveUp();
    this.#state = "down";
    this.owesPing = false;
  }

  /** There is a socket again. */
  reopen(nowMs: number): void {
    if (this.#state === "down") this.suspect(nowMs);
  }

  stats(): SendLegStats {
    return {
      leg: this.leg,
      state: this.#state,
      rttMs: this.congestion.rttMs,
      lossShare: this.congestion.lossShare,
      windowBytes: this.congestion.windowBytes,
      inFlightBytes: this.#log.inFlightBytes,
      sentFragments: this.#log.next,
      answeredAtMs: this.#answeredAtMs,
    };
  }

  #giveUp(): void {
    this.#givenUpBelow = this.#log.next;
    this.#log.dropBefore(this.#log.next);
  }

  #revive(nowMs: number): void {
    this.#state = "up";
    this.#revivedAtMs = nowMs;
    this.#probeAtMs = Infinity;
    this.owesPing = false;
    this.congestion.restart(nowMs);
  }

  /** No new largest number, but more came than did: they were overtaken. */
  #onLate(received: number): void {
    const count = received - this.#received;
    if (count <= 0) return;
    this.#received = received;
    this.#learnOvertaking(count);
  }

  #learnOvertaking(count: number): void {
    this.#overtaken = Math.min(MAX_OVERTAKEN, Math.max(1, this.#overtaken * 2));
    this.congestion.onLateFragments(count);
  }
}
