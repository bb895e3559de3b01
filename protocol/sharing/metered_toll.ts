/**
 * The toll of one stream over its client's meter. `allow` and `passed` are called for every read: they add and subtract
 * whole numbers and nothing else, and call out only when the money runs low or somebody waits for some to come back.
 */

import type { Toll } from "./toll.ts";
import type { TollLine } from "./toll_line.ts";
import type { TollMeter } from "./toll_meter.ts";

/** Who keeps the meter's money up. */
export interface TollKeeper {
  readonly meter: TollMeter;
  /** Nothing may be set aside at present. */
  readonly isPaused: boolean;
  /** In units: below this `onLow` is called. */
  readonly lowUnits: number;
  /** Streams that wait for money. */
  readonly waiting: number;
  onLow(): void;
  /** Somebody may get what they wait for: something was given back. */
  onReturned(): void;
  refill(toll: MeteredToll): Promise<boolean>;
  leave(toll: MeteredToll): void;
}

export class MeteredToll implements Toll {
  readonly line: TollLine;
  readonly #keeper: TollKeeper;
  readonly #meter: TollMeter;
  readonly #unitsPerByte: number;
  readonly #cut = new AbortController();
  #asideBytes = 0;
  #refills = 0;
  #isOpen = true;

  constructor(keeper: TollKeeper, line: TollLine) {
    this.#keeper = keeper;
    this.#meter = keeper.meter;
    this.line = line;
    this.#unitsPerByte = line.unitsPerByte;
  }

  get cut(): AbortSignal {
    return this.#cut.signal;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Somebody waits for `refill`. */
  get isWaiting(): boolean {
    return this.#refills > 0;
  }

  get asideUnits(): number {
    return this.#asideBytes * this.#unitsPerByte;
  }

  /** Whether a byte may pass now. */
  get isAllowed(): boolean {
    return !this.#keeper.isPaused && (this.#unitsPerByte === 0 || this.#meter.left >= this.#unitsPerByte);
  }

  allow(wantedBytes: number): number {
    const keeper = this.#keeper;
    if (keeper.isPaused || !this.#isOpen) return 0;
    const meter = this.#meter;
    let bytes = wantedBytes;
    let units = bytes * this.#unitsPerByte;
    if (units > meter.left && units > 0) {
      // Both are whole and below 2^53, so the quotient is never rounded up to a byte that there is no money for.
      bytes = meter.left > 0 ? Math.floor(meter.left / this.#unitsPerByte) : 0;
      units = bytes * this.#unitsPerByte;
    }
    meter.left -= units;
    meter.aside += units;
    this.#asideBytes += bytes;
    if (meter.left < keeper.lowUnits) keeper.onLow();
    return bytes;
  }

  passed(direction: "up" | "down", deliveredBytes: number, allowedBytes: number): void {
    if (!this.#isOpen) return;
    const meter = this.#meter;
    if (direction === "up") this.line.upBytes += deliveredBytes;
    else this.line.downBytes += deliveredBytes;
    this.#asideBytes -= allowedBytes;
    meter.aside -= allowedBytes * this.#unitsPerByte;
    if (deliveredBytes !== allowedBytes) meter.left += (allowedBytes - deliveredBytes) * this.#unitsPerByte;
    if (this.#keeper.waiting > 0) this.#keeper.onReturned();
  }

  async refill(): Promise<boolean> {
    this.#refills++;
    try {
      return await this.#keeper.refill(this);
    } finally {
      this.#refills--;
    }
  }

  /** Ends the stream. */
  end(reason: Error): void {
    this.#cut.abort(reason);
  }

  /** What was set aside and never told of goes back. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const units = this.#asideBytes * this.#unitsPerByte;
    this.#meter.aside -= units;
    this.#meter.left += units;
    this.line.tolls--;
    this.#keeper.leave(this);
    if (this.#keeper.waiting > 0) this.#keeper.onReturned();
  }
}
