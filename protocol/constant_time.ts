/** Comparing secrets: how long it takes tells nothing of where two of the same length differ. */

export function equalInConstantTime(given: Uint8Array, expected: Uint8Array): boolean {
  if (given.length !== expected.length) return false;
  let difference = 0;
  for (let at = 0; at < given.length; at++) difference |= given[at]! ^ expected[at]!;
  return difference === 0;
}
