/** An admin's payouts: those that wait, with why to look twice; confirming that one was made, or refusing it. */

import { badge, button, card, field, notice, select, when } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { micros, money } from "../lib/money.js";
import { pagedSection } from "../lib/paged.js";
import { empty } from "../lib/section.js";
import { table } from "../lib/table.js";
import { toast } from "../lib/toast.js";
import { adminHead } from "../parts/admin_tabs.js";
import { payoutStates } from "./payouts.js";

/** @import { PayoutView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function adminPayoutsPage(context) {
  const { calls, info, signal } = context;
  const sort = { column: -1, descending: false };
  const status = select("status", Object.entries(payoutStates).map(([value, { label }]) => ({ value, label })), {
    on: { change: () => void reload() },
  });
  status.setAttribute("aria-label", "State");
  const { element, reload } = pagedSection({
    signal,
    lines: 5,
    load: async (/** @type {string | undefined} */ after, signal) => {
      const wanted = /** @type {PayoutView["status"]} */ (status.value);
      const { payouts, next } = await calls.allPayouts({ status: wanted, limit: 100, after }, signal);
      return { rows: payouts, next };
    },
    show: (rows, reload) =>
      table({
        caption: "Payouts",
        rows,
        sort,
        none: empty(status.value === "pending" ? "Nothing waits for you" : "None"),
        columns: [
          {
            title: "Asked",
            sortBy: ({ requestedAtMs }) => requestedAtMs,
            cell: ({ requestedAtMs }) => when(requestedAtMs),
            class: "whole",
          },
          { title: "Operator", class: "whole", cell: ({ userId }) => h("code", {}, userId) },
          {
            title: "Amount",
            isNumber: true,
            sortBy: ({ amount }) => micros(amount),
            cell: ({ amount }) => money(amount, info.currency),
          },
          { title: "To", cell: ({ destination }) => destination },
          {
            title: "Look twice",
            cell: ({ flags }) =>
              flags.length === 0 ? h("span", { class: "soft" }, "nothing found") : h(
                "div",
                { class: "state" },
                flags.map((flag) => badge(flag, "warn")),
              ),
          },
          {
            title: "State",
            cell: (payout) =>
              h(
                "div",
                {},
                badge(payoutStates[payout.status].label, payoutStates[payout.status].tone),
                payout.note && h("div", { class: "soft small-text" }, payout.note),
              ),
          },
          {
            title: "",
            class: "row-actions",
            cell: (payout) => payout.status === "pending" ? actions(context, payout, reload) : undefined,
          },
        ],
      }),
  });
  return h(
    "div",
    { class: "page" },
    adminHead("/admin/payouts", "Pay first, then confirm here: only then does the money leave the ledger."),
    card("Payouts", status, element),
  );
}

/**
 * @param {PageContext} context
 * @param {PayoutView} payout
 * @param {() => Promise<void>} reload
 */
function actions({ calls, info }, payout, reload) {
  const { payoutId, amount, destination, flags, userId } = payout;
  /** @param {"paid" | "refused"} decision */
  const decide = (decision) => async () => {
    const isPaid = decision === "paid";
    const isDone = await dialog({
      title: isPaid ? "Confirm payout" : "Refuse payout",
      action: isPaid ? "It was paid" : "Refuse",
      ...(!isPaid && { tone: /** @type {const} */ ("bad") }),
      body: [
        flags.length > 0 && notice("warn", h("strong", {}, "Look twice: "), flags.join(", ")),
        h("p", {}, h("strong", {}, money(amount, info.currency)), " to ", h("strong", {}, destination)),
        h(
          "p",
          { class: "soft" },
          isPaid
            ? "Confirm once you have sent the money. It leaves the operator's account for good."
            : "The money is the operator's again, and they are told why.",
        ),
        field(
          isPaid ? "Number or reference of the payment" : "Reason",
          h("input", { name: "note", required: true, maxlength: 256 }),
        ),
      ],
      submit: ({ note = "" }) => calls.decidePayout({ payoutId, decision, note }),
    });
    if (!isDone) return;
    toast(isPaid ? "Confirmed" : "Refused");
    await reload();
  };
  return h(
    "div",
    { class: "actions" },
    button("Confirm", decide("paid"), { class: "small primary", label: `Confirm the payout of ${userId}` }),
    button("Refuse", decide("refused"), { class: "small", label: `Refuse the payout of ${userId}` }),
  );
}
