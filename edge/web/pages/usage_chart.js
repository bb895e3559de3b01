/**
 * Bytes, or money, over time: what `/v1/usage` answers as a chart. Points in which nothing happened are left out there and
 * filled in here.
 */

import { chart } from "../lib/chart.js";
import { card, select } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { decimal, micros, money } from "../lib/money.js";
import { empty, section } from "../lib/section.js";
import { bytes } from "../lib/words.js";

/** @import { UsagePoint } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const spans = {
  day: { label: "24 hours", lengthMs: DAY_MS, stepMs: HOUR_MS },
  week: { label: "7 days", lengthMs: 7 * DAY_MS, stepMs: 6 * HOUR_MS },
  month: { label: "30 days", lengthMs: 30 * DAY_MS, stepMs: DAY_MS },
};

/**
 * @param {PageContext} context
 * @param {{ side: "client" | "operator" }} options
 */
export function usageCard({ calls, info, signal }, { side }) {
  const isClient = side === "client";
  const choice = select("span", Object.entries(spans).map(([value, { label }]) => ({ value, label })), {
    value: isClient ? "day" : "month",
    on: { change: () => void reload() },
  });
  choice.setAttribute("aria-label", "Time");
  const { element, reload } = section({
    signal,
    lines: 6,
    load: (signal) => {
      const { lengthMs, stepMs } = spans[/** @type {keyof typeof spans} */ (choice.value)];
      const toMs = Date.now();
      return calls.usage({ side, fromMs: toMs - lengthMs, toMs, stepMs }, signal);
    },
    show: ({ points, fromMs, toMs, stepMs, isPartial }) => {
      if (points.length === 0) {
        return isClient
          ? empty(
            "Nothing went through in this time",
            h("p", {}, "Give a program the credentials below, and its traffic shows here."),
          )
          : empty(
            "Nothing was earned in this time",
            h("p", {}, "Once clients go through your nodes, what you earn shows here."),
          );
      }
      const all = filled(points, { fromMs, toMs, stepMs });
      const spent = points.reduce((total, { amount }) => total + micros(amount), 0n);
      const total = points.reduce((sum, { upBytes, downBytes }) => sum + upBytes + downBytes, 0);
      return h(
        "div",
        { class: "stack" },
        h(
          "p",
          {},
          h("strong", {}, isClient ? bytes(total) : money(spent, info.currency)),
          h("span", { class: "soft" }, isClient ? ` for ${money(spent, info.currency)}` : ` for ${bytes(total)}`),
        ),
        isPartial && h("p", { class: "soft" }, "There was so much that only the latest part of it is shown."),
        isClient ? byteChart(all, stepMs, signal, info.currency) : moneyChart(all, stepMs, signal, info.currency),
      );
    },
  });
  return { card: card(isClient ? "Traffic" : "Earnings", choice, element), reload };
}

/**
 * @param {readonly UsagePoint[]} points
 * @param {number} stepMs
 * @param {AbortSignal} signal
 * @param {string} currency
 */
function byteChart(points, stepMs, signal, currency) {
  return chart({
    title: "Bytes over time, down and up",
    timesMs: points.map(({ atMs }) => atMs),
    stepMs,
    signal,
    unit: "bytes",
    series: [
      {
        label: "Down",
        color: "a",
        values: points.map(({ downBytes }) => downBytes),
        texts: points.map(({ downBytes }) => bytes(downBytes)),
      },
      {
        label: "Up",
        color: "b",
        values: points.map(({ upBytes }) => upBytes),
        texts: points.map(({ upBytes }) => bytes(upBytes)),
      },
    ],
    also: { label: "Charged", texts: points.map(({ amount }) => money(amount, currency)) },
    tick: bytes,
  });
}

/**
 * @param {readonly UsagePoint[]} points
 * @param {number} stepMs
 * @param {AbortSignal} signal
 * @param {string} currency
 */
function moneyChart(points, stepMs, signal, currency) {
  return chart({
    title: "Earnings over time",
    timesMs: points.map(({ atMs }) => atMs),
    stepMs,
    signal,
    unit: "count",
    series: [{
      label: "Earned",
      color: "b",
      // Only the height of a bar: what is read is the text.
      values: points.map(({ amount }) => Number(micros(amount))),
      texts: points.map(({ amount }) => money(amount, currency)),
    }],
    also: { label: "Carried", texts: points.map(({ upBytes, downBytes }) => bytes(upBytes + downBytes)) },
    tick: (value) => money(decimal(BigInt(Math.round(value))), currency),
  });
}

/**
 * A point for every step there is.
 * @param {readonly UsagePoint[]} points
 * @param {{ fromMs: number, toMs: number, stepMs: number }} span
 * @returns {UsagePoint[]}
 */
export function filled(points, { fromMs, toMs, stepMs }) {
  const known = new Map(points.map((point) => [point.atMs, point]));
  const anchor = points[0]?.atMs ?? fromMs;
  const first = anchor - Math.ceil(Math.max(0, anchor - fromMs) / stepMs) * stepMs;
  /** @type {UsagePoint[]} */
  const all = [];
  for (let atMs = first; atMs < toMs && all.length < 1000; atMs += stepMs) {
    all.push(known.get(atMs) ?? { atMs, upBytes: 0, downBytes: 0, amount: "0" });
  }
  return all;
}
