/** An operator's payouts: ask for one, see what became of those before. */

import { badge, button, card, field, when } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { micros, money, parseMicros } from "../lib/money.js";
import { pagedSection } from "../lib/paged.js";
import { table } from "../lib/table.js";
import { toast } from "../lib/toast.js";
import { amountInput } from "./top_up.js";

/** @import { PayoutView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */
/** @import { Tone } from "../lib/words.js" */

/** @type {Record<PayoutView["status"], { label: string, tone: Tone }>} */
export const payoutStates = {
  pending: { label: "Waits for an admin", tone: "info" },
  paid: { label: "Paid", tone: "good" },
  refused: { label: "Refused", tone: "bad" },
};

/**
 * @param {PageContext} context
 * @param {{ changed: () => Promise<void> }} options
 */
export function payoutsCard(context, { changed }) {
  const { calls, info, signal } = context;
  const sort = { column: -1, descending: false };
  const { element, reload } = pagedSection({
    signal,
    lines: 3,
    load: async (/** @type {string | undefined} */ after, signal) => {
      const { payouts, next } = await calls.payouts({ limit: 20, after }, signal);
      return { rows: payouts, next };
    },
    show: (rows) =>
      table({
        caption: "Payouts",
        rows,
        sort,
        none: "You have not asked for a payout yet",
        columns: [
          { title: "Asked", cell: ({ requestedAtMs }) => when(requestedAtMs), class: "whole" },
          { title: "State", cell: ({ status }) => badge(payoutStates[status].label, payoutStates[status].tone) },
          { title: "To", cell: ({ destination }) => destination },
          { title: "Note", cell: ({ note }) => h("span", { class: "soft" }, note ?? "") },
          { title: "Amount", isNumber: true, cell: ({ amount }) => money(amount, info.currency) },
        ],
      }),
  });
  const ask = button("Ask for a payout", async () => {
    const { earned } = await calls.balance();
    const isDone = await askDialog(context, earned);
    if (!isDone) return;
    toast("Asked for; an admin will look at it");
    await Promise.all([reload(), changed()]);
  }, { class: "small" });
  return card("Payouts", ask, element);
}

/**
 * @param {PageContext} context
 * @param {string} earned
 */
function askDialog({ calls, info }, earned) {
  const least = micros(info.smallestPayout);
  const most = micros(earned);
  return dialog({
    title: "Ask for a payout",
    action: "Ask for it",
    body: [
      h(
        "p",
        {},
        most < least
          ? `You have ${money(earned, info.currency)}; a payout is ${money(least, info.currency)} at least.`
          : `You have ${money(earned, info.currency)} to be paid out.`,
      ),
      field(`Amount in ${info.currency.toUpperCase()}`, amountInput(most < least ? info.smallestPayout : earned)),
      field(
        "Where to",
        h("input", { name: "destination", required: true, maxlength: 256 }),
        "An account number, a wallet, whatever you have agreed on with whoever runs this orchestrator.",
      ),
      h(
        "p",
        { class: "soft" },
        "The money is held until an admin has paid it or said why not. If not, it is yours again.",
      ),
    ],
    submit: ({ amount = "", destination = "" }) => {
      const value = parseMicros(amount) ?? 0n;
      if (value > most) throw new Error(`You have ${money(earned, info.currency)}: ask for that at most.`);
      if (value < least) throw new Error(`A payout is ${money(least, info.currency)} at least.`);
      return calls.requestPayout({ amount, destination: destination.trim() });
    },
  });
}
