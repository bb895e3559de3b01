/**
 * What traffic costs: a price for each region and tier, and the one place where bytes become money.
 *
 *   bytes × microsPerGib ─▶ units of 1/2^30 micros, exact ─▶ charge: whole micros, rounded down ─▶ fee: rounded down
 *
 * Rounding is down and over the sum, never over a part: whoever charges in steps takes the charge of all bytes so far and
 * subtracts what was charged before. A charge is never more than its bytes cost, and an operator never has less than the
 * share that the price promises.
 */

import { z } from "zod";
import { nameSchema } from "../fields.ts";
import { formatMicros, type Micros, parseMicros } from "./money.ts";
import type { Price } from "./toll.ts";

/** How many units a micro has: with them the cost of a byte is a whole number. */
export const UNITS_PER_MICRO = 2 ** 30;
const MICRO_BITS = 30n;

/** So high that nobody asks it, and so low that a MiB costs a safe whole number of units: 1,000 a GiB. */
export const MAX_MICROS_PER_GIB = 1_000_000_000n;
export const MAX_BASIS_POINTS = 10_000;

/** What so many bytes cost, in whole micros, and what was left over before. */
export function chargeOf(bytes: number, { microsPerGib }: Price, leftOverUnits = 0): Micros {
  return BigInt(bytes) * microsPerGib + BigInt(leftOverUnits) >> MICRO_BITS;
}

/** What the house keeps of a charge. */
export function feeOf(charge: Micros, { feeBasisPoints }: Price): Micros {
  return charge * BigInt(feeBasisPoints) / BigInt(MAX_BASIS_POINTS);
}

const amountSchema = z.string().refine((text) => {
  const micros = parseMicros(text);
  return micros !== undefined && micros >= 0n && micros <= MAX_MICROS_PER_GIB;
}, `a decimal from "0" to "${formatMicros(MAX_MICROS_PER_GIB)}" with at most six digits after the point`);

const ruleSchema = z.strictObject({
  /** Left out: every region, or tier, that no other rule names. */
  region: nameSchema.optional(),
  tier: nameSchema.optional(),
  perGib: amountSchema,
  feeBasisPoints: z.int().min(0).max(MAX_BASIS_POINTS).optional(),
});

/** As it stands in a configuration; amounts are decimals in quotes, so that no float comes near them. */
export const priceListSchema = z.strictObject({
  feeBasisPoints: z.int().min(0).max(MAX_BASIS_POINTS),
  rules: z.array(ruleSchema).min(1).max(1024),
});
export type PriceListSettings = z.infer<typeof priceListSchema>;

/** A rule, read. */
export interface PriceRule extends Price {
  readonly region: string | undefined;
  readonly tier: string | undefined;
}

export class PriceList {
  readonly rules: readonly PriceRule[];
  readonly #byPlace = new Map<string, Price>();

  /** Throws a RangeError for two rules about one region and tier. */
  constructor({ rules, feeBasisPoints }: PriceListSettings) {
    this.rules = rules.map(({ region, tier, perGib, ...rule }) => ({
      region,
      tier,
      microsPerGib: parseMicros(perGib)!,
      feeBasisPoints: rule.feeBasisPoints ?? feeBasisPoints,
    }));
    for (const { region, tier, ...price } of this.rules) {
      const place = placeOf(region, tier);
      if (this.#byPlace.has(place)) throw new RangeError(`Cannot read prices: ${place} must be priced once, got twice`);
      this.#byPlace.set(place, price);
    }
  }

  /** By region and tier, else by region, else by tier, else by neither; undefined: nothing is sold there. */
  price(region: string, tier: string): Price | undefined {
    return this.#byPlace.get(placeOf(region, tier)) ?? this.#byPlace.get(placeOf(region, undefined)) ??
      this.#byPlace.get(placeOf(undefined, tier)) ?? this.#byPlace.get(placeOf(undefined, undefined));
  }
}

function placeOf(region: string | undefined, tier: string | undefined): string {
  return `region ${region ?? "*"}, tier ${tier ?? "*"}`;
}
