/**
 * How much may be led, by account and by epoch key: token buckets in rows of fixed size, which fill up as time passes.
 * Nothing is kept of flows, and a restart begins with full ones.
 */

import { ACCOUNTS } from "./ticket.ts";

export interface RouteRates {
  /** Of one account; none when left out. */
  readonly accountBytesPerS?: number;
  /** Of all tickets of one epoch; none when left out. */
  readonly epochBytesPerS?: number;
}

/** What may come at once: so long at the full rate. */
const BURST_MS = 250;
/** Enough for the largest datagrams, however low the rate. */
const MIN_BURST_BYTES = 128 * 1024;
const EPOCHS = 4;

export class RouteLimits {
  readonly #accounts: Buckets | undefined;
  readonly #epochs: Buckets | undefined;

  constructor({ accountBytesPerS, epochBytesPerS }: RouteRates = {}) {
    this.#accounts = accountBytesPerS === undefined ? undefined : new Buckets(ACCOUNTS, accountBytesPerS);
    this.#epochs = epochBytesPerS === undefined ? undefined : new Buckets(EPOCHS, epochBytesPerS);
  }

  /** Whether so many bytes may go on; if so they are counted. */
  allow(account: number, epoch: number, bytes: number, nowMs: number): boolean {
    const accounts = this.#accounts, epochs = this.#epochs, epochAt = epoch & (EPOCHS - 1);
    if (accounts && !accounts.has(account, bytes, nowMs)) return false;
    if (epochs && !epochs.has(epochAt, bytes, nowMs)) return false;
    accounts?.take(account, bytes);
    epochs?.take(epochAt, bytes);
    return true;
  }
}

class Buckets {
  readonly #bytesPerMs: number;
  readonly #burst: number;
  readonly #bytes: Float64Array;
  readonly #filledAtMs: Float64Array;

  constructor(count: number, bytesPerS: number) {
    if (!(bytesPerS > 0)) {
      throw new RangeError(`Cannot limit routes: the rate must be above 0 bytes a second, got ${bytesPerS}`);
    }
    this.#bytesPerMs = bytesPerS / 1000;
    this.#burst = Math.max(MIN_BURST_BYTES, this.#bytesPerMs * BURST_MS);
    this.#bytes = new Float64Array(count).fill(this.#burst);
    this.#filledAtMs = new Float64Array(count);
  }

  has(at: number, bytes: number, nowMs: number): boolean {
    const passedMs = Math.max(0, nowMs - this.#filledAtMs[at]!);
    this.#filledAtMs[at] = nowMs;
    this.#bytes[at] = Math.min(this.#burst, this.#bytes[at]! + passedMs * this.#bytesPerMs);
    return this.#bytes[at]! >= bytes;
  }

  take(at: number, bytes: number): void {
    this.#bytes[at]! -= bytes;
  }
}
