/**
 * A provider's currency against our money. Providers count in a currency's smallest coin, and how many of those make one
 * is different by currency. Source of the exceptions: docs.stripe.com/currencies, "Zero-decimal currencies",
 * "Three-decimal currencies" and "Special cases" (ISK and UGX have no coins and are written with two digits all the same).
 */

import type { Micros } from "../money.ts";

export interface PaymentCurrency {
  /** Lower case, ISO 4217, or `xtr` for Telegram's Stars. */
  readonly code: string;
  /** What the smallest coin is worth. */
  readonly microsPerCoin: Micros;
}

const ZERO_DECIMAL = new Set(
  "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" "),
);
const THREE_DECIMAL = new Set("bhd jod kwd omr tnd".split(" "));

/** A currency that our money is counted in: one of it is 1,000,000 micros. Throws a RangeError when it is none. */
export function currencyOf(code: string): PaymentCurrency {
  const lower = code.toLowerCase();
  if (!/^[a-z]{3}$/.test(lower)) {
    throw new RangeError(`Cannot take payments: a currency must be three letters, got ${code}`);
  }
  const microsPerCoin = ZERO_DECIMAL.has(lower) ? 1_000_000n : THREE_DECIMAL.has(lower) ? 1_000n : 10_000n;
  return { code: lower, microsPerCoin };
}

/** So many coins cover the amount. */
export function coinsFor(amount: Micros, { microsPerCoin }: PaymentCurrency): number {
  return Number((amount + microsPerCoin - 1n) / microsPerCoin);
}

export function microsOf(coins: number, { microsPerCoin }: PaymentCurrency): Micros {
  return BigInt(coins) * microsPerCoin;
}
