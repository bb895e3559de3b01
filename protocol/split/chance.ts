/**
 * What of a difference is beyond chance.
 *
 *   a share of so many                 Wilson's interval (1927)
 *   the difference of two shares       Newcombe's interval (1998, method 10), made of two of Wilson's
 *   two samples of values              Mann and Whitney's rank test (1947), corrected for ties: it asks nothing of how the
 *                                      values are spread, and one value that is far out moves it no more than any other
 *
 * All of it holds for values that come independently of each other.
 */

/** So many of so many. */
export interface Share {
  readonly hits: number;
  readonly total: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Of the normal distribution: what is beyond it on either side is 1 % in all. */
export const Z_OF_99_PERCENT = 2.5758293035489;

/** Where the true share lies, with the certainty that `z` stands for. Anywhere, when nothing was counted. */
export function shareInterval({ hits, total }: Share, z: number): Interval {
  if (total === 0) return { low: 0, high: 1 };
  const share = hits / total;
  const middle = share + z * z / (2 * total);
  const reach = z * Math.sqrt(share * (1 - share) / total + z * z / (4 * total * total));
  const scale = 1 + z * z / total;
  return { low: Math.max(0, (middle - reach) / scale), high: Math.min(1, (middle + reach) / scale) };
}

/** Where the true difference of the shares lies, one minus other. It is beyond chance when 0 is not in there. */
export function shareDifference(one: Share, other: Share, z: number): Interval {
  if (one.total === 0 || other.total === 0) return { low: -1, high: 1 };
  const [a, b] = [one.hits / one.total, other.hits / other.total];
  const [inOne, inOther] = [shareInterval(one, z), shareInterval(other, z)];
  return {
    low: a - b - Math.hypot(a - inOne.low, inOther.high - b),
    high: a - b + Math.hypot(inOne.high - a, b - inOther.low),
  };
}

/**
 * How far one sample's ranks are from where chance would have them, in standard deviations: below 0 when its values are the
 * smaller ones. Both are sorted; 0 when either is empty or all values are alike. Good from about eight values each.
 */
export function rankDifference(one: readonly number[], other: readonly number[]): number {
  const count = one.length + other.length;
  let rankSum = 0;
  let ties = 0;
  for (let i = 0, j = 0; i < one.length || j < other.length;) {
    const value = Math.min(one[i] ?? Infinity, other[j] ?? Infinity);
    const before = i + j;
    const from = i;
    while (one[i] === value) i++;
    while (other[j] === value) j++;
    const alike = i + j - before;
    rankSum += (i - from) * (before + (alike + 1) / 2);
    ties += alike ** 3 - alike;
  }
  const mean = one.length * (count + 1) / 2;
  const variance = one.length * other.length / 12 * (count + 1 - ties / (count * (count - 1)));
  return variance > 0 ? (rankSum - mean) / Math.sqrt(variance) : 0;
}
