/**
 * Several members at once, the first to succeed wins. They start one after the other, a little apart, so that a good
 * first member usually wins alone; a failure starts the next at once. The rest are aborted, and whatever they open all
 * the same is closed. Unlike in turn, no failure ends the race while others run: one way may be denied what another
 * is not. (The idea is that of happy eyeballs, RFC 8305 §5, one floor up.)
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { everyMemberFailed, type Failure } from "./failover.ts";
import type { Watched } from "./monitor.ts";

export interface RaceSettings {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What is being done, for the error. */
  readonly what: string;
  /** How many run at once. */
  readonly width: number;
  /** How long the next waits for those before it. */
  readonly staggerMs: number;
}

type Attempt<T> = (member: Watched, signal: AbortSignal) => Promise<T>;

export function raceMembers<T extends { close(): void }>(
  members: readonly Watched[],
  attempt: Attempt<T>,
  settings: RaceSettings,
): Promise<T> {
  return new Race(members, attempt, settings).run();
}

class Race<T extends { close(): void }> {
  readonly #waiting: Watched[];
  readonly #attempt: Attempt<T>;
  readonly #settings: RaceSettings;
  readonly #running = new Set<AbortController>();
  readonly #failures: Failure[] = [];
  readonly #result = Promise.withResolvers<T>();
  #over = false;
  #timer: Timer | undefined;

  constructor(members: readonly Watched[], attempt: Attempt<T>, settings: RaceSettings) {
    this.#waiting = [...members];
    this.#attempt = attempt;
    this.#settings = settings;
  }

  async run(): Promise<T> {
    const { signal } = this.#settings;
    signal.throwIfAborted();
    const onAbort = () => this.#finish(() => this.#result.reject(signal.reason), signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#startNext();
    try {
      return await this.#result.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #startNext(): void {
    this.#timer?.cancel();
    if (this.#running.size >= this.#settings.width) return;
    const member = this.#waiting.shift();
    if (!member) return;
    const running = new AbortController();
    this.#running.add(running);
    this.#attempt(member, running.signal).then(
      (opened) => this.#succeeded(running, opened),
      (error) => this.#failed(running, { member, error }),
    );
    this.#timer = this.#settings.clock.after(this.#settings.staggerMs, () => this.#startNext());
  }

  #succeeded(running: AbortController, opened: T): void {
    if (this.#over) return opened.close();
    this.#running.delete(running);
    this.#finish(() => this.#result.resolve(opened), new DOMException("Another path was faster", "AbortError"));
  }

  #failed(running: AbortController, failure: Failure): void {
    if (this.#over) return;
    this.#running.delete(running);
    this.#failures.push(failure);
    this.#startNext();
    if (this.#running.size > 0) return;
    const error = everyMemberFailed(this.#failures, this.#settings.what);
    this.#finish(() => this.#result.reject(error), error);
  }

  #finish(settle: () => void, reason: unknown): void {
    this.#over = true;
    this.#timer?.cancel();
    settle();
    for (const loser of this.#running) loser.abort(reason);
  }
}
