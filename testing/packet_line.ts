/**
 * One direction of a network as arithmetic, without clock, timers and packets: when what is sent now arrives, if it does.
 * What `Wire` is to messages of a simulation, this is to a relay that has a hundred thousand packets a second to hold back.
 *
 *   queue (bandwidth; what finds it full is dropped) → loss → latency + jitter, in order
 *
 * Loss strikes behind the queue, so that a lost packet has used the line. It also keeps how long packets waited in the
 * queue, which is what tells a sender that floods from one that does not.
 */

import type { Random } from "../protocol/random.ts";
import { type Conditions, validConditions } from "./wire.ts";

export type LineConditions = Pick<
  Conditions,
  "latencyMs" | "jitterMs" | "loss" | "bandwidthBitsPerS" | "queueBytes"
>;

const DEFAULT_QUEUE_BYTES = 256 * 1024;
/** Waits are counted in bins of a quarter of a millisecond; what waited longer is in the last. */
const BINS_PER_MS = 4;
const BINS = 8192;
/** What `admit` gives for a packet that does not arrive. */
export const NEVER = -1;

export class PacketLine {
  readonly #random: Random;
  #conditions: LineConditions;
  #bytesPerMs = Infinity;
  /** When the last bit admitted so far will have left the queue. */
  #freeAtMs = 0;
  #lastArrivalMs = 0;
  readonly #waits = new Uint32Array(BINS);
  #admitted = 0;
  #dropped = 0;
  #lost = 0;

  constructor(random: Random, conditions: LineConditions) {
    this.#random = random;
    this.#conditions = conditions;
    this.conditions = conditions;
  }

  get conditions(): LineConditions {
    return this.#conditions;
  }

  /** For packets that come from now on; what waits already leaves as it was going to. */
  set conditions(conditions: LineConditions) {
    this.#conditions = validConditions(conditions);
    this.#bytesPerMs = (conditions.bandwidthBitsPerS ?? Infinity) / 8000;
  }

  /** Went into the queue, those that were lost behind it included. */
  get admitted(): number {
    return this.#admitted;
  }

  /** Found the queue full. */
  get dropped(): number {
    return this.#dropped;
  }

  get lost(): number {
    return this.#lost;
  }

  /** When a packet that comes now will arrive; `NEVER` if it will not. */
  admit(bytes: number, nowMs: number): number {
    const { latencyMs = 0, jitterMs = 0, loss = 0, queueBytes = DEFAULT_QUEUE_BYTES } = this.#conditions;
    const waitMs = Math.max(0, this.#freeAtMs - nowMs);
    if (waitMs > 0 && waitMs * this.#bytesPerMs + bytes > queueBytes) {
      this.#dropped++;
      return NEVER;
    }
    this.#admitted++;
    const bin = Math.min(BINS - 1, Math.floor(waitMs * BINS_PER_MS));
    this.#waits[bin] = this.#waits[bin]! + 1;
    this.#freeAtMs = nowMs + waitMs + bytes / this.#bytesPerMs;
    if (loss > 0 && this.#random.next() < loss) {
      this.#lost++;
      return NEVER;
    }
    const jitter = jitterMs > 0 ? this.#random.next() * jitterMs : 0;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#freeAtMs + latencyMs + jitter);
    return this.#lastArrivalMs;
  }

  /** How long a packet that comes now would wait for those before it. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#freeAtMs - nowMs);
  }

  /** Which wait that share of the packets since the last `forget` did not exceed. */
  waitQuantileMs(share: number): number {
    const total = this.#waits.reduce((sum, count) => sum + count, 0);
    let seen = 0;
    for (let bin = 0; bin < BINS; bin++) {
      seen += this.#waits[bin]!;
      if (seen >= total * share) return bin / BINS_PER_MS;
    }
    return 0;
  }

  /** Counts from now on. */
  forget(): void {
    this.#waits.fill(0);
    this.#admitted = this.#dropped = this.#lost = 0;
  }
}
