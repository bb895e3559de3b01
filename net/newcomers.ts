/**
 * Connections whose owner has not shown yet who it is, so that strangers cannot keep others out: each has a deadline for
 * its request, there are so many at most, and so many from one address (an IPv6 /64 counts as one). Whoever is beyond
 * that takes the place of the oldest, since honest newcomers are through within moments. When thousands come back at once
 * they are not: so the next is kept waiting for a place, unless the oldest has had enough time in its own.
 *
 *   arrived ── deadline ──→ requested ──→ known, or gone
 *   └────────── counts for its address ──────────┘
 */

import type { Clock } from "../protocol/clock.ts";
import { placeOf } from "../protocol/control/auth_limits.ts";
import { parseIp } from "../protocol/ip.ts";
import { closeQuietly } from "./close.ts";
import { Deadlines } from "./deadlines.ts";

/** So long one may be here when others wait for its place; at ease it has the whole deadline. */
const CROWDED_MS = 2_000;

interface Closable {
  close(): void;
}

/** Why a connection was ended before it had shown who it is. */
export type NewcomerDrop = "timeout" | "too_many" | "too_many_of_address";

export interface NewcomersOptions {
  readonly clock: Clock;
  /** From arriving to the end of the request. */
  readonly timeoutMs: number;
  /** Before the end of their request. */
  readonly max: number;
  /** Before they are known. */
  readonly maxPerAddress: number;
  onDrop(reason: NewcomerDrop): void;
}

export class Newcomers implements Disposable {
  readonly #options: NewcomersOptions;
  /** Those whose request has not ended, the oldest first. */
  readonly #requesting: Deadlines<Closable>;
  #requestingCount = 0;
  /** Settles the wait for a place. */
  #onPlace: () => void = () => {};
  /** Those that are not known, by address, the oldest first. */
  readonly #ofAddress = new Map<string, Set<Closable>>();
  readonly #places = new Map<Closable, string>();
  #isOver = false;

  constructor(options: NewcomersOptions) {
    this.#options = options;
    this.#requesting = new Deadlines<Closable>(options.clock, options.timeoutMs, (one) => {
      this.#requestingCount--;
      this.#onPlace();
      this.#drop(one, "timeout");
    });
  }

  /** Settles when there is a place for one more, or the oldest has dawdled in its own. */
  async place(): Promise<void> {
    const { clock, max, timeoutMs } = this.#options;
    while (this.#requestingCount >= max) {
      const leftMs = this.#requesting.soonestMs - timeoutMs + CROWDED_MS - clock.now();
      if (leftMs <= 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onPlace = resolve;
      using _timer = clock.after(leftMs, resolve);
      await promise;
    }
  }

  /** Takes one in, at the cost of an older one when there are too many; once all has ended, it is closed. */
  arrived(one: Closable, remoteAddress: string): void {
    const address = parseIp(remoteAddress);
    this.#arrivedFrom(one, address ? placeOf(address) : "");
  }

  #arrivedFrom(one: Closable, place: string): void {
    if (this.#isOver) return closeQuietly(one);
    const { max, maxPerAddress } = this.#options;
    const others = this.#ofAddress.get(place) ?? new Set();
    if (others.size >= maxPerAddress) this.#drop(others.values().next().value!, "too_many_of_address");
    if (this.#requestingCount >= max) this.#drop(this.#requesting[Symbol.iterator]().next().value!, "too_many");
    this.#ofAddress.set(place, others.add(one));
    this.#places.set(one, place);
    this.#requesting.add(one);
    this.#requestingCount++;
  }

  /** Whether it is here still, and has not been dropped. */
  has(one: Closable): boolean {
    return this.#places.has(one);
  }

  /** Its request has ended: there is no deadline any more. */
  requested(one: Closable): void {
    if (!this.#requesting.delete(one)) return;
    this.#requestingCount--;
    this.#onPlace();
  }

  /** It has been answered and may ask again, or does so now: as if it had just arrived. */
  again(one: Closable, remoteAddress: string): void {
    const place = this.#places.get(one);
    this.settled(one);
    if (place === undefined) this.arrived(one, remoteAddress);
    else this.#arrivedFrom(one, place);
  }

  /** It has shown who it is, or is gone. */
  settled(one: Closable): void {
    this.requested(one);
    const place = this.#places.get(one);
    if (place === undefined) return;
    this.#places.delete(one);
    const others = this.#ofAddress.get(place)!;
    others.delete(one);
    if (others.size === 0) this.#ofAddress.delete(place);
  }

  /** Closes those whose request has not ended. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const one of [...this.#requesting]) {
      this.settled(one);
      closeQuietly(one);
    }
    this.#requesting[Symbol.dispose]();
    this.#requestingCount = 0;
    this.#onPlace();
  }

  #drop(one: Closable, reason: NewcomerDrop): void {
    this.settled(one);
    closeQuietly(one);
    this.#options.onDrop(reason);
  }
}
