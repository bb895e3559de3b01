/**
 * One direction between two hosts of the in-memory network: when, and whether, what is sent arrives.
 *
 *   queue (bandwidth) → latency + jitter → in order, unless held back by `reorder`
 *
 * `send` is for datagrams: they may be lost, doubled, overtaken or dropped at a full queue. `carry` is for what a
 * transport below makes reliable: it arrives once and in order, a loss costs a retransmission's time, and while the
 * wire is cut it waits.
 */

import type { Clock } from "../protocol/clock.ts";
import type { Random } from "../protocol/random.ts";

/** How a line treats what goes over it. */
export interface Conditions {
  /** One way. Default 0. */
  readonly latencyMs?: number;
  /** Up to this much on top, evenly spread. Default 0. */
  readonly jitterMs?: number;
  /** The share that is lost, in [0, 1). Cut the wire to lose everything. Default 0. */
  readonly loss?: number;
  /** The share of datagrams that arrive twice, in [0, 1). Default 0. */
  readonly duplicate?: number;
  /** The share of datagrams that are held back by `reorderMs`, so that later ones overtake them, in [0, 1). Default 0. */
  readonly reorder?: number;
  /** Default: the latency, but at least 1 ms. */
  readonly reorderMs?: number;
  /** Default: no limit. */
  readonly bandwidthBitsPerS?: number;
  /** What may wait for the bandwidth; a datagram that finds it full is dropped. Default 256 KiB. */
  readonly queueBytes?: number;
}

const DEFAULT_QUEUE_BYTES = 256 * 1024;

/** The least that a real stack waits before it sends again (RFC 6298 asks for 1 s, Linux waits 200 ms). */
const MIN_RETRANSMIT_MS = 200;

/** A line in one direction. */
export class Wire {
  readonly #clock: Clock;
  readonly #random: Random;
  #conditions: Conditions;
  /** When the last bit accepted so far will have left. */
  #freeAtMs = 0;
  #lastArrivalMs = 0;
  #held: (() => void)[] | undefined;

  /** Is whole, and in those conditions. */
  constructor(clock: Clock, random: Random, conditions: Conditions) {
    this.#clock = clock;
    this.#random = random;
    this.#conditions = validConditions(conditions);
  }

  /** Holds for what is sent from now on. */
  set conditions(conditions: Conditions) {
    this.#conditions = validConditions(conditions);
  }

  /** Whether nothing gets through. */
  get isCut(): boolean {
    return this.#held !== undefined;
  }

  /** Nothing sent from now on arrives; what is under way does. */
  cut(): void {
    this.#held ??= [];
  }

  /** What `carry` took meanwhile goes on its way. */
  heal(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const resume of held) resume();
  }

  /** Sends a datagram, with luck. */
  send(sizeBytes: number, deliver: () => void): void {
    const { loss = 0, duplicate = 0, reorder = 0, queueBytes = DEFAULT_QUEUE_BYTES } = this.#conditions;
    if (this.isCut || this.#chance(loss) || this.#queuedBytes() + sizeBytes > queueBytes) return;
    const heldBackMs = this.#chance(reorder) ? this.#reorderMs() : undefined;
    this.#transmit(sizeBytes, deliver, heldBackMs);
    if (this.#chance(duplicate)) this.#transmit(sizeBytes, deliver, heldBackMs);
  }

  /** Carries a part of a reliable stream: once, in order, in the end. */
  carry(sizeBytes: number, deliver: () => void): void {
    if (this.#held) {
      this.#held.push(() => this.carry(sizeBytes, deliver));
      return;
    }
    const { loss = 0, latencyMs = 0 } = this.#conditions;
    while (this.#chance(loss)) this.#lastArrivalMs = this.#arrivalMs() + MIN_RETRANSMIT_MS + latencyMs;
    this.#transmit(sizeBytes, deliver, undefined);
  }

  #transmit(sizeBytes: number, deliver: () => void, heldBackMs: number | undefined): void {
    const { bandwidthBitsPerS = Infinity } = this.#conditions;
    this.#freeAtMs = Math.max(this.#clock.now(), this.#freeAtMs) + sizeBytes * 8000 / bandwidthBitsPerS;
    const arrivalMs = this.#arrivalMs() + (heldBackMs ?? 0);
    if (heldBackMs === undefined) this.#lastArrivalMs = arrivalMs;
    this.#clock.after(arrivalMs - this.#clock.now(), deliver);
  }

  /** When something that has left the queue now arrives: never before what was sent earlier. */
  #arrivalMs(): number {
    const { latencyMs = 0, jitterMs = 0 } = this.#conditions;
    const leavesMs = Math.max(this.#clock.now(), this.#freeAtMs);
    return Math.max(this.#lastArrivalMs, leavesMs + latencyMs + (jitterMs && this.#random.next() * jitterMs));
  }

  #reorderMs(): number {
    return this.#conditions.reorderMs ?? Math.max(1, this.#conditions.latencyMs ?? 0);
  }

  #queuedBytes(): number {
    const { bandwidthBitsPerS = Infinity } = this.#conditions;
    const waitMs = this.#freeAtMs - this.#clock.now();
    return waitMs > 0 ? waitMs * bandwidthBitsPerS / 8000 : 0;
  }

  /** Draws only where the outcome is open, so that calm wires leave the sequence of numbers alone. */
  #chance(share: number): boolean {
    return share > 0 && this.#random.next() < share;
  }
}

/** Gives them back, or says which is wrong. */
export function validConditions(conditions: Conditions): Conditions {
  for (const name of ["loss", "duplicate", "reorder"] as const) {
    const share = conditions[name] ?? 0;
    if (!(share >= 0 && share < 1)) {
      throw new RangeError(`Cannot shape a wire: ${name} must be in [0, 1), got ${share}`);
    }
  }
  for (const name of ["latencyMs", "jitterMs", "reorderMs", "queueBytes"] as const) {
    const value = conditions[name] ?? 0;
    if (!(value >= 0)) throw new RangeError(`Cannot shape a wire: ${name} must be at least 0, got ${value}`);
  }
  const { bandwidthBitsPerS = Infinity } = conditions;
  if (!(bandwidthBitsPerS > 0)) {
    throw new RangeError(`Cannot shape a wire: bandwidthBitsPerS must be above 0, got ${bandwidthBitsPerS}`);
  }
  return conditions;
}
