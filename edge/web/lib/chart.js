/**
 * Charts over time, on uPlot: bars, stacked when there are several series, in the page's own colours, as wide as their place,
 * drawn anew when either changes. Each comes with the same figures as a table, for those who are read to and for whoever
 * wants them exactly.
 */

import { h } from "./dom.js";
import { keepPlotted, loadUplot, resolvedColor } from "./plot.js";
import { day, moment } from "./words.js";

/**
 * Values are how high its bars are; what is read is `texts`.
 * @typedef {{ label: string, color: "a" | "b", values: readonly number[], texts: readonly string[] }} Series
 */

/**
 * @typedef {{
 *   title: string,
 *   timesMs: readonly number[],
 *   stepMs: number,
 *   series: readonly Series[],
 *   also?: { label: string, texts: readonly string[] },
 *   unit: "bytes" | "count",
 *   tick: (value: number) => string,
 *   signal: AbortSignal,
 * }} Chart `also`: a column of the table that is not drawn
 */

const HEIGHT_PX = 220;
const DAY_MS = 86_400_000;

/** @param {Chart} options */
export function chart(options) {
  const { title, series } = options;
  const place = h("div", { class: "chart", role: "img", "aria-label": `${title}; its figures are in the table below` });
  place.style.minHeight = `${HEIGHT_PX}px`;
  void keepDrawn(place, options);
  return h(
    "div",
    { class: "chart-box" },
    series.length > 1 &&
      h(
        "p",
        { class: "legend", "aria-hidden": "true" },
        series.map((each) => h("span", { class: `key ${each.color}` }, each.label)),
      ),
    place,
    h("details", {}, h("summary", {}, "Figures"), figures(options)),
  );
}

/** @param {Chart} options */
function figures({ title, timesMs, stepMs, series, also }) {
  const columns = [...series, ...(also ? [also] : [])];
  const rows = timesMs.map((at, row) =>
    h(
      "tr",
      {},
      h("td", {}, timeText(at, stepMs)),
      columns.map(({ texts }) => h("td", { class: "number" }, texts[row])),
    )
  );
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Time"),
    columns.map(({ label }) => h("th", { scope: "col", class: "number" }, label)),
  );
  return h(
    "div",
    { class: "table plain" },
    h("table", {}, h("caption", { class: "for-readers" }, title), h("thead", {}, head), h("tbody", {}, rows.reverse())),
  );
}

/**
 * @param {HTMLElement} place
 * @param {Chart} options
 */
async function keepDrawn(place, options) {
  const { signal } = options;
  const uPlot = await loadUplot();
  if (signal.aborted) return;
  const make = () => new uPlot(settings(uPlot, place, options), layers(options), place);
  keepPlotted({ place, heightPx: HEIGHT_PX, make, signal });
}

/**
 * Times, then the whole stack, then the stack without its top, and so on: each is painted over the one before.
 * @param {Chart} options
 * @returns {import("uplot").AlignedData}
 */
function layers({ timesMs, series }) {
  const stacks = series.map((_, top) =>
    timesMs.map((_, row) => series.slice(0, top + 1).reduce((sum, { values }) => sum + (values[row] ?? 0), 0))
  );
  return [timesMs.map((at) => at / 1000), ...stacks.reverse()];
}

/**
 * @param {typeof import("uplot")} uPlot
 * @param {HTMLElement} place
 * @param {Chart} options
 * @returns {import("uplot").Options}
 */
function settings(uPlot, place, options) {
  const { series, stepMs, unit, tick } = options;
  const ink = (/** @type {string} */ name) => resolvedColor(place, `var(--${name})`);
  const axis = { stroke: ink("soft"), font: `12px ${getComputedStyle(place).fontFamily}`, ticks: { show: false } };
  const bars = uPlot.paths.bars?.({ size: [0.72, 40], radius: 0.12 });
  return {
    width: place.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    plugins: [tooltip(options)],
    scales: {
      x: { time: true, range: (_, from, to) => [from - stepMs / 1800, to + stepMs / 1800] },
      y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] },
    },
    series: [
      {},
      ...series.toReversed().map(({ label, color }) => ({
        label,
        stroke: ink(`chart-${color}`),
        fill: ink(`chart-${color}`),
        width: 0,
        points: { show: false },
        ...(bars && { paths: bars }),
      })),
    ],
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 28,
        space: 70,
        values: (_, seconds) => seconds.map((at) => axisTime(at * 1000, stepMs)),
      },
      {
        ...axis,
        grid: { stroke: ink("line"), width: 1 },
        size: 78,
        values: (_, ticks) => ticks.map(tick),
        // Steps of 1024 give round figures in GiB.
        ...(unit === "bytes" && { incrs: Array.from({ length: 53 }, (_, power) => 2 ** power) }),
      },
    ],
  };
}

/**
 * @param {number} atMs
 * @param {number} stepMs
 */
function axisTime(atMs, stepMs) {
  const isDays = stepMs >= DAY_MS / 4;
  return new Intl.DateTimeFormat(
    "en-GB",
    isDays ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" },
  )
    .format(atMs);
}

/**
 * @param {number} atMs
 * @param {number} stepMs
 */
function timeText(atMs, stepMs) {
  return stepMs >= DAY_MS ? day(atMs) : moment(atMs);
}

/**
 * What the bar under the pointer stands for, in words.
 * @param {Chart} options
 * @returns {import("uplot").Plugin}
 */
function tooltip({ series, timesMs, stepMs }) {
  const element = h("div", { class: "chart-tip", hidden: true });
  return {
    hooks: {
      init: (plot) => plot.over.append(element),
      setCursor: (plot) => {
        const { left = -1, idx } = plot.cursor;
        element.hidden = left < 0 || idx === null || idx === undefined;
        if (element.hidden || idx === null || idx === undefined) return;
        const words = series.map(({ label, texts }) => `${label.toLowerCase()} ${texts[idx]}`);
        element.textContent = `${timeText(timesMs[idx] ?? 0, stepMs)}: ${words.join(", ")}`;
        element.classList.toggle("left", left > plot.over.clientWidth / 2);
        element.style.left = `${left}px`;
      },
    },
  };
}
