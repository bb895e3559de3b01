/** What shapes and lines of the map stand for: only those that are on it. */

import { h, replaceChildren } from "../lib/dom.js";
import { shapeOf } from "./map_spots.js";
import { s } from "./svg.js";
import { roles } from "./words.js";

/** @import { NetworkView } from "../../dashboard/api.ts" */

export function legend() {
  const element = h("ul", { class: "map-legend", "aria-label": "Legend" });
  let shown = "";
  return {
    element,
    /** @param {NetworkView} view */
    show({ nodes, groups, routes }) {
      const present = new Set([...nodes.map(({ kind }) => kind), ...groups.map(({ role }) => role)]);
      const kinds = /** @type {(keyof typeof roles)[]} */ (Object.keys(roles)).filter((kind) => present.has(kind));
      const signature = [...kinds, groups.length > 0, routes.length > 0].join();
      if (signature === shown) return;
      shown = signature;
      replaceChildren(
        element,
        kinds.map((kind) =>
          entry(s("path", { class: "shape", d: shapeOf(kind, 5.5) }), roles[kind].one, `spot ${kind} good`)
        ),
        routes.length > 0 && entry(s("path", { class: "line", d: "M-8 0h16" }), "Way of a session", "way"),
        entry(s("circle", { class: "ring", r: 6, pathLength: 100, "stroke-dasharray": "60 100" }), "Load", "spot"),
        entry(s("path", { class: "shape", d: shapeOf("exit", 5.5) }), "Draining", "spot draining"),
        entry(s("path", { class: "shape", d: shapeOf("exit", 5.5) }), "Failing", "spot failing"),
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
