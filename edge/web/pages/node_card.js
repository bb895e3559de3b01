/**
 * One node as its owner sees it: its state in words, what it has done, its caps, and what can be done about it.
 */

import { badge, button, field, notice, when } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { money } from "../lib/money.js";
import { toast } from "../lib/toast.js";
import { bytes, moment, placeName, standingOf } from "../lib/words.js";
import { mayAppeal, nodeState, percent } from "./node_state.js";

/** @import { NodeStatus } from "../../../protocol/sharing/node_messages.ts" */
/** @import { EarningsView, NodeView } from "../../orchestrator/api.ts" */
/** @import { NodeState } from "./node_state.js" */
/** @import { PageContext } from "./routes.js" */

/**
 * @param {PageContext} context
 * @param {{ node: NodeView, earned: EarningsView["nodes"][number] | undefined, reload: () => Promise<void> }} options
 */
export function nodeCard(context, { node, earned, reload }) {
  const { info } = context;
  const state = nodeState(node, Date.now());
  return h(
    "article",
    { class: "node", "aria-label": node.label },
    h(
      "header",
      { class: "card-head" },
      h("div", { class: "node-name" }, h("h3", {}, node.label), badge(state.label, state.tone)),
      actions(context, node, reload),
    ),
    stateView(state),
    h(
      "dl",
      { class: "facts" },
      fact("Earned in 30 days", money(earned?.amount ?? "0", info.currency)),
      fact("Carried", earned ? bytes(earned.upBytes + earned.downBytes) : bytes(0)),
      fact("Quality", percent(node.score)),
      fact("Answers in", node.live?.rttMs === undefined ? "—" : `${Math.round(node.live.rttMs)} ms`),
      fact("Place", [placeName(node), h("span", { class: "soft steady-text" }, ` ${node.region}`)]),
      fact("Address", node.exitAddress ?? "—"),
      node.live?.status && statusFacts(node.live.status),
    ),
    details(node),
  );
}

/**
 * What is as it should be is said in passing; what is not stands out.
 * @param {NodeState} state
 */
function stateView({ tone, headline, advice }) {
  if (tone === "good" || tone === "quiet") {
    return h("p", {}, headline, advice && h("span", { class: "soft" }, ` ${advice}`));
  }
  return notice(tone, h("strong", {}, headline), advice && ` ${advice}`);
}

/**
 * @param {string} name
 * @param {import("../lib/dom.js").Child} value
 */
export function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

/**
 * What it says of itself.
 * @param {NodeStatus} status
 */
function statusFacts({ upBytes, downBytes, capLeftBytes, battery }) {
  return [
    fact("Shared since it started", bytes(upBytes + downBytes)),
    fact("Left of its cap", capLeftBytes === undefined ? "no cap" : bytes(capLeftBytes)),
    battery && fact("Battery", `${Math.round(battery.percent)} %${battery.isCharging ? ", charging" : ""}`),
  ];
}

/** @param {NodeView} node */
function details(node) {
  const { info, live, reasons } = node;
  return h(
    "details",
    { data: { key: `details ${node.nodeId}` } },
    h("summary", { data: { key: `summary ${node.nodeId}` } }, "Details"),
    h(
      "dl",
      { class: "facts" },
      fact("Node", h("code", {}, node.nodeId)),
      fact("Program", info.agent),
      fact("Machine", [info.model, info.os, info.kind].filter(Boolean).join(", ")),
      fact("Tunnels", live ? String(live.tunnels) : "none"),
      fact("Within the network", live ? h("code", {}, live.virtualAddress) : "—"),
      fact("Last seen", when(node.lastSeenAtMs)),
      fact("Consent", `version ${node.consentVersion}, ${moment(node.consentAtMs)}`),
    ),
    reasons.length > 0 && history(node),
  );
}

/** @param {NodeView} node */
export function history({ reasons }) {
  return h(
    "ul",
    { class: "history", "aria-label": "Standing until now" },
    reasons.map(({ atMs, standing, reason }) =>
      h(
        "li",
        {},
        h("span", { class: "soft" }, when(atMs)),
        h("span", {}, h("strong", {}, standingOf(standing).label), `: ${reason}`),
      )
    ),
  );
}

/**
 * @param {PageContext} context
 * @param {NodeView} node
 * @param {() => Promise<void>} reload
 */
function actions({ calls }, node, reload) {
  const { nodeId } = node;
  /**
   * @param {string} text
   * @param {() => Promise<boolean>} ask
   */
  const acting = (text, ask) => async () => {
    if (!(await ask())) return;
    toast(text);
    await reload();
  };
  const appealing = acting("Your appeal was sent", () =>
    dialog({
      title: "Appeal",
      action: "Send appeal",
      body: [
        h("p", {}, standingOf(node.standing).meaning),
        field(
          "What speaks against it",
          h("textarea", { name: "text", required: true, maxlength: 256 }),
          "One line, 256 characters at most. An admin reads it and answers.",
        ),
      ],
      submit: ({ text = "" }) => calls.appeal({ nodeId, text: text.replaceAll(/\s+/g, " ").trim() }),
    }));
  const renaming = acting("Renamed", () =>
    dialog({
      title: "Rename node",
      action: "Rename",
      body: field(
        "Name",
        h("input", { name: "label", value: node.label, required: true, maxlength: 64 }),
        "Only you and the admins see it.",
      ),
      submit: ({ label = "" }) => calls.nameNode({ nodeId, label: label.trim() }),
    }));
  const removing = acting("Removed", () =>
    dialog({
      title: "Remove node",
      action: "Remove",
      tone: "bad",
      body: h(
        "p",
        {},
        `“${node.label}” stops sharing at once and needs a new code to come back. What it has earned stays yours.`,
      ),
      submit: () => calls.removeNode({ nodeId }),
    }));
  return h(
    "div",
    { class: "actions" },
    mayAppeal(node) && button("Appeal", appealing, { class: "small primary", label: `Appeal for ${node.label}` }),
    button("Rename", renaming, { class: "small", label: `Rename ${node.label}` }),
    node.standing !== "banned" && button("Remove", removing, { class: "small", label: `Remove ${node.label}` }),
  );
}
