/** Lines of the event log, the newest first. */

import { h, replaceChildren } from "../lib/dom.js";
import { clockTime } from "./liveness.js";

/** @import { LogLine } from "../../dashboard/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @type {Record<LogLine["tone"], string>} */
const tones = { good: "good", warn: "warning", bad: "bad", info: "note" };

/**
 * @param {Pick<PageContext, "live" | "signal">} context
 * @param {{ most?: number, isWanted?: () => (line: LogLine) => boolean }} [options]
 */
export function logList({ live, signal }, { most = Infinity, isWanted } = {}) {
  const element = h("ol", { class: "log", reversed: true });
  const draw = () => {
    const isShown = isWanted?.() ?? (() => true);
    const lines = live.lines.filter(isShown).toReversed().slice(0, most);
    replaceChildren(element, lines.length === 0 ? h("li", { class: "soft" }, "Nothing yet") : lines.map(logLine));
  };
  live.addEventListener("log", draw, { signal });
  element.addEventListener("redraw", draw);
  draw();
  return element;
}

/** @param {LogLine} line */
function logLine({ atMs, tone, text }) {
  return h(
    "li",
    { class: tone },
    h("time", { datetime: new Date(atMs).toISOString() }, clockTime(atMs)),
    h("span", { class: "dot", role: "img", "aria-label": tones[tone] ?? tone }),
    h("span", {}, text),
  );
}
