/**
 * What strangers say, fit to be shown: texts of one line and a bounded length, without what cannot be seen or turns the writing
 * round; numbers within what can be. What is beyond all measure is taken for unknown rather than believed in part.
 *
 * Not here: escaping. Whoever shows a text puts it there as text.
 */

/** Characters of a name, an id, a region. */
export const MAX_NAME = 64;

const ORDINARY = /^[ -~]*$/;
/** Controls, what is written from right to left by force, half characters, breaks of lines. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]+/gu;
const HALF_AT_END = /[\uD800-\uDBFF]$/;

export function plainText(text: string, maxLength = MAX_NAME): string {
  if (text.length <= maxLength && ORDINARY.test(text)) return text;
  // However long it is, no more of it is looked at.
  const seen = text.slice(0, 4 * maxLength).replace(UNSEEN, " ").trim();
  return seen.length <= maxLength ? seen : `${seen.slice(0, maxLength - 1).replace(HALF_AT_END, "")}…`;
}

/** Undefined unless it is a number from 0 to `most`. */
export function plainNumber(value: number | undefined, most: number): number | undefined {
  return value !== undefined && value >= 0 && value <= most ? value : undefined;
}

/** How many, in whole numbers. */
export function plainCount(value: number | undefined): number | undefined {
  const known = plainNumber(value, MAX_COUNT);
  return known === undefined ? undefined : Math.floor(known);
}

/** A share; what is a little above all of it is all of it. */
export function plainShare(value: number | undefined): number | undefined {
  const known = plainNumber(value, 100);
  return known === undefined ? undefined : Math.min(1, Math.round(known * 1000) / 1000);
}

/** As many digits as anybody looks at. */
export function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 10) / 10;
}

export const MAX_RTT_MS = 86_400_000;
export const MAX_CPU_PCT = 100 * 1024;
export const MAX_MBPS = 10_000_000;
const MAX_COUNT = 1e9;
