/**
 * What money moved and why, as a list (traffic by the hour) and as files (every row): rows of the ledger, the same that are
 * paid.
 */

import { badge, button, card, when } from "../lib/controls.js";
import { h, icon } from "../lib/dom.js";
import { money } from "../lib/money.js";
import { pagedSection } from "../lib/paged.js";
import { table } from "../lib/table.js";
import { statementLines } from "./statement_lines.js";

/** @import { StatementRow } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @type {Record<StatementRow["reason"], string>} */
const reasons = {
  traffic: "Traffic",
  fee: "Fee",
  hold: "Set aside",
  topup: "Top-up",
  refund: "Refund",
  payout: "Payout",
  gift: "Credit",
  correction: "Correction",
};

/** Traffic is charged each tick: so many rows are some minutes of it. */
const ROWS = 500;
const MAX_ROWS = 50_000;

/**
 * @param {PageContext} context
 * @param {"client" | "operator"} side
 */
export function statementCard({ calls, info, signal }, side) {
  const sort = { column: -1, descending: false };
  const { element, reload } = pagedSection({
    signal,
    lines: 5,
    load: async (/** @type {number | undefined} */ before, signal) => {
      const { rows, next } = await calls.statement({ side, limit: ROWS, before }, signal);
      return { rows, next };
    },
    show: (rows) =>
      table({
        caption: "Statement",
        rows: statementLines(rows),
        sort,
        none: side === "client" ? "No money has moved yet" : "Nothing was credited yet",
        columns: [
          { title: "When", cell: ({ atMs }) => when(atMs), class: "whole" },
          {
            title: "What",
            class: "whole",
            cell: ({ reason, isPending }) =>
              h("span", {}, reasons[reason] ?? reason, isPending && [" ", badge("held", "quiet")]),
          },
          { title: "About", cell: ({ about }) => h("span", { class: "soft" }, about) },
          {
            title: "Amount",
            isNumber: true,
            cell: ({ amount }) =>
              h("span", { class: amount > 0n ? "gain" : undefined }, money(amount, info.currency, { signed: true })),
          },
        ],
      }),
  });
  const csv = button([icon("down"), "CSV"], async () => {
    save(await calls.file.statement({ side, format: "csv" }), `statement-${side}.csv`);
  }, { class: "small", label: "Download the statement as CSV" });
  const json = button([icon("down"), "JSON"], async () => {
    const text = JSON.stringify(await allRows(calls, side), null, 2);
    save(new Blob([text], { type: "application/json" }), `statement-${side}.json`);
  }, { class: "small", label: "Download the statement as JSON" });
  return { card: card("Statement", [csv, json], element), reload };
}

/**
 * Every row there is, as far as the CSV goes too.
 * @param {PageContext["calls"]} calls
 * @param {"client" | "operator"} side
 */
async function allRows(calls, side) {
  /** @type {StatementRow[]} */
  const all = [];
  /** @type {number | undefined} */
  let before;
  while (all.length < MAX_ROWS) {
    const { rows, next } = await calls.statement({ side, limit: 1000, before });
    all.push(...rows);
    if (next === undefined) break;
    before = next;
  }
  return all;
}

/**
 * @param {Blob} file
 * @param {string} name
 */
function save(file, name) {
  const url = URL.createObjectURL(file);
  h("a", { href: url, download: name }).click();
  // The browser has taken hold of it by the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
