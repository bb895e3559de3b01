/**
 * How fast a peer's data links carry at present: what has passed between two looks, by the time between them.
 */

import type { Traffic } from "../../net/counted_link.ts";
import type { Clock } from "../../protocol/clock.ts";

export interface Rates {
  readonly rxMbps: number;
  readonly txMbps: number;
}

export class TrafficRates {
  readonly #traffic: Traffic;
  readonly #clock: Clock;
  #last: { atMs: number } & Traffic;

  constructor(traffic: Traffic, clock: Clock) {
    this.#traffic = traffic;
    this.#clock = clock;
    this.#last = { atMs: clock.now(), ...traffic };
  }

  /** Since it was last asked. */
  take(): Rates {
    const nowMs = this.#clock.now();
    const elapsedMs = Math.max(1, nowMs - this.#last.atMs);
    const rxMbps = megabits(this.#traffic.rxBytes - this.#last.rxBytes, elapsedMs);
    const txMbps = megabits(this.#traffic.txBytes - this.#last.txBytes, elapsedMs);
    this.#last = { atMs: nowMs, ...this.#traffic };
    return { rxMbps, txMbps };
  }
}

function megabits(bytes: number, elapsedMs: number): number {
  return bytes * 8 / 1000 / elapsedMs;
}
