/**
 * The price list as clients read it: a row for every region they may meet and every tier, each with the price that is charged
 * there, whichever rule it comes from.
 */

import type { PriceRow } from "../../edge/orchestrator/deps.ts";
import type { PriceList } from "../../protocol/sharing/prices.ts";
import { FIRST_TIER } from "./settings.ts";

const MAX_TIERS = 32;
/** Nodes name their regions themselves. */
const MAX_ROWS = 10_000;

/** Every tier there is a rule for, and the one accounts begin in. */
export function tiersOf({ rules }: PriceList): string[] {
  return [...new Set([FIRST_TIER, ...rules.flatMap(({ tier }) => tier ?? [])])].slice(0, MAX_TIERS);
}

/** `regions` are those there are nodes in; those that rules name come by themselves. */
export function priceRows(prices: PriceList, regions: Iterable<string>): PriceRow[] {
  const named = prices.rules.flatMap(({ region }) => region ?? []);
  const rows = [...new Set([...named, ...regions])].flatMap((region) =>
    tiersOf(prices).flatMap((tier) => {
      const price = prices.price(region, tier);
      return price ? [{ region, tier, ...price }] : [];
    })
  );
  return rows.slice(0, MAX_ROWS);
}
