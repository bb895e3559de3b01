/**
 * Money: whole millionths of the one currency an orchestrator counts in, as bigint. Nothing here is ever a float, and no
 * amount is rounded but where bytes become money (`prices.ts`).
 */

/** Millionths of the currency's unit. */
export type Micros = bigint;

export const MICROS_PER_UNIT = 1_000_000n;

/** A decimal such as "12.5" or "-0.000001" as millionths; undefined when it is none, or finer than a millionth. */
export function parseMicros(text: string): Micros | undefined {
  const match = /^(-?)(\d{1,15})(?:\.(\d{1,6}))?$/.exec(text);
  if (!match) return undefined;
  const [, sign, whole, fraction = ""] = match;
  const micros = BigInt(whole!) * MICROS_PER_UNIT + BigInt(fraction.padEnd(6, "0"));
  return sign === "-" ? -micros : micros;
}

/** As a decimal with at least two digits after the point, and no more than it takes: "12.50", "0.000001". */
export function formatMicros(micros: Micros): string {
  const sign = micros < 0n ? "-" : "";
  const amount = micros < 0n ? -micros : micros;
  const fraction = (amount % MICROS_PER_UNIT).toString().padStart(6, "0").replace(/0{1,4}$/, "");
  return `${sign}${amount / MICROS_PER_UNIT}.${fraction}`;
}
