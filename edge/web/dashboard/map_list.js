/** What the map shows, as a table: for those who are read to, for small screens, and for whoever likes lists better. */

import { badge } from "../lib/controls.js";
import { h, replaceChildren } from "../lib/dom.js";
import { keepPlace } from "../lib/section.js";
import { table } from "../lib/table.js";
import { short } from "../lib/words.js";
import { millis, percent, roles, states } from "./words.js";

/** @import { NetworkView, NodeView, GroupView } from "../../dashboard/api.ts" */

/**
 * @typedef {{ id: string, name: string, role: string, region: string, at: string, state: string, tone: "good" | "warn" | "bad" | "info" | "quiet", load: number | undefined, sessions: number, rttMs: number | undefined }} ListRow
 */

/** @param {{ choose: (id: string) => void }} options */
export function mapList({ choose }) {
  const element = h("div", {});
  const sort = { column: -1, descending: false };
  let shown = "";
  return {
    element,
    /** @param {string} id */
    focus(id) {
      const button = element.querySelector(`[data-choice="${CSS.escape(id)}"]`);
      if (button instanceof HTMLElement) button.focus();
    },
    /** @param {NetworkView} view */
    show(view) {
      const rows = rowsOf(view);
      // What is the same is left alone: nothing is read out anew, and a place in it is not lost.
      const text = JSON.stringify(rows);
      if (text === shown) return;
      shown = text;
      keepPlace(element, () => replaceChildren(element, listTable(rows, sort, choose)));
    },
  };
}

/**
 * @param {NetworkView} view
 * @returns {ListRow[]}
 */
function rowsOf({ nodes, groups, regions }) {
  const names = new Map(nodes.map(({ id, label }) => [id, label]));
  const at = (/** @type {string | undefined} */ id) => (id === undefined ? "" : names.get(id) ?? short(id));
  const singles = nodes.map((/** @type {NodeView} */ node) => ({
    id: node.id,
    name: node.label,
    role: roles[node.kind].one,
    region: node.region,
    at: at(node.at),
    state: states[node.state].label,
    tone: states[node.state].tone,
    load: node.load,
    sessions: node.sessions,
    rttMs: node.rttMs,
  }));
  const many = groups.map((/** @type {GroupView} */ group) => ({
    id: group.id,
    name: `${group.count.toLocaleString("en")} ${roles[group.role].many.toLowerCase()}`,
    role: "Group",
    region: group.region,
    at: at(group.at),
    state: group.failing > 0 ? `${group.failing} failing` : "Good",
    tone: /** @type {"warn" | "good"} */ (group.failing > 0 ? "warn" : "good"),
    load: group.load,
    sessions: group.sessions,
    rttMs: undefined,
  }));
  const order = new Map(regions.map((region, place) => [region, place]));
  return [...singles, ...many].toSorted((a, b) => (order.get(a.region) ?? 0) - (order.get(b.region) ?? 0));
}

/**
 * @param {readonly ListRow[]} rows
 * @param {import("../lib/table.js").Sort} sort
 * @param {(id: string) => void} choose
 */
function listTable(rows, sort, choose) {
  return table({
    caption: "The network",
    rows,
    sort,
    none: "Nobody is here yet",
    columns: [
      { title: "Name", sortBy: ({ name }) => name, cell: ({ id, name }) => chooseButton(id, name, choose) },
      { title: "Role", sortBy: ({ role }) => role, cell: ({ role }) => role },
      { title: "Region", sortBy: ({ region }) => region, cell: ({ region }) => region },
      { title: "Connected to", sortBy: ({ at }) => at, cell: ({ at }) => at },
      { title: "State", sortBy: ({ state }) => state, cell: ({ state, tone }) => badge(state, tone) },
      {
        title: "Load",
        isNumber: true,
        sortBy: ({ load }) => load ?? -1,
        cell: ({ load }) => load !== undefined && percent(load),
      },
      {
        title: "Round trip",
        isNumber: true,
        sortBy: ({ rttMs }) => rttMs ?? -1,
        cell: ({ rttMs }) => rttMs !== undefined && millis(rttMs),
      },
      {
        title: "Sessions",
        isNumber: true,
        sortBy: ({ sessions }) => sessions,
        cell: ({ sessions }) => sessions.toLocaleString("en"),
      },
    ],
  });
}

/**
 * @param {string} id
 * @param {string} name
 * @param {(id: string) => void} choose
 */
function chooseButton(id, name, choose) {
  return h(
    "button",
    { type: "button", class: "link", data: { key: id, choice: id }, on: { click: () => choose(id) } },
    h("bdi", {}, name),
  );
}
