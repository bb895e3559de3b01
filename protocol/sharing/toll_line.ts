/**
 * What one client has had through one node within one session, and how much of that was charged. Streams of the same
 * kind share a line, so that what a charge leaves over of a micro is left over once and not at every stream.
 *
 *   upBytes, downBytes   grow as streams deliver, plain numbers
 *   due()                what they cost by now, less what was charged: whole micros, rounded down over the sum
 */

import { chargeOf, feeOf, UNITS_PER_MICRO } from "./prices.ts";
import type { Micros } from "./money.ts";
import type { Fare, Price } from "./toll.ts";

/** What a settlement takes for a line, and the bytes it is for. */
export interface LineCharge {
  readonly line: TollLine;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly charge: Micros;
  /** Of the charge, what the house keeps. */
  readonly fee: Micros;
}

export class TollLine {
  readonly fare: Fare;
  readonly price: Price;
  /** What a byte costs, in units. */
  readonly unitsPerByte: number;
  /** Streams that are open. */
  tolls = 0;
  upBytes = 0;
  downBytes = 0;
  /** What lines that ended before have left over, less than a micro each. */
  #carriedUnits: number;
  #charged: Micros = 0n;
  #fees: Micros = 0n;
  #seenBytes = 0;
  #chargedUpBytes = 0;
  #chargedDownBytes = 0;

  constructor(fare: Fare, price: Price, carriedUnits = 0) {
    this.fare = fare;
    this.price = price;
    this.unitsPerByte = Number(price.microsPerGib);
    this.#carriedUnits = carriedUnits;
  }

  /** What is due now, or the part of it that there is money for; undefined for less than a micro. */
  due(money?: Micros): LineCharge | undefined {
    const { upBytes, downBytes } = this;
    const total = chargeOf(upBytes + downBytes, this.price, this.#carriedUnits);
    const charged = money !== undefined && total > this.#charged + money ? this.#charged + money : total;
    if (charged === this.#charged) return undefined;
    return {
      line: this,
      upBytes: upBytes - this.#chargedUpBytes,
      downBytes: downBytes - this.#chargedDownBytes,
      charge: charged - this.#charged,
      fee: feeOf(charged, this.price) - this.#fees,
    };
  }

  /** What was delivered since this was asked before. */
  bytesSinceLook(): number {
    const bytes = this.upBytes + this.downBytes;
    const since = bytes - this.#seenBytes;
    this.#seenBytes = bytes;
    return since;
  }

  /** It was paid. */
  settle({ upBytes, downBytes, charge, fee }: LineCharge): void {
    this.#chargedUpBytes += upBytes;
    this.#chargedDownBytes += downBytes;
    this.#charged += charge;
    this.#fees += fee;
  }

  /** What was delivered and is not paid. */
  get unpaidUnits(): number {
    const total = BigInt(this.upBytes + this.downBytes) * this.price.microsPerGib + BigInt(this.#carriedUnits);
    return Number(total - this.#charged * BigInt(UNITS_PER_MICRO));
  }
}
