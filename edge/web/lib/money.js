/**
 * Money on the page: decimals as text, counted in whole millionths as bigint, exactly as `protocol/sharing/money.ts` does.
 * Never a Number: 0.1 + 0.2 is 0.3 here.
 */

const MICROS_PER_UNIT = 1_000_000n;
const BYTES_PER_GIB = 1n << 30n;

/**
 * Millionths, or undefined when the text is no decimal or finer than a millionth.
 * @param {string} text
 * @returns {bigint | undefined}
 */
export function parseMicros(text) {
  const match = /^(-?)(\d{1,15})(?:\.(\d{1,6}))?$/.exec(text);
  if (!match) return undefined;
  const micros = BigInt(match[2] ?? "0") * MICROS_PER_UNIT + BigInt((match[3] ?? "").padEnd(6, "0"));
  return match[1] === "-" ? -micros : micros;
}

/**
 * What an API has written; anything else is 0, for a page has nobody to throw at.
 * @param {string} text
 */
export function micros(text) {
  return parseMicros(text) ?? 0n;
}

/**
 * As a decimal with at least two digits after the point and no more than it takes.
 * @param {bigint} amount
 */
export function decimal(amount) {
  const sign = amount < 0n ? "-" : "";
  const size = amount < 0n ? -amount : amount;
  const fraction = (size % MICROS_PER_UNIT).toString().padStart(6, "0").replace(/0{1,4}$/, "");
  return `${sign}${size / MICROS_PER_UNIT}.${fraction}`;
}

/**
 * For people: a sign that is one, thousands apart, the currency's symbol or code. Every digit there is is shown.
 * @param {string | bigint} amount
 * @param {string} currency ISO 4217
 * @param {{ signed?: boolean }} [options] `signed`: with a plus sign too
 */
export function money(amount, currency, { signed = false } = {}) {
  const text = typeof amount === "bigint" ? decimal(amount) : amount;
  const count = parseMicros(text);
  if (count === undefined) return text;
  const [whole = "0", fraction = "00"] = decimal(count < 0n ? -count : count).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const sign = count < 0n ? "−" : signed && count > 0n ? "+" : "";
  const symbol = symbolOf(currency);
  return symbol.length === 1 ? `${sign}${symbol}${grouped}.${fraction}` : `${sign}${grouped}.${fraction} ${symbol}`;
}

/** @param {string} currency */
function symbolOf(currency) {
  return { USD: "$", EUR: "€", GBP: "£" }[currency.toUpperCase()] ?? currency.toUpperCase();
}

/**
 * How many bytes a sum pays for.
 * @param {bigint} amount
 * @param {bigint} perGib
 * @returns {bigint | undefined} undefined when it costs nothing
 */
export function bytesFor(amount, perGib) {
  if (perGib <= 0n) return undefined;
  return amount <= 0n ? 0n : amount * BYTES_PER_GIB / perGib;
}
