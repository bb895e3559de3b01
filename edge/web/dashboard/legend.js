/** What shapes and lines of the map stand for: only those that are on it. */

import { h, replaceChildren } from "../lib/dom.js";
import { shapeOf } from "./map_spots.js";
import { s } from "./svg.js";
import { roles, states } from "./words.js";

/** @import { NetworkView } from "../../dashboard/api.ts" */

/** All but good, which needs no word. @type {readonly (keyof typeof states)[]} */
const shownStates = ["draining", "failing", "silent", "gone", "blocked"];

export function legend() {
  const element = h("ul", { class: "map-legend", "aria-label": "Legend" });
  let shown = "";
  return {
    element,
    /** @param {NetworkView} view */
    show({ nodes, groups, routes }) {
      const present = new Set([...nodes.map(({ kind }) => kind), ...groups.map(({ role }) => role)]);
      const kinds = /** @type {(keyof typeof roles)[]} */ (Object.keys(roles)).filter((kind) => present.has(kind));
      const isLoadKnown = [...nodes, ...groups].some(({ load }) => load !== undefined);
      const statesHere = new Set(nodes.map(({ state }) => state));
      if (groups.some(({ failing }) => failing > 0)) statesHere.add("failing");
      const signs = shownStates.filter((state) => statesHere.has(state));
      const signature = [...kinds, ...signs, isLoadKnown, routes.length > 0].join();
      if (signature === shown) return;
      shown = signature;
      replaceChildren(
        element,
        kinds.map((kind) =>
          entry(s("path", { class: "shape", d: shapeOf(kind, 5.5) }), roles[kind].one, `spot ${kind} good`)
        ),
        routes.length > 0 && entry(s("path", { class: "line", d: "M-8 0h16" }), "Way of a session", "way"),
        isLoadKnown &&
          entry(s("circle", { class: "ring", r: 6, pathLength: 100, "stroke-dasharray": "60 100" }), "Load", "spot"),
        signs.map((state) =>
          entry(s("path", { class: "shape", d: shapeOf("exit", 5.5) }), states[state].label, `spot ${state}`)
        ),
      );
    },
  };
}

/**
 * @param {SVGElement} picture
 * @param {string} words
 * @param {string} className
 */
function entry(picture, words, className) {
  const svg = s("svg", { viewBox: "-10 -10 20 20", "aria-hidden": "true" }, s("g", { class: className }, picture));
  return h("li", {}, svg, words);
}
