/**
 * The legs that fragments come by, and when to tell the peer what has come.
 *
 * An ACK is owed when something came that asks for one. It is due at once for a PING, soon when something seems to be
 * missing, and otherwise after some fragments or a few milliseconds; where a fragment has room it goes along before.
 */

import type { AckLeg } from "./frames.ts";
import { type LegOpener, REFUSED } from "./leg_seal.ts";
import type { Slab } from "../slab.ts";
import type { ReceiveLegStats } from "./session_types.ts";

/** Half a batch of a driver. */
const ACK_AFTER_FRAGMENTS = 8;
const ACK_AFTER_MS = 4;
const ACK_GAP_AFTER_MS = 1;

export class ReceiveLeg {
  readonly leg: number;
  readonly opener: LegOpener;
  #largest = -1;
  #received = 0;
  #refused = 0;
  #heardAtMs = -Infinity;
  #largestAtMs = 0;
  /** The last fragment left a gap in the numbers. */
  hasSkipped = false;

  constructor(leg: number, opener: LegOpener) {
    this.leg = leg;
    this.opener = opener;
  }

  /** Opens what lies at the start of the slab; gives the length of its body, or `REFUSED`. */
  open(slab: Slab, length: number, nowMs: number): number {
    const bodyBytes = this.opener.open(slab, 0, length);
    if (bodyBytes === REFUSED) {
      this.#refused++;
      return REFUSED;
    }
    const number = this.opener.lastNumber;
    this.#received++;
    this.#heardAtMs = nowMs;
    this.hasSkipped = number > this.#largest + 1;
    if (number > this.#largest) {
      this.#largest = number;
      this.#largestAtMs = nowMs;
    }
    return bodyBytes;
  }

  refuse(): void {
    this.#refused++;
  }

  /** Undefined before anything has come. */
  describe(nowMs: number): AckLeg | undefined {
    if (this.#largest < 0) return undefined;
    const { leg } = this;
    return { leg, largest: this.#largest, received: this.#received, heldBackMs: nowMs - this.#largestAtMs };
  }

  stats(): ReceiveLegStats {
    return {
      leg: this.leg,
      receivedFragments: this.#received,
      refusedFragments: this.#refused,
      heardAtMs: this.#heardAtMs,
    };
  }
}

/** When an ACK is due. */
export class AckTimer {
  #fragments = 0;
  #dueAtMs = Infinity;
  #isForData = false;

  /** Something has come that has not been told. */
  get isOwed(): boolean {
    return this.#dueAtMs !== Infinity;
  }

  get dueAtMs(): number {
    return this.#dueAtMs;
  }

  /** More than PINGs came. */
  get isForData(): boolean {
    return this.#isForData;
  }

  onPing(nowMs: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs, nowMs);
  }

  onShard(nowMs: number, isGap: boolean): void {
    this.#isForData = true;
    const delayMs = ++this.#fragments >= ACK_AFTER_FRAGMENTS ? 0 : isGap ? ACK_GAP_AFTER_MS : ACK_AFTER_MS;
    this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + delayMs);
  }

  onSent(): void {
    this.#fragments = 0;
    this.#dueAtMs = Infinity;
    this.#isForData = false;
  }
}
