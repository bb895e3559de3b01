/** What administrators do to the network: its supernodes, its parts and whoever was shut out, each with what can be done to it. */

import { badge, button, card, field } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h, replaceChildren } from "../lib/dom.js";
import { empty, keepPlace } from "../lib/section.js";
import { table } from "../lib/table.js";
import { blockedList } from "./blocked_list.js";
import { askRevoke, isPossible, letIn, supernodeButtons } from "./deeds.js";
import { partList } from "./part_list.js";
import { pushDialog } from "./push.js";
import { percent, states } from "./words.js";

/** @import { NodeView } from "../../dashboard/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function controlPage(context) {
  const { live, signal } = context;
  const list = h("div", { class: "section" });
  const byId = h("div", { class: "actions" });
  const sort = { column: -1, descending: false };
  let shown = "";
  const draw = () => {
    if (!live.view || document.querySelector("dialog[open]")) return;
    const supernodes = live.view.nodes.filter(({ kind }) => kind === "supernode");
    const text = JSON.stringify([supernodes, live.view.deeds]);
    if (text === shown) return;
    shown = text;
    keepPlace(list, () => replaceChildren(list, supernodeTable(supernodes, sort, context)));
    keepPlace(byId, () => replaceChildren(byId, byIdButtons(context)));
  };
  live.addEventListener("view", draw, { signal });
  draw();
  return h(
    "div",
    { class: "page" },
    h(
      "header",
      { class: "page-head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, "Control"),
        h("p", {}, "All that is done here is written into the audit log, where there is one."),
      ),
      byId,
    ),
    card("Supernodes", undefined, list),
    blockedList(context),
    partList(context),
  );
}

/**
 * Of a peer that one knows the id of, whether it is here or not.
 * @param {PageContext} context
 */
function byIdButtons(context) {
  return [
    isPossible(context, "push") && button("Push a command…", () =>
      askId("Push a command", async (id) => {
        await pushDialog({ ...context, peerId: id, label: id });
      })),
    isPossible(context, "revoke") && button("Revoke a peer…", () =>
      askId("Revoke a peer", async (id) => {
        await askRevoke(context, { peerId: id, label: id });
      }), { class: "danger" }),
    (isPossible(context, "unrevoke") || isPossible(context, "unblock")) &&
    button("Let in again…", () =>
      askId("Let in again", async (id) => {
        const isSupernode = context.live.view?.blocked.find((each) => each.id === id)?.isSupernode === true;
        await letIn(context, { id, isSupernode });
      })),
  ];
}

/**
 * @param {string} title
 * @param {(id: string) => Promise<void>} go
 */
async function askId(title, go) {
  const id = h("input", {
    name: "peerId",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    pattern: "\\s*[a-z2-7]{26}\\s*",
  });
  const isGiven = await dialog({
    title,
    body: field("Peer id", id, "26 letters and digits, as the pages show it."),
    action: "Go on",
    submit: () => Promise.resolve(),
  });
  if (isGiven) await go(id.value.trim());
}

/**
 * @param {readonly NodeView[]} supernodes
 * @param {import("../lib/table.js").Sort} sort
 * @param {PageContext} context
 */
function supernodeTable(supernodes, sort, context) {
  return table({
    caption: "Supernodes",
    rows: supernodes,
    sort,
    none: empty("There is no supernode yet"),
    columns: [
      { title: "Supernode", sortBy: ({ label }) => label, cell: ({ label }) => h("strong", {}, h("bdi", {}, label)) },
      { title: "Region", sortBy: ({ region }) => region, cell: ({ region }) => region },
      {
        title: "State",
        sortBy: ({ state }) => state,
        cell: ({ state }) => badge(states[state].label, states[state].tone),
      },
      {
        title: "Peers",
        isNumber: true,
        sortBy: ({ streams }) => streams ?? 0,
        cell: ({ streams }) => streams?.toLocaleString("en"),
      },
      {
        title: "Sessions",
        isNumber: true,
        sortBy: ({ sessions }) => sessions,
        cell: ({ sessions }) => sessions.toLocaleString("en"),
      },
      {
        title: "Load",
        isNumber: true,
        sortBy: ({ load }) => load ?? -1,
        cell: ({ load }) => load !== undefined && percent(load),
      },
      {
        title: "Processor",
        isNumber: true,
        sortBy: ({ cpuPct }) => cpuPct ?? -1,
        cell: ({ cpuPct }) => cpuPct !== undefined && `${cpuPct.toFixed(1)} %`,
      },
      {
        title: "",
        class: "row-actions",
        cell: (node) => h("div", { class: "actions" }, supernodeButtons(context, node)),
      },
    ],
  });
}
