/**
 * Exits that served sessions when this supernode last stopped. They are on their way back, each at a time of its own, and
 * until then nothing is wrong with their sessions: streams to them wait, and nobody is moved. One that takes too long is
 * taken for lost.
 */

import { Deadlines } from "../../net/deadlines.ts";
import type { Clock } from "../../protocol/clock.ts";

/** Long enough for the backoff of a peer that has found nobody here for some seconds. */
const RETURN_WITHIN_MS = 15_000;

export class ReturningExits implements Disposable {
  readonly #deadlines: Deadlines<string>;
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>();

  constructor(clock: Clock, onMissing: (exitPeerId: string) => void) {
    this.#deadlines = new Deadlines(clock, RETURN_WITHIN_MS, (exitPeerId) => {
      this.came(exitPeerId);
      onMissing(exitPeerId);
    });
  }

  expect(exitPeerId: string): void {
    if (this.has(exitPeerId)) return;
    this.#awaited.set(exitPeerId, Promise.withResolvers<void>());
    this.#deadlines.add(exitPeerId);
  }

  has(exitPeerId: string): boolean {
    return this.#awaited.has(exitPeerId);
  }

  /** Settles when the exit is there or given up: at once unless it is awaited. */
  async wait(exitPeerId: string): Promise<void> {
    await this.#awaited.get(exitPeerId)?.promise;
  }

  /** It can be reached again. */
  came(exitPeerId: string): void {
    this.#deadlines.delete(exitPeerId);
    this.#awaited.get(exitPeerId)?.resolve();
    this.#awaited.delete(exitPeerId);
  }

  [Symbol.dispose](): void {
    this.#deadlines[Symbol.dispose]();
    for (const { resolve } of this.#awaited.values()) resolve();
    this.#awaited.clear();
  }
}
