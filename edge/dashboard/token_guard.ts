/**
 * The administrators' token, and how often it may be guessed, for all doors at which it is shown.
 *
 *   token shown ─▶ may one more be looked at? ─▶ right: free of charge
 *                      │                    └──▶ wrong: one less, by address (an IPv6 address by its /64) and in all
 *                      └▶ no: told when, and not looked at
 *
 * Everything on loopback has one address, so waits that grow would lock the administrator out for what somebody else got wrong.
 * Instead wrong tokens are limited to a rate that is hopeless for whoever guesses: whoever has the right one gets in at once,
 * also after many wrong ones, and while somebody guesses as fast as they can within half a second. Addresses from which the
 * right one was shown lately do not wait for what happens elsewhere.
 */

import type { Clock } from "../../protocol/clock.ts";
import { equalInConstantTime } from "../../protocol/constant_time.ts";
import { placeOf } from "../../protocol/control/auth_limits.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import { TokenBucket, type TokenRate } from "../../protocol/token_bucket.ts";

/** Of wrong tokens. */
const BY_ADDRESS: TokenRate = { perSecond: 2, burst: 20 };
const IN_ALL: TokenRate = { perSecond: 10, burst: 100 };
/** Those that were quiet longest are forgotten for others; what they got wrong has counted in all. */
const MAX_PLACES = 1024;
const MAX_HOMES = 64;

export interface TokenGuardOptions {
  readonly token: string;
  readonly clock: Pick<Clock, "now">;
  /** Told of wrong tokens that were looked at, which are never so many. */
  readonly log?: Log | undefined;
}

/** What came of showing a token. */
export type Shown =
  | { readonly is: "right" | "wrong" }
  | { readonly is: "not_looked_at"; readonly retryAfterMs: number };

export class TokenGuard {
  readonly #options: TokenGuardOptions;
  readonly #expected: Uint8Array;
  readonly #all: TokenBucket;
  readonly #places = new Map<string, TokenBucket>();
  /** Where the right one was shown. */
  readonly #homes = new Map<string, TokenBucket>();

  constructor(options: TokenGuardOptions) {
    if (options.token === "") {
      throw new CulvertError("invalid_option", "Cannot let anybody in: the token must not be empty");
    }
    this.#options = options;
    this.#expected = new TextEncoder().encode(options.token);
    this.#all = new TokenBucket(options.clock, IN_ALL);
  }

  get token(): string {
    return this.#options.token;
  }

  /** Between looking at the budget and taking from it nothing else can happen. */
  show(token: string, address: string | undefined): Shown {
    const ip = address === undefined ? undefined : parseIp(address);
    const place = ip && placeOf(ip);
    const home = place === undefined ? undefined : this.#homes.get(place);
    const own = home ?? (place === undefined ? undefined : this.#bucketOf(place));
    const buckets = [...own ? [own] : [], ...home ? [] : [this.#all]];
    const empty = buckets.find((bucket) => !hasOne(bucket));
    if (empty) return { is: "not_looked_at", retryAfterMs: 1000 / empty.rate.perSecond };
    if (this.#isRight(token)) {
      if (place !== undefined && own) put(this.#homes, place, own, MAX_HOMES);
      return { is: "right" };
    }
    for (const bucket of buckets) bucket.tryTake();
    this.#options.log?.warn("A wrong token was shown to what is for administrators", { address });
    return { is: "wrong" };
  }

  /** Takes as long whatever is shown: as many bytes are compared as the right one has. */
  #isRight(token: string): boolean {
    const given = new TextEncoder().encode(token);
    const compared = new Uint8Array(this.#expected.length);
    compared.set(given.subarray(0, compared.length));
    return equalInConstantTime(compared, this.#expected) && given.length === this.#expected.length;
  }

  #bucketOf(place: string): TokenBucket {
    const bucket = this.#places.get(place) ?? new TokenBucket(this.#options.clock, BY_ADDRESS);
    put(this.#places, place, bucket, MAX_PLACES);
    return bucket;
  }
}

/** As the newest; the oldest goes where there is no room. */
function put(buckets: Map<string, TokenBucket>, place: string, bucket: TokenBucket, most: number): void {
  buckets.delete(place);
  if (buckets.size >= most) buckets.delete(buckets.keys().next().value!);
  buckets.set(place, bucket);
}

function hasOne(bucket: TokenBucket): boolean {
  const has = bucket.tryTake();
  if (has) bucket.give(1);
  return has;
}
