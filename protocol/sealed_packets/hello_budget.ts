/**
 * How many hellos may be looked at in vain: each costs key agreements, and whoever knows the server's public key can make as
 * many as they like. So many of all places together, and a part of it of one (an IPv4 address, or an IPv6 /64: whoever has
 * one address of it has all), so that one place cannot keep all others out. Those that count are given back.
 *
 * Places share a fixed number of buckets by a secret hash. Sources can be forged where datagrams need no connection: against
 * many of those it bounds what they cost, and no more.
 */

import type { Clock } from "../clock.ts";
import { parseIp } from "../ip.ts";
import { type Random, randomInt } from "../random.ts";
import { TokenBucket, type TokenRate } from "../token_bucket.ts";

const OF_ALL: TokenRate = { perSecond: 1000, burst: 1000 };
const OF_A_PLACE: TokenRate = { perSecond: 100, burst: 200 };
const BUCKETS = 256;
const IPV6_BYTES = 16;

export class HelloBudget {
  readonly #clock: Pick<Clock, "now">;
  readonly #all: TokenBucket;
  readonly #places: (TokenBucket | undefined)[] = new Array(BUCKETS).fill(undefined);
  readonly #secret: number;

  constructor(clock: Pick<Clock, "now">, random: Random) {
    this.#clock = clock;
    this.#all = new TokenBucket(clock, OF_ALL);
    this.#secret = randomInt(random, 2 ** 32);
  }

  /** Whether a hello from that address may be looked at. */
  take(host: string): boolean {
    const place = this.#placeOf(host);
    if (!place.tryTake()) return false;
    if (this.#all.tryTake()) return true;
    place.give(1);
    return false;
  }

  /** It was not in vain. */
  give(host: string): void {
    this.#placeOf(host).give(1);
    this.#all.give(1);
  }

  #placeOf(host: string): TokenBucket {
    const address = parseIp(host) ?? [];
    const count = address.length === IPV6_BYTES ? IPV6_BYTES / 2 : address.length;
    let hash = this.#secret;
    for (let at = 0; at < count; at++) hash = Math.imul(hash ^ address[at]!, 0x01000193);
    hash ^= hash >>> 15;
    return this.#places[hash & (BUCKETS - 1)] ??= new TokenBucket(this.#clock, OF_A_PLACE);
  }
}
