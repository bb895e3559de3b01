/**
 * Fair turns: everybody is measured once per round, so that what else the machine does hits all alike, and the median
 * of the rounds stands. Every other round goes in reverse, so that nobody always follows the same neighbour.
 */

export interface Contestant {
  readonly name: string;
}

/** Measures every contestant in every round; gives the median by name. */
export async function alternate<C extends Contestant>(
  contestants: readonly C[],
  rounds: number,
  measure: (contestant: C, round: number) => Promise<number>,
): Promise<Map<string, number>> {
  const values = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      values.get(contestant.name)!.push(await measure(contestant, round));
    }
  }
  return new Map([...values].map(([name, measured]) => [name, median(measured)]));
}

/** The middle value, or the mean of the middle two. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("Cannot take a median: there must be at least one value, got none");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
