/**
 * The page of whoever shares their connection: what it earned, what state each node is in and why, how to add one, payouts.
 */

import { button, card, copyable, field, figure, notice, sum, when } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h, icon } from "../lib/dom.js";
import { micros, money } from "../lib/money.js";
import { empty, section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { toast } from "../lib/toast.js";
import { moment, plural } from "../lib/words.js";
import { pageHead } from "../parts/shell.js";
import { nodeCard } from "./node_card.js";
import { payoutsCard } from "./payouts.js";
import { statementCard } from "./statement.js";
import { usageCard } from "./usage_chart.js";

/** @import { BalanceView, EarningsView, NodeView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

const REFRESHED_MS = 10_000;

/** @param {PageContext} context */
export function operatorPage(context) {
  const isOperator = context.calls.client.user?.roles.includes("operator") ?? false;
  return isOperator ? sharingPage(context) : invitationToShare(context);
}

/** @param {PageContext} context */
function invitationToShare({ calls, rolesChanged }) {
  return h(
    "div",
    { class: "page" },
    pageHead("Share", "Let others reach the web through your connection, and be paid for what they use."),
    card(
      "Before you begin",
      undefined,
      h(
        "ul",
        { class: "stack" },
        h(
          "li",
          {},
          h("strong", {}, "What you share. "),
          "Clients' connections leave from your address: websites see you. The node shows the exact terms, and asks you to agree, before it starts.",
        ),
        h(
          "li",
          {},
          h("strong", {}, "What you decide. "),
          "Caps by day and month, speed, hours, not on battery, not on metered connections. Pause at any time.",
        ),
        h(
          "li",
          {},
          h("strong", {}, "What never leaves. "),
          "Mail servers (port 25) and everything on your own network are closed, both here and on your node.",
        ),
        h(
          "li",
          {},
          h("strong", {}, "What you earn. "),
          "The price of the region, less the fee, for every byte that was delivered. The figure you see is computed from the rows you are paid.",
        ),
      ),
      h(
        "div",
        { class: "actions" },
        button("Start sharing", async () => {
          await calls.changeAccount({ becomeOperator: true });
          await rolesChanged();
        }, { class: "primary" }),
      ),
    ),
  );
}

/** @param {PageContext} context */
function sharingPage(context) {
  const { calls, signal } = context;
  const summary = section({
    signal,
    everyMs: REFRESHED_MS,
    load: async (signal) => {
      const [balance, earnings, { nodes }, account] = await Promise.all([
        calls.balance({}, signal),
        calls.earnings({}, signal),
        calls.nodes({ limit: 1000 }, signal),
        calls.account({}, signal),
      ]);
      return { balance, earnings, nodes, hold: account.payoutHold };
    },
    show: ({ balance, earnings, nodes, hold }) => [
      summaryCard(context, { balance, earnings, nodes }),
      hold && hold.untilMs > Date.now() &&
      notice("warn", h("strong", {}, `Payouts are held until ${moment(hold.untilMs)}: `), hold.reason),
      h("h2", { class: "for-readers" }, "Nodes"),
      nodes.length === 0
        ? empty(
          "You have no nodes yet",
          h("p", {}, "A node is a program on a machine of yours. Add one: you get a code and the line that starts it."),
          addButton(context, reloadAll),
        )
        : nodes.map((node) =>
          nodeCard(context, {
            node,
            earned: earnings.nodes.find(({ nodeId }) => nodeId === node.nodeId),
            reload: reloadAll,
          })
        ),
    ],
    class: "stack",
  });
  const codes = codesSection(context);
  const payouts = payoutsCard(context, { changed: () => summary.reload() });
  async function reloadAll() {
    await Promise.all([summary.reload(), codes.reload()]);
  }
  return h(
    "div",
    { class: "page" },
    pageHead("Share", "Your nodes, what they earn, and why.", addButton(context, reloadAll)),
    summary.element,
    codes.element,
    usageCard(context, { side: "operator" }).card,
    payouts,
    statementCard(context, "operator").card,
  );
}

/**
 * @param {PageContext} context
 * @param {{ balance: BalanceView, earnings: EarningsView, nodes: readonly NodeView[] }} answer
 */
function summaryCard({ info }, { balance, earnings, nodes }) {
  const online = nodes.filter(({ live }) => live).length;
  const carrying = nodes.reduce((sum, { live }) => sum + (live?.streams ?? 0), 0);
  return card(
    "Earnings",
    undefined,
    h(
      "div",
      { class: "figures" },
      figure(
        "To be paid out",
        sum(balance.earned, balance.currency),
        `payouts from ${money(info.smallestPayout, info.currency)}`,
      ),
      figure(
        "On its way",
        sum(balance.inPayout, balance.currency),
        micros(balance.inPayout) > 0n ? "waits for an admin" : undefined,
      ),
      figure(
        "Last 30 days",
        sum(earnings.total, balance.currency),
        earnings.isPartial ? "of the newest rows only: there are too many to add up here" : undefined,
      ),
      figure(
        "Online",
        `${online} of ${nodes.length}`,
        carrying > 0 ? `${plural(carrying, "connection")} now` : "no connections now",
      ),
    ),
  );
}

/**
 * @param {PageContext} context
 * @param {() => Promise<void>} reload
 */
function addButton({ calls, info }, reload) {
  return button([icon("plus"), "Add a node"], async () => {
    let code = "";
    const made = await dialog({
      title: "Add a node",
      action: "Make a code",
      body: field(
        "Name",
        h("input", { name: "label", required: true, maxlength: 64, placeholder: "such as: living room" }),
        "To tell it from others; only you and the admins see it.",
      ),
      submit: async ({ label = "" }) => {
        code = (await calls.enrolNode({ label: label.trim() })).code;
      },
    });
    if (!made) return;
    void reload();
    await dialog({
      title: "Start it",
      action: "Done",
      body: [
        h(
          "p",
          {},
          "On the machine that is to share its connection. The code counts once, for a day, and is shown this once.",
        ),
        h("div", {}, h("p", { class: "line-name" }, "Code"), copyable("code", code)),
        h("div", {}, h("p", { class: "line-name" }, "Line"), copyable("line", nodeLine(info.orchestratorId, code))),
        h(
          "p",
          { class: "soft" },
          "Limits are yours to set there: --daily-cap 5GiB, --monthly-cap, --speed-limit, --schedule and more, see culvert node --help.",
        ),
        h(
          "p",
          { class: "soft" },
          "It shows what will be shared and asks for your consent, then connects and appears here.",
        ),
      ],
    });
  }, { class: "primary" });
}

/**
 * @param {string} orchestratorId
 * @param {string} code
 */
function nodeLine(orchestratorId, code) {
  // The orchestrator's id where others have a user: the node lets nobody else answer.
  const address = `${location.protocol}//${orchestratorId}@${location.host}/`;
  return `culvert node --orchestrator ${address} --code ${code}`;
}

/** @param {PageContext} context */
function codesSection({ calls, signal }) {
  return section({
    signal,
    lines: 1,
    load: (signal) => calls.nodeCodes({}, signal),
    show: ({ codes }, reload) =>
      codes.length > 0 && card(
        "Codes nobody has used yet",
        undefined,
        table({
          caption: "Codes",
          rows: codes,
          none: "",
          columns: [
            { title: "For", cell: ({ label }) => label },
            { title: "Counts until", cell: ({ expiresAtMs }) => when(expiresAtMs) },
            {
              title: "",
              class: "row-actions",
              cell: ({ codeId, label }) =>
                h(
                  "div",
                  { class: "actions" },
                  button("Revoke", async () => {
                    await calls.revokeNodeCode({ codeId });
                    toast("Revoked");
                    await reload();
                  }, { class: "small", label: `Revoke the code for ${label}` }),
                ),
            },
          ],
        }),
      ),
  });
}
