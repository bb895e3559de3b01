/**
 * Which part of an account's transfers is asked for, checked and completed: the same for every ledger store.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { TransferPage } from "../../protocol/sharing/ledger.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
/** How many pending transfers are ended at once, if nothing else is said. */
export const MAX_EXPIRED = 1000;

export type CheckedPage = Required<TransferPage>;

/** Throws `invalid_option`. Of what was left out, `before` and `toMs` are beyond everything. */
export function checkedPage(page: TransferPage): CheckedPage {
  const { limit = DEFAULT_LIMIT, before = Number.MAX_SAFE_INTEGER, fromMs = 0, toMs = Number.MAX_SAFE_INTEGER } = page;
  for (const [name, value] of Object.entries({ before, fromMs, toMs })) {
    if (!Number.isSafeInteger(value)) throw invalid(`${name} must be a whole number, got ${value}`);
  }
  return { limit: checkedLimit(limit), before, fromMs, toMs };
}

export function checkedLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw invalid(`limit must be 1 to ${MAX_LIMIT}, got ${limit}`);
}

function invalid(problem: string): CulvertError {
  return new CulvertError("invalid_option", `Cannot read the ledger: ${problem}`);
}
