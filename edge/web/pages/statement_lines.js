/**
 * A statement's rows as lines for people. Traffic is charged every tick, with the house's fee beside it: of each hour that
 * becomes one line, which adds up exactly.
 */

import { micros } from "../lib/money.js";
import { bytes, short } from "../lib/words.js";

/** @import { StatementRow } from "../../orchestrator/api.ts" */

/**
 * `amount` is in millionths.
 * @typedef {{ atMs: number, reason: StatementRow["reason"], isPending: boolean, amount: bigint, about: string }} StatementLine
 */

const HOUR_MS = 3_600_000;

/**
 * @param {readonly StatementRow[]} rows the newest first
 * @returns {StatementLine[]}
 */
export function statementLines(rows) {
  /** @type {Map<number, Charges>} */
  const hours = new Map();
  /** @type {(() => StatementLine)[]} */
  const lines = [];
  for (const row of rows) {
    if (!isCharge(row)) {
      lines.push(() => ({ ...row, amount: micros(row.amount), about: memoText(row.memo) }));
      continue;
    }
    const hour = Math.floor(row.atMs / HOUR_MS);
    let charges = hours.get(hour);
    if (!charges) {
      const made = charges = new Charges(row.atMs);
      hours.set(hour, made);
      lines.push(() => made.line());
    }
    charges.add(row);
  }
  return lines.map((line) => line());
}

/** @param {StatementRow} row */
function isCharge({ reason, isPending }) {
  return (reason === "traffic" || reason === "fee") && !isPending;
}

/** What an hour's traffic came to. */
class Charges {
  #amount = 0n;
  #up = 0;
  #down = 0;
  /** @type {Set<string>} */
  #regions = new Set();

  /** @param {number} atMs of the newest row */
  constructor(atMs) {
    this.atMs = atMs;
  }

  /** @param {StatementRow} row */
  add({ amount, memo = {} }) {
    this.#amount += micros(amount);
    this.#up += Number(memo["up"] ?? 0);
    this.#down += Number(memo["down"] ?? 0);
    if (memo["region"] !== undefined) this.#regions.add(String(memo["region"]));
  }

  /** @returns {StatementLine} */
  line() {
    const where = this.#regions.size > 0 ? ` through ${[...this.#regions].sort().join(", ")}` : "";
    const about = `${bytes(this.#down)} down, ${bytes(this.#up)} up${where}`;
    return { atMs: this.atMs, reason: "traffic", isPending: false, amount: this.#amount, about };
  }
}

/**
 * What a transfer is about, in a few words.
 * @param {StatementRow["memo"]} memo
 */
export function memoText(memo = {}) {
  return Object.entries(memo).map(([name, value]) => {
    const text = typeof value === "number" ? String(value) : short(value);
    return name === "note" || name === "reason" ? String(value) : `${name} ${text}`;
  }).join(", ");
}
