/**
 * Exits, or other peers, that have failed a client, and are not asked for again for a while; the last that failed is last. Bounded: the one
 * that failed longest ago is forgotten first. Pure.
 */

import type { Clock } from "../protocol/clock.ts";

/** How long an exit that has failed is not asked for again. */
const EXCLUDE_MS = 60_000;
const MAX_EXITS = 64;

export class FailedExits {
  readonly #clock: Clock;
  /** Until when they are not wanted. */
  readonly #untilMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(exitPeerId: string): void {
    this.#untilMs.delete(exitPeerId); // it goes last
    if (this.#untilMs.size >= MAX_EXITS) this.#untilMs.delete(this.#untilMs.keys().next().value!);
    this.#untilMs.set(exitPeerId, this.#clock.now() + EXCLUDE_MS);
  }

  /** It has done well since. */
  remove(exitPeerId: string): void {
    this.#untilMs.delete(exitPeerId);
  }

  /** Those that are not wanted at present, each once. */
  list(): string[] {
    const nowMs = this.#clock.now();
    for (const [exit, untilMs] of this.#untilMs) if (untilMs <= nowMs) this.#untilMs.delete(exit);
    return [...this.#untilMs.keys()];
  }

  /**
   * There is no exit but these: all are wanted again, or, as long as there are others, all but the last that failed. False
   * when there are none.
   */
  forgive(): boolean {
    const failed = [...this.#untilMs.keys()];
    const forgiven = failed.length > 1 ? failed.slice(0, -1) : failed;
    for (const exit of forgiven) this.#untilMs.delete(exit);
    return forgiven.length > 0;
  }
}
