/** Tells those who want to know that something has changed, a few times a second at most. */

import type { Clock, Timer } from "../../../protocol/clock.ts";

const APART_MS = 300;

export class ChangeNotices implements Disposable {
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  subscribe(onChange: () => void): Disposable {
    // Two who hand in the same function are two.
    const listener = () => onChange();
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  tell(): void {
    this.#timer ??= this.#clock.after(APART_MS, () => {
      this.#timer = undefined;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#listeners.clear();
  }
}
