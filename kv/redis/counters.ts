/**
 * Counters that several processes share, on Redis. Each deed is one round trip and atomic: what takes two commands is a
 * script. Everything there ends by itself.
 *
 *   <space>:count:<windowMs>:<number>:<key>     a sum
 *   <space>:rate:<key>                          a theoretical arrival time, in ms (GCRA, as in `../sharing/memory_counters.ts`)
 *   <space>:online:<set>                        members by the time until which they count
 *
 * Time is the caller's clock, as everywhere; processes that share counters have clocks that agree.
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
} from "../sharing/counters.ts";
import { inRedis, type Redis } from "./client.ts";

const ADD_SCRIPT = `
local sum = redis.call("INCRBY", KEYS[1], ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return sum`;

/** Whole microseconds: a script's answer is a whole number. */
const TAKE_SCRIPT = `
local now, cost, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(now, tonumber(redis.call("GET", KEYS[1]) or 0)) + cost
local early = arrival - now - window
if early > 0 then return math.ceil(early * 1000) end
redis.call("SET", KEYS[1], string.format("%.6f", arrival), "PX", math.ceil(arrival - now))
return 0`;

/** The set as a whole is gone once its last member is. */
const ONLINE_SCRIPT = `
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", ARGV[1])
redis.call("ZADD", KEYS[1], ARGV[2], ARGV[3])
local last = redis.call("ZRANGE", KEYS[1], -1, -1, "WITHSCORES")
redis.call("PEXPIRE", KEYS[1], math.ceil(tonumber(last[2]) - tonumber(ARGV[1])))
return 0`;

export function createRedisCounters(redis: Redis, clock: Clock, { space }: { readonly space: string }): Counters {
  return new RedisCounters(redis, clock, space);
}

class RedisCounters implements Counters {
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #space: string;

  constructor(redis: Redis, clock: Clock, space: string) {
    this.#redis = redis;
    this.#clock = clock;
    this.#space = space;
  }

  async add(key: string, amount: number, window: CountWindow & { readonly atMs?: number }): Promise<number> {
    checkName("a key", key);
    checkAmount(amount);
    checkWindow(window);
    const nowMs = this.#clock.wallNow();
    const number = windowNumber(window, window.atMs ?? nowMs);
    const lifeMs = Math.max(1, Math.ceil(endOfWindow(window, number) - nowMs));
    return await this.#script("count", ADD_SCRIPT, this.#sumKey(key, window, number), amount, lifeMs);
  }

  async history(key: string, window: CountWindow): Promise<number[]> {
    checkName("a key", key);
    checkWindow(window);
    const present = windowNumber(window, this.#clock.wallNow());
    const keep = window.keep ?? 0;
    const keys = Array.from({ length: keep + 1 }, (_, at) => this.#sumKey(key, window, present - keep + at));
    const sums = await inRedis("read counters", () => this.#redis.mget(keys));
    return sums.map((sum) => Number(sum ?? 0));
  }

  async take(key: string, limit: RateLimit): Promise<Taken> {
    checkName("a key", key);
    checkLimit(limit);
    const costMs = limit.windowMs / limit.limit;
    const name = `${this.#space}:rate:${key}`;
    const earlyUs = await this.#script(
      "limit a rate",
      TAKE_SCRIPT,
      name,
      this.#clock.wallNow(),
      costMs,
      limit.windowMs,
    );
    return { isAllowed: earlyUs === 0, retryAfterMs: Math.ceil(earlyUs / 1000) };
  }

  async markOnline(set: string, member: string, ttlMs: number): Promise<void> {
    checkName("a set", set);
    checkName("a member", member);
    const nowMs = this.#clock.wallNow();
    await this.#script("mark who is online", ONLINE_SCRIPT, this.#setKey(set), nowMs, nowMs + ttlMs, member);
  }

  async markOffline(set: string, member: string): Promise<void> {
    checkName("a set", set);
    await inRedis("mark who is offline", () => this.#redis.zrem(this.#setKey(set), member));
  }

  async online(set: string): Promise<string[]> {
    checkName("a set", set);
    const from = `(${this.#clock.wallNow()}`;
    const members = await inRedis(
      "read who is online",
      () => this.#redis.zrangebyscore(this.#setKey(set), from, "+inf", "LIMIT", 0, MAX_ONLINE),
    );
    return members.sort();
  }

  async #script(deed: string, script: string, key: string, ...args: (string | number)[]): Promise<number> {
    return Number(await inRedis(deed, () => this.#redis.eval(script, 1, key, ...args)));
  }

  #sumKey(key: string, { windowMs }: CountWindow, number: number): string {
    return `${this.#space}:count:${windowMs}:${number}:${key}`;
  }

  #setKey(set: string): string {
    return `${this.#space}:online:${set}`;
  }
}
