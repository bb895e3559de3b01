/** The network in figures: how many of everything, and how the last minutes went in small lines. */

import { h, replaceChildren } from "../lib/dom.js";
import { s, set } from "./svg.js";
import { mbps, millis } from "./words.js";

/** @import { Point } from "../../dashboard/api.ts" */
/** @import { Live } from "./live.js" */

const SHOWN_POINTS = 60;

/**
 * @param {Live} live
 * @param {AbortSignal} signal
 */
export function totalsCard(live, signal) {
  const counts = h("div", { class: "tiles" });
  const traffic = lineTile("Traffic", ["a", "b"]);
  const roundTrip = lineTile("Round trip", ["a"]);
  const drawCounts = () => replaceChildren(counts, countTiles(live));
  const drawLines = () => {
    const points = live.points.slice(-SHOWN_POINTS);
    const last = points.at(-1);
    traffic.show(last ? `↓ ${mbps(last.rxMbps)}  ↑ ${mbps(last.txMbps)}` : "–", [
      points.map(({ rxMbps }) => rxMbps),
      points.map(({ txMbps }) => txMbps),
    ]);
    roundTrip.show(millis(last?.rttP50Ms), [points.map(({ rttP50Ms }) => rttP50Ms)]);
  };
  live.addEventListener("view", drawCounts, { signal });
  live.addEventListener("points", drawLines, { signal });
  drawCounts();
  drawLines();
  return h("section", { class: "totals", "aria-label": "Totals" }, counts, traffic.element, roundTrip.element);
}

/** @param {Live} live */
function countTiles({ view }) {
  const totals = view?.totals;
  const tile = (/** @type {string} */ name, /** @type {number | undefined} */ count, tone = "") =>
    h(
      "div",
      { class: `tile ${tone}` },
      h("p", { class: "tile-name" }, name),
      h("p", { class: "tile-value" }, count?.toLocaleString("en") ?? "–"),
    );
  return [
    tile("Sessions", totals?.sessions),
    tile("Clients", totals?.clients),
    tile("Exits", totals?.exits),
    tile("Relays", totals?.relays),
    tile("Supernodes", totals?.supernodes),
    tile("Failing", totals?.failing, totals && totals.failing > 0 ? "bad" : ""),
  ];
}

/**
 * @param {string} name
 * @param {readonly ("a" | "b")[]} colors
 */
function lineTile(name, colors) {
  const value = h("p", { class: "tile-value small" });
  const lines = colors.map((color) => s("path", { class: `line ${color}` }));
  const svg = s(
    "svg",
    { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" },
    ...lines,
  );
  const element = h("a", { class: "tile wide", href: "#/charts" }, h("p", { class: "tile-name" }, name), value, svg);
  return {
    element,
    /**
     * @param {string} text
     * @param {readonly (readonly (number | null)[])[]} series
     */
    show(text, series) {
      value.textContent = text;
      const most = Math.max(1e-9, ...series.flat().map((each) => each ?? 0));
      lines.forEach((line, at) => set(line, { d: sparkline(series[at] ?? [], most) }));
    },
  };
}

/**
 * A line with gaps where nothing is known.
 * @param {readonly Point["rxMbps"][]} values
 * @param {number} most
 */
export function sparkline(values, most) {
  let d = "";
  let isDrawing = false;
  values.forEach((value, at) => {
    if (value === null) isDrawing = false;
    else {
      const x = 100 - (values.length - 1 - at) * 100 / (SHOWN_POINTS - 1);
      d += `${isDrawing ? "L" : "M"}${x.toFixed(1)} ${(28 - 26 * Math.max(0, value) / most).toFixed(1)}`;
      isDrawing = true;
    }
  });
  return d;
}
