/**
 * How much those behind one address may do at a relay: connections at once, attempts and bytes a second. An IPv6 address
 * counts by its /64. Where no address is known there is no limit by address.
 */

import type { Clock } from "../protocol/clock.ts";
import { placeOf } from "../protocol/control/auth_limits.ts";
import { BurstTable } from "../protocol/control/burst_table.ts";
import { parseIp } from "../protocol/ip.ts";
import type { Random } from "../protocol/random.ts";
import { TokenBucket, type TokenRate } from "../protocol/token_bucket.ts";

export interface ClientLimitOptions {
  /** Default 1,024. */
  readonly maxChannels?: number | undefined;
  /** New sessions, connections and requests. Default 100 a second, 2,000 at once. */
  readonly attempts?: TokenRate | undefined;
  /** Default 256 MiB a second. */
  readonly bytes?: TokenRate | undefined;
}

/** Addresses that are remembered; of those without a connection the one that was longest quiet goes first. */
const MAX_ADDRESSES = 16_384;
const DEFAULT_ATTEMPTS: TokenRate = { perSecond: 100, burst: 2000 };
const DEFAULT_BYTES: TokenRate = { perSecond: 256 * 2 ** 20, burst: 64 * 2 ** 20 };

/** What one address does at present. */
export class AddressUse {
  readonly place: string;
  channels = 0;
  readonly #bytes: TokenBucket;

  constructor(place: string, bytes: TokenBucket) {
    this.place = place;
    this.#bytes = bytes;
  }

  /** Whether so many more bytes may come from there now. */
  takeBytes(count: number): boolean {
    return this.#bytes.takeUnlessBehind(count);
  }
}

export class ClientLimits {
  readonly #clock: Clock;
  readonly #options: ClientLimitOptions;
  readonly #attempts: BurstTable;
  readonly #uses = new Map<string, AddressUse>();

  constructor(clock: Clock, random: Random, options: ClientLimitOptions = {}) {
    this.#clock = clock;
    this.#options = options;
    this.#attempts = new BurstTable(random, options.attempts ?? DEFAULT_ATTEMPTS);
  }

  /** What is known of an address. */
  useOf(remoteAddress: string | undefined): AddressUse | undefined {
    const address = remoteAddress === undefined ? undefined : parseIp(remoteAddress);
    if (!address) return undefined;
    const place = placeOf(address);
    const use = this.#uses.get(place) ?? this.#add(place);
    // The quiet ones are at the front.
    this.#uses.delete(place);
    this.#uses.set(place, use);
    return use;
  }

  /** Counts an attempt from there and gives 0, or gives the milliseconds to wait for the next. */
  takeAttempt(use: AddressUse | undefined): number {
    return use ? this.#attempts.take(use.place, this.#clock.now()) : 0;
  }

  /** Whether there is room for one more connection from there. */
  hasRoom(use: AddressUse | undefined): boolean {
    return !use || use.channels < (this.#options.maxChannels ?? 1024);
  }

  #add(place: string): AddressUse {
    if (this.#uses.size >= MAX_ADDRESSES) {
      for (const [other, use] of this.#uses) {
        if (use.channels > 0) continue;
        this.#uses.delete(other);
        break;
      }
    }
    return new AddressUse(place, new TokenBucket(this.#clock, this.#options.bytes ?? DEFAULT_BYTES));
  }
}
