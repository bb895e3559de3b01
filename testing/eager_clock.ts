/**
 * A Clock on which time never waits: once no promise is left to run, it jumps to the next timer. For tests that await
 * things in the ordinary way but need no real time, such as contract suites over the in-memory network.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { FakeClock, settle } from "./fake_clock.ts";

/** A clock that goes to the next timer by itself as soon as nothing else is to be done. */
export class EagerClock implements Clock {
  readonly #fake = new FakeClock();
  #running: Promise<void> | undefined;

  now(): number {
    return this.#fake.now();
  }

  wallNow(): number {
    return this.#fake.wallNow();
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = this.#fake.after(delayMs, callback);
    this.#running ??= this.#run();
    return timer;
  }

  /** Settles once no timer is left. Awaited at the end of a test, nothing of it outlives the test. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    await settle();
    for (let nextMs = this.#fake.nextTimerMs; nextMs !== undefined; nextMs = this.#fake.nextTimerMs) {
      this.#fake.advance(nextMs);
      await settle();
    }
    this.#running = undefined;
  }
}
