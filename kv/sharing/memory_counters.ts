/**
 * Counters of one process, gone when it ends. At most 100,000 sums, as many rate limits, and as many members in each of
 * 1,000 sets are kept; beyond that, those that were used longest ago are forgotten.
 *
 * A rate limit is a theoretical arrival time (GCRA): the time at which all that was taken would have been earned.
 */

import type { Clock } from "../../protocol/clock.ts";
import {
  checkAmount,
  checkLimit,
  checkName,
  checkWindow,
  type Counters,
  type CountWindow,
  endOfWindow,
  MAX_ONLINE,
  type RateLimit,
  type Taken,
  windowNumber,
} from "./counters.ts";
import { FadingMap } from "./fading_map.ts";

const MAX_ENTRIES = 100_000;
const MAX_SETS = 1000;

export function createMemoryCounters(clock: Clock, options: { readonly maxEntries?: number } = {}): Counters {
  return new MemoryCounters(clock, options.maxEntries ?? MAX_ENTRIES);
}

class MemoryCounters implements Counters {
  readonly #clock: Clock;
  readonly #sums: FadingMap<number>;
  readonly #arrivals: FadingMap<number>;
  readonly #sets: FadingMap<FadingMap<true>>;

  constructor(clock: Clock, maxEntries: number) {
    this.#clock = clock;
    this.#sums = new FadingMap(clock, maxEntries);
    this.#arrivals = new FadingMap(clock, maxEntries);
    this.#sets = new FadingMap(clock, MAX_SETS);
  }

  add(key: string, amount: number, window: CountWindow & { readonly atMs?: number }): Promise<number> {
    return Promise.try(() => {
      checkName("a key", key);
      checkAmount(amount);
      checkWindow(window);
      const number = windowNumber(window, window.atMs ?? this.#clock.wallNow());
      const name = sumName(key, window, number);
      const sum = (this.#sums.get(name) ?? 0) + amount;
      this.#sums.set(name, sum, endOfWindow(window, number));
      return sum;
    });
  }

  history(key: string, window: CountWindow): Promise<number[]> {
    return Promise.try(() => {
      checkName("a key", key);
      checkWindow(window);
      const present = windowNumber(window, this.#clock.wallNow());
      const keep = window.keep ?? 0;
      return Array.from(
        { length: keep + 1 },
        (_, at) => this.#sums.get(sumName(key, window, present - keep + at)) ?? 0,
      );
    });
  }

  take(key: string, limit: RateLimit): Promise<Taken> {
    return Promise.try(() => {
      checkName("a key", key);
      checkLimit(limit);
      const nowMs = this.#clock.wallNow();
      // Later than a window from now only after the wall clock was set back, and nobody is to wait for that.
      const lastMs = Math.min(this.#arrivals.get(key) ?? 0, nowMs + limit.windowMs);
      const arrivalMs = Math.max(nowMs, lastMs) + limit.windowMs / limit.limit;
      const tooEarlyMs = arrivalMs - nowMs - limit.windowMs;
      if (tooEarlyMs > 0) return { isAllowed: false, retryAfterMs: Math.ceil(tooEarlyMs) };
      this.#arrivals.set(key, arrivalMs, arrivalMs);
      return { isAllowed: true, retryAfterMs: 0 };
    });
  }

  markOnline(set: string, member: string, ttlMs: number): Promise<void> {
    return Promise.try(() => {
      checkName("a set", set);
      checkName("a member", member);
      const members = this.#sets.get(set) ?? new FadingMap<true>(this.#clock, MAX_ONLINE);
      members.set(member, true, this.#clock.wallNow() + ttlMs);
      this.#sets.set(set, members, Infinity);
    });
  }

  markOffline(set: string, member: string): Promise<void> {
    return Promise.try(() => {
      checkName("a set", set);
      this.#sets.get(set)?.delete(member);
    });
  }

  online(set: string): Promise<string[]> {
    return Promise.try(() => {
      checkName("a set", set);
      return [...this.#sets.get(set)?.entries() ?? []].map(([member]) => member).sort();
    });
  }
}

function sumName(key: string, { windowMs }: CountWindow, number: number): string {
  return `${windowMs}:${number}:${key}`;
}
