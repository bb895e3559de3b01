/** The last ten minutes as lines: throughput, round trips, sessions and peers. */

import { card } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { lines } from "../lib/lines.js";
import { HISTORY_POINTS, HISTORY_STEP_MS } from "./bounds.js";
import { axisTexts, mbps, millis, RATES } from "./words.js";

/** @import { Point } from "../../dashboard/api.ts" */
/** @import { Unit } from "./words.js" */
/** @import { PageContext } from "./routes.js" */

const count = (/** @type {number | null} */ value) => (value === null ? "–" : Math.round(value).toLocaleString("en"));

/**
 * @type {readonly { title: string, about: string, text: (value: number | null) => string, units: readonly Unit[], series: readonly { label: string, color: "a" | "b", value: (point: Point) => number | null }[] }[]}
 */
const charts = [
  {
    title: "Throughput",
    about: "Of all peers together.",
    text: mbps,
    units: RATES,
    series: [
      { label: "Received", color: "a", value: ({ rxMbps }) => rxMbps },
      { label: "Sent", color: "b", value: ({ txMbps }) => txMbps },
    ],
  },
  {
    title: "Round trip",
    about:
      "From peers to their supernodes and back: half of them are faster than the median, one in twenty slower than the 95 %.",
    text: millis,
    units: [{ name: "ms", size: 1 }],
    series: [
      { label: "Median", color: "a", value: ({ rttP50Ms }) => rttP50Ms },
      { label: "95 %", color: "b", value: ({ rttP95Ms }) => rttP95Ms },
    ],
  },
  {
    title: "Sessions and peers",
    about: "How many there are.",
    text: count,
    units: [{ name: "", size: 1 }],
    series: [
      { label: "Sessions", color: "a", value: ({ sessions }) => sessions },
      { label: "Peers", color: "b", value: ({ peers }) => peers },
    ],
  },
];

/** @param {PageContext} context */
export function chartsPage({ live, signal }) {
  const drawn = charts.map(({ title, about, text, units, series }) => {
    const chart = lines({
      title,
      text,
      axis: (values) => axisTexts(values, units),
      series: series.map(({ label, color }) => ({ label, color })),
      spanMs: HISTORY_POINTS * HISTORY_STEP_MS,
      signal,
    });
    const show = () =>
      chart.show(live.points.map(({ atMs }) => atMs), series.map(({ value }) => live.points.map(value)));
    live.addEventListener("points", show, { signal });
    show();
    return card(title, undefined, h("p", { class: "soft" }, about), chart.element);
  });
  return h(
    "div",
    { class: "page" },
    h(
      "header",
      { class: "page-head" },
      h("div", {}, h("h1", { tabindex: "-1" }, "Charts"), h("p", {}, "The last ten minutes, as they go.")),
    ),
    h("div", { class: "charts" }, drawn),
  );
}
