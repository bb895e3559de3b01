/**
 * How many links one address may have, and how often it may ask for one: names cost nothing in an open network, addresses
 * do. An IPv6 /64 counts as one address.
 */

import { placeOf } from "../../protocol/control/auth_limits.ts";
import { BurstTable, type BurstTableOptions } from "../../protocol/control/burst_table.ts";
import { parseIp } from "../../protocol/ip.ts";
import type { Random } from "../../protocol/random.ts";

export interface PlaceLimitOptions {
  /** Links from one address, an IPv6 /64 counting as one. Default 256. */
  readonly maxLinksPerAddress?: number;
  /** Requests for links from one address. Default 50 a second, 500 at once: each costs a signature to check. */
  readonly addressRequests?: BurstTableOptions;
}

const DEFAULT_REQUESTS: BurstTableOptions = { perSecond: 50, burst: 500 };

export class PlaceLimits {
  readonly #maxLinks: number;
  readonly #links = new Map<string, number>();
  readonly #requests: BurstTable;

  constructor(random: Random, options: PlaceLimitOptions = {}) {
    this.#maxLinks = options.maxLinksPerAddress ?? 256;
    this.#requests = new BurstTable(random, options.addressRequests ?? DEFAULT_REQUESTS);
  }

  /** Why no request from there is looked at, or undefined; then it is counted. */
  refusalOf(place: string, nowMs: number): "links_of_address" | "requests_of_address" | undefined {
    if (this.#isCrowded(place)) return "links_of_address";
    return this.#requests.take(place, nowMs) > 0 ? "requests_of_address" : undefined;
  }

  /** A link from there is up, and counts until the result is disposed of; undefined when there is no room for it any more. */
  enter(place: string): Disposable | undefined {
    if (this.#isCrowded(place)) return undefined;
    this.#count(place, 1);
    return { [Symbol.dispose]: () => this.#count(place, -1) };
  }

  #isCrowded(place: string): boolean {
    return (this.#links.get(place) ?? 0) >= this.#maxLinks;
  }

  #count(place: string, change: 1 | -1): void {
    const there = (this.#links.get(place) ?? 0) + change;
    if (there > 0) this.#links.set(place, there);
    else this.#links.delete(place);
  }
}

/** What counts as one address. */
export function placeAt(remoteAddress: string): string {
  const address = parseIp(remoteAddress);
  return address ? placeOf(address) : remoteAddress;
}
