/**
 * Shared counters that are gone on without while the shared store is away. Nobody who counts sees an error:
 *
 *   add, history     each process goes on from the sums it last heard, with what it adds itself; what it added meanwhile
 *                    is added to the shared ones once they are back, in the window it belongs to
 *   take             each process limits for itself, from a fresh start: with n processes up to n times the limit
 *   online           each process knows those that it marked itself
 *
 * After a failure the store is left alone for a second, so that it costs nobody its time-out more often than that. What is
 * kept meanwhile is bounded (`memory_counters.ts`, and 10,000 sums to be added later); beyond that it is lost. What the
 * store refuses for other reasons than being away (`store_failed`) is treated the same, and told by `onOutcome`. What was
 * under way when it went may be counted twice.
 */

import type { Clock } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { type Counters, type CountWindow, endOfWindow, type RateLimit, type Taken, windowNumber } from "./counters.ts";
import { FadingMap } from "./fading_map.ts";
import { createMemoryCounters } from "./memory_counters.ts";

const LEAVE_ALONE_MS = 1000;
const MAX_KNOWN = 100_000;
const MAX_OWED = 10_000;
/** How many sums are added at a time once the store is back. */
const REPAY_AT_ONCE = 100;

export interface DegradingOptions {
  /** Told of every deed that the shared store has done or failed, for health. */
  readonly onOutcome?: ((error?: CulvertError) => void) | undefined;
}

/** What was added while the store was away. */
interface Owed {
  readonly key: string;
  readonly window: CountWindow;
  readonly atMs: number;
  readonly amount: number;
}

export function createDegradingCounters(shared: Counters, clock: Clock, options: DegradingOptions = {}): Counters {
  return new DegradingCounters(shared, clock, options);
}

class DegradingCounters implements Counters {
  readonly #shared: Counters;
  readonly #clock: Clock;
  readonly #onOutcome: (error?: CulvertError) => void;
  /** Rates and members of this process; its sums are in `#known`. */
  readonly #own: Counters;
  /** Sums as this process last heard them, and what it has added since. */
  readonly #known: FadingMap<number>;
  readonly #owed: FadingMap<Owed>;
  #leftAloneUntilMs = -Infinity;
  #isRepaying = false;

  constructor(shared: Counters, clock: Clock, { onOutcome = () => {} }: DegradingOptions) {
    this.#shared = shared;
    this.#clock = clock;
    this.#onOutcome = onOutcome;
    this.#own = createMemoryCounters(clock);
    this.#known = new FadingMap(clock, MAX_KNOWN);
    this.#owed = new FadingMap(clock, MAX_OWED);
  }

  async add(key: string, amount: number, window: CountWindow & { readonly atMs?: number }): Promise<number> {
    const atMs = window.atMs ?? this.#clock.wallNow();
    const number = windowNumber(window, atMs);
    const sum = await this.#try(() => this.#shared.add(key, amount, { ...window, atMs }));
    if (sum !== undefined) return this.#know(key, window, number, sum);
    this.#owe({ key, window, atMs, amount }, number);
    return this.#know(key, window, number, this.#knownSum(key, window, number) + amount);
  }

  async history(key: string, window: CountWindow): Promise<number[]> {
    const first = windowNumber(window, this.#clock.wallNow()) - (window.keep ?? 0);
    const sums = await this.#try(() => this.#shared.history(key, window));
    if (sums) return sums.map((sum, at) => this.#know(key, window, first + at, sum));
    return Array.from({ length: (window.keep ?? 0) + 1 }, (_, at) => this.#knownSum(key, window, first + at));
  }

  async take(key: string, limit: RateLimit): Promise<Taken> {
    return await this.#try(() => this.#shared.take(key, limit)) ?? await this.#own.take(key, limit);
  }

  async markOnline(set: string, member: string, ttlMs: number): Promise<void> {
    await this.#own.markOnline(set, member, ttlMs);
    await this.#try(() => this.#shared.markOnline(set, member, ttlMs));
  }

  async markOffline(set: string, member: string): Promise<void> {
    await this.#own.markOffline(set, member);
    await this.#try(() => this.#shared.markOffline(set, member));
  }

  async online(set: string): Promise<string[]> {
    return await this.#try(() => this.#shared.online(set)) ?? await this.#own.online(set);
  }

  /** Undefined when the shared store is away. A caller's mistake is thrown on. */
  async #try<T>(act: () => Promise<T>): Promise<T | undefined> {
    if (this.#clock.now() < this.#leftAloneUntilMs) return undefined;
    try {
      const result = await act();
      this.#onOutcome();
      if (!this.#owed.isEmpty) void this.#repay();
      return result;
    } catch (error) {
      if (!(error instanceof CulvertError) || error.code === "invalid_option") throw error;
      this.#leftAloneUntilMs = this.#clock.now() + LEAVE_ALONE_MS;
      this.#onOutcome(error);
      return undefined;
    }
  }

  /** Never rejects: what cannot be added now stays owed. */
  async #repay(): Promise<void> {
    if (this.#isRepaying) return;
    this.#isRepaying = true;
    const due = this.#owed.drain(REPAY_AT_ONCE);
    await Promise.all(due.map(async ({ key, window, atMs, amount }) => {
      const number = windowNumber(window, atMs);
      const sum = await this.#try(() => this.#shared.add(key, amount, { ...window, atMs }));
      if (sum === undefined) this.#owe({ key, window, atMs, amount }, number);
      else this.#know(key, window, number, sum);
    }));
    this.#isRepaying = false;
  }

  #owe(owed: Owed, number: number): void {
    const name = nameOf(owed.key, owed.window, number);
    const amount = owed.amount + (this.#owed.get(name)?.amount ?? 0);
    this.#owed.set(name, { ...owed, amount }, endOfWindow(owed.window, number));
  }

  #know(key: string, window: CountWindow, number: number, sum: number): number {
    this.#known.set(nameOf(key, window, number), sum, endOfWindow(window, number));
    return sum;
  }

  #knownSum(key: string, window: CountWindow, number: number): number {
    return this.#known.get(nameOf(key, window, number)) ?? 0;
  }
}

function nameOf(key: string, { windowMs }: CountWindow, number: number): string {
  return `${windowMs}:${number}:${key}`;
}
