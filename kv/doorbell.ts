/**
 * One who waits for something to happen, and may be busy elsewhere when it does: a ring that nobody waits for is
 * kept, and several of them are one.
 */

import type { Clock } from "../protocol/clock.ts";

export class Doorbell {
  #hasRung = false;
  #answer: (() => void) | undefined;

  ring(): void {
    if (this.#answer) this.#answer();
    else this.#hasRung = true;
  }

  /** Returns at the next ring, or when the signal aborts, or after the time if one is given. One waits at a time. */
  async wait(signal: AbortSignal, timeout?: { readonly clock: Clock; readonly forMs: number }): Promise<void> {
    if (signal.aborted || this.#hasRung) {
      this.#hasRung = false;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const answer = () => resolve();
    this.#answer = answer;
    signal.addEventListener("abort", answer, { once: true });
    const timer = timeout?.clock.after(timeout.forMs, answer);
    await promise;
    timer?.cancel();
    signal.removeEventListener("abort", answer);
    this.#answer = undefined;
  }
}
