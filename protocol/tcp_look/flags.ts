/**
 * TCP's flags as one word of nine bits, as RFC 9293 and RFC 3540 (NS) lay them out, and as letters: `PA` is PSH and ACK.
 */

import { CulvertError } from "../errors.ts";

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const NS = 256;
export const ALL_FLAGS = 511;

const LETTERS = "FSRPAUECN";

/** Throws when a letter is none, or comes twice. */
export function parseFlags(letters: string): number {
  let flags = 0;
  for (const letter of letters.toUpperCase()) {
    const flag = LETTERS.includes(letter) ? 1 << LETTERS.indexOf(letter) : 0;
    if (flag === 0 || (flags & flag) !== 0) throw notFlags(letters);
    flags |= flag;
  }
  if (flags === 0) throw notFlags(letters);
  return flags;
}

export function formatFlags(flags: number): string {
  return [...LETTERS].filter((_, bit) => (flags & (1 << bit)) !== 0).join("");
}

function notFlags(letters: string): CulvertError {
  const rule = `different letters of ${LETTERS}`;
  return new CulvertError("invalid_argument", `Cannot use flags: they must be ${rule}, got "${letters}"`);
}
