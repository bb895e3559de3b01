/**
 * Something that is looked at again and again, one look at a time, until it is disposed; a look that has begun is
 * waited for. A look must not throw.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";

export class Recheck implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #look: () => void | Promise<void>;
  #timer: Timer;
  #looking: Promise<void> = Promise.resolve();
  #hasEnded = false;

  constructor(clock: Clock, everyMs: number, look: () => void | Promise<void>) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#look = look;
    this.#timer = this.#schedule();
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  #schedule(): Timer {
    return this.#clock.after(this.#everyMs, () => this.#looking = this.#run());
  }

  async #run(): Promise<void> {
    await this.#look();
    if (!this.#hasEnded) this.#timer = this.#schedule();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hasEnded = true;
    this.#timer.cancel();
    await this.#looking;
  }
}
