/** An admin's nodes: how things stand, every node with its quality, and judging them. */

import { badge, button, card, field, figure, notice, select, sum } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { micros, money } from "../lib/money.js";
import { pagedSection } from "../lib/paged.js";
import { section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { toast } from "../lib/toast.js";
import { placeName, plural, short, standingOf, standings } from "../lib/words.js";
import { adminHead } from "../parts/admin_tabs.js";
import { fact, history } from "./node_card.js";
import { percent } from "./node_state.js";

/** @import { NodeView, OverviewView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

const REFRESHED_MS = 10_000;

/** @param {PageContext} context */
export function adminNodesPage(context) {
  const { calls, signal } = context;
  const overview = section({
    signal,
    everyMs: REFRESHED_MS,
    load: (signal) => calls.overview({}, signal),
    show: (answer) => overviewCard(context, answer),
  });
  const nodes = nodesCard(context, () => overview.reload());
  return h(
    "div",
    { class: "page" },
    adminHead("/admin", "Every node there is, connected or not."),
    overview.element,
    nodes,
  );
}

/**
 * @param {PageContext} context
 * @param {OverviewView} overview
 */
function overviewCard({ info }, overview) {
  const isBalanced = micros(overview.debits) === micros(overview.credits);
  return card(
    "How things stand",
    isBalanced ? badge("Ledger balanced", "good") : badge("Ledger does not balance", "bad"),
    !isBalanced &&
      notice(
        "bad",
        h("strong", {}, "The ledger does not balance. "),
        `Debits ${money(overview.debits, info.currency)}, credits ${
          money(overview.credits, info.currency)
        }. Stop payouts and find out why.`,
      ),
    h(
      "div",
      { class: "figures" },
      figure(
        "Nodes connected",
        overview.nodesConnected.toLocaleString("en"),
        `${overview.nodesOpen.toLocaleString("en")} take connections`,
      ),
      figure("Connections", overview.streams.toLocaleString("en"), `over ${plural(overview.tunnels, "tunnel")}`),
      figure(
        "Payouts",
        overview.payoutsPending.toLocaleString("en"),
        h("a", { href: "#/admin/payouts" }, "wait for you"),
      ),
      figure("Appeals", overview.appealsOpen.toLocaleString("en"), "not answered yet"),
      figure("Fees", sum(overview.fees, info.currency), "since the beginning"),
    ),
  );
}

/**
 * @param {PageContext} context
 * @param {() => Promise<void>} changed
 */
function nodesCard(context, changed) {
  const { calls, signal } = context;
  const sort = { column: -1, descending: false };
  const standing = select("standing", [
    { value: "", label: "Every standing" },
    ...Object.entries(standings).map(([value, { label }]) => ({ value, label })),
  ], { on: { change: () => void reload() } });
  standing.setAttribute("aria-label", "Standing");
  const { element, reload } = pagedSection({
    signal,
    lines: 6,
    load: async (/** @type {string | undefined} */ after, signal) => {
      const chosen = /** @type {NodeView["standing"] | ""} */ (standing.value);
      const { nodes, next } = await calls.allNodes({ limit: 100, after, ...(chosen && { standing: chosen }) }, signal);
      return { rows: nodes, next };
    },
    show: (rows) =>
      nodesTable(context, {
        rows,
        sort,
        changed: async () => {
          await Promise.all([reload(), changed()]);
        },
      }),
  });
  return card("Nodes", standing, element);
}

/**
 * @param {PageContext} context
 * @param {{ rows: readonly NodeView[], sort: import("../lib/table.js").Sort, changed: () => Promise<void> }} options
 */
function nodesTable(context, { rows, sort, changed }) {
  return table({
    caption: "Nodes with their quality",
    rows,
    sort,
    none: "No nodes",
    columns: [
      {
        title: "Node",
        sortBy: ({ label }) => label.toLowerCase(),
        cell: ({ label, nodeId, ownerId }) =>
          h(
            "div",
            {},
            h("strong", {}, label),
            h(
              "div",
              { class: "soft small-text" },
              h("code", { title: nodeId }, short(nodeId)),
              " of ",
              h("code", {}, ownerId),
            ),
          ),
      },
      { title: "Standing", sortBy: ({ standing }) => standing, cell: (node) => standingCell(node) },
      { title: "Quality", isNumber: true, sortBy: ({ score }) => score, cell: ({ score }) => percent(score) },
      {
        title: "IP risk",
        isNumber: true,
        sortBy: ({ ipRisk }) => ipRisk ?? -1,
        cell: ({ ipRisk }) => ipRisk === undefined ? "—" : percent(ipRisk),
      },
      {
        title: "RTT",
        isNumber: true,
        sortBy: ({ live }) => live?.rttMs ?? Infinity,
        cell: ({ live }) => live?.rttMs === undefined ? "—" : `${Math.round(live.rttMs)} ms`,
      },
      {
        title: "Now",
        sortBy: ({ live }) => live?.streams ?? -1,
        cell: ({ live }) =>
          !live
            ? badge("offline", "quiet")
            : live.isOpen
            ? badge(plural(live.streams, "connection"), "good")
            : badge("closed", "warn"),
      },
      {
        title: "Place",
        sortBy: ({ country }) => country ?? "",
        cell: (node) =>
          h(
            "div",
            {},
            placeName(node),
            h("div", { class: "soft small-text" }, node.exitAddress ?? ""),
          ),
      },
      {
        title: "Program",
        class: "steady",
        cell: ({ info }) => h("div", {}, info.agent, h("div", { class: "soft small-text" }, info.model ?? info.kind)),
      },
      {
        title: "",
        class: "row-actions",
        cell: (node) =>
          h(
            "div",
            { class: "actions" },
            button("Judge", () => judge(context, node, changed), { class: "small", label: `Judge ${node.label}` }),
          ),
      },
    ],
  });
}

/** @param {NodeView} node */
function standingCell(node) {
  const { label, tone } = standingOf(node.standing);
  const isAppealed = node.appeal !== undefined && node.appeal.answer === undefined;
  return h(
    "div",
    {},
    badge(label, tone),
    isAppealed && [" ", badge("appeal", "info")],
    node.reasons[0] && h("div", { class: "soft small-text" }, node.reasons[0].reason),
  );
}

/**
 * @param {PageContext} context
 * @param {NodeView} node
 * @param {() => Promise<void>} changed
 */
async function judge({ calls }, node, changed) {
  const { nodeId, appeal } = node;
  const isAppealed = appeal !== undefined && appeal.answer === undefined;
  const standing = select("standing", [
    ...Object.entries(standings).map(([value, { label }]) => ({ value, label })),
    ...(node.live ? [{ value: "disconnect", label: "Only disconnect: it may come back" }] : []),
  ], { value: node.standing });
  const meaning = h("p", { class: "soft", role: "status" });
  const explain = () =>
    meaning.textContent = standings[standing.value]?.meaning ?? "Its tunnels end now, and its standing stays.";
  standing.addEventListener("change", explain);
  explain();
  const isDone = await dialog({
    title: `Judge “${node.label}”`,
    action: "Decide",
    body: [
      isAppealed && notice("info", h("strong", {}, "Its owner appeals: "), appeal.text),
      h(
        "dl",
        { class: "facts" },
        fact("Node", h("code", {}, nodeId)),
        fact("Owner", h("code", {}, node.ownerId)),
        fact("Quality", percent(node.score)),
        fact("IP risk", node.ipRisk === undefined ? "not known" : percent(node.ipRisk)),
      ),
      node.reasons.length > 0 && h("details", {}, h("summary", {}, "Standing until now"), history(node)),
      field("Standing", standing),
      meaning,
      field(
        "Reason",
        h("input", { name: "reason", required: true, maxlength: 256 }),
        "Its owner is told, and the audit log keeps it.",
      ),
      isAppealed &&
      field(
        "Answer to the appeal",
        h("input", { name: "answer", maxlength: 256 }),
        "With an answer the appeal is closed.",
      ),
    ],
    submit: ({ standing = "", reason = "", answer = "" }) => {
      if (standing === "disconnect") return calls.disconnectNode({ nodeId, reason });
      const chosen = /** @type {NodeView["standing"]} */ (standing);
      return calls.judgeNode({ nodeId, standing: chosen, reason, ...(answer.trim() && { answer: answer.trim() }) });
    },
  });
  if (!isDone) return;
  toast("Decided");
  await changed();
}
