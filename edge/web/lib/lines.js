/**
 * Lines over time that go on as points come, on uPlot; where nothing is known is a gap. Under each, in words, what is now or
 * what is under the pointer, and the same figures as a table.
 */

import { h, replaceChildren } from "./dom.js";
import { keepPlotted, loadUplot, resolvedColor } from "./plot.js";

/** @typedef {{ label: string, color: "a" | "b" }} LineSeries */
/** @typedef {readonly (number | null)[]} Values */

/**
 * @typedef {{
 *   title: string,
 *   series: readonly LineSeries[],
 *   text: (value: number | null) => string,
 *   axis: (values: readonly number[]) => string[],
 *   spanMs: number,
 *   signal: AbortSignal,
 * }} Lines `text`: a value as one reads it; `axis`: those along an axis, in one unit; `spanMs`: how much time there is room for
 */

const HEIGHT_PX = 200;

/** @param {Lines} options */
export function lines(options) {
  const { title, series, signal } = options;
  const place = h("div", { class: "chart", role: "img", "aria-label": `${title}; its figures are in the table below` });
  place.style.minHeight = `${HEIGHT_PX}px`;
  const values = series.map(() => h("strong", {}));
  const when = h("span", { class: "soft" });
  const legend = h(
    "p",
    { class: "legend", "aria-hidden": "true" },
    series.map(({ label, color }, at) => h("span", { class: `key ${color}` }, label, " ", values[at])),
    when,
  );
  const table = h("div");
  const details = h("details", {}, h("summary", {}, "Figures"), table);
  /** @type {[number[], ...(number | null)[][]]} */
  let data = [[], ...series.map(() => [])];
  /** @type {import("uplot") | undefined} */
  let plot;

  function drawWords() {
    const at = plot?.cursor.idx ?? data[0].length - 1;
    values.forEach((value, row) => value.textContent = options.text(data[row + 1]?.[at] ?? null));
    when.textContent = typeof plot?.cursor.idx === "number" ? clock(data[0][at]) : "";
  }

  function drawTable() {
    if (details.open) replaceChildren(table, figures(options, data));
  }

  details.addEventListener("toggle", drawTable);
  void loadUplot().then((uPlot) => {
    if (signal.aborted) return;
    const make = () => plot = new uPlot(settings(place, options, drawWords), data, place);
    keepPlotted({ place, heightPx: HEIGHT_PX, make, signal });
  });
  return {
    element: h("div", { class: "chart-box" }, legend, place, details),
    /**
     * @param {readonly number[]} timesMs
     * @param {readonly Values[]} rows
     */
    show(timesMs, rows) {
      data = [timesMs.map((at) => at / 1000), ...rows.map((row) => [...row])];
      plot?.setData(data);
      drawWords();
      drawTable();
    },
  };
}

/**
 * @param {Lines} options
 * @param {readonly (readonly (number | null)[])[]} data
 */
function figures({ title, series, text }, [times = [], ...rows]) {
  const body = times.map((at, row) =>
    h(
      "tr",
      {},
      h("td", {}, clock(at ?? 0)),
      rows.map((values) => h("td", { class: "number" }, text(values[row] ?? null))),
    )
  );
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Time"),
    series.map(({ label }) => h("th", { scope: "col", class: "number" }, label)),
  );
  return h(
    "div",
    { class: "table plain figures-table", tabindex: "0", role: "region", "aria-label": `${title}, in figures` },
    h("table", {}, h("caption", { class: "for-readers" }, title), h("thead", {}, head), h("tbody", {}, body.reverse())),
  );
}

/** @param {number | undefined} seconds */
function clock(seconds) {
  return seconds === undefined ? "" : new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(seconds * 1000);
}

/**
 * @param {HTMLElement} place
 * @param {Lines} options
 * @param {() => void} pointed
 * @returns {import("uplot").Options}
 */
function settings(place, { series, axis: texts, spanMs }, pointed) {
  const ink = (/** @type {string} */ name) => resolvedColor(place, `var(--${name})`);
  const axis = { stroke: ink("soft"), font: `12px ${getComputedStyle(place).fontFamily}`, ticks: { show: false } };
  return {
    width: place.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [pointed] },
    scales: {
      // Lines grow from the right, as far as there is anything to show.
      x: { time: true, range: (_, __, to) => [(to ?? 0) - spanMs / 1000, to ?? 0] },
      y: { range: (_, __, most) => [0, most ? most * 1.15 : 1] },
    },
    series: [
      {},
      ...series.map(({ label, color }) => ({
        label,
        stroke: ink(`chart-${color}`),
        width: 2,
        fill: color === "a" ? ink("chart-fill") : "transparent",
        points: { show: false },
      })),
    ],
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 28,
        space: 80,
        incrs: [60, 120, 300, 600, 1800, 3600],
        values: (_, seconds) => seconds.map((at) => clock(at).slice(0, 5)),
      },
      { ...axis, grid: { stroke: ink("line"), width: 1 }, size: 86, values: (_, ticks) => texts(ticks) },
    ],
  };
}
