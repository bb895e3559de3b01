/**
 * Which regions a map has: the largest ones under their own names, and one for all the others. Anybody may say that they are in a
 * region of their own, so their number needs a bound.
 */

import { plainText } from "./plain.ts";
import type { Snapshot } from "./snapshot.ts";

export const MAX_REGIONS = 24;
/** What those are in whose region is not on the map. */
export const ELSEWHERE = "elsewhere";

/** A supernode makes a region more than any number of peers that say they are in it. */
const SUPERNODE_WEIGHT = 1e9;

export class MapRegions {
  /** How many there are, on the map or not. */
  readonly count: number;
  readonly #shown = new Map<string, string>();

  constructor({ supernodes, peers }: Pick<Snapshot, "supernodes" | "peers">) {
    const weights = new Map<string, number>();
    const weigh = (region: string, weight: number) => weights.set(region, (weights.get(region) ?? 0) + weight);
    for (const { region } of supernodes) weigh(region, SUPERNODE_WEIGHT);
    for (const { region } of peers) weigh(region, 1);
    this.count = weights.size;
    const largest = [...weights].sort(([one, a], [other, b]) => b - a || (one < other ? -1 : 1));
    for (const [region] of largest.slice(0, MAX_REGIONS)) this.#shown.set(region, plainText(region) || ELSEWHERE);
  }

  /** As which one it is shown. */
  of(region: string): string {
    return this.#shown.get(region) ?? ELSEWHERE;
  }
}
