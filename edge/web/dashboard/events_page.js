/** The event log: what came, went, moved, failed, and what administrators did. */

import { select } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { logList } from "./log_list.js";

/** @import { LogLine } from "../../dashboard/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function eventsPage(context) {
  const redraw = () => void list.dispatchEvent(new Event("redraw"));
  const tone = select("tone", [
    { value: "all", label: "Everything" },
    { value: "trouble", label: "Trouble only" },
  ], { on: { change: redraw } });
  tone.setAttribute("aria-label", "Which events");
  const search = h("input", {
    type: "search",
    "aria-label": "Find in events",
    placeholder: "Find in events",
    autocomplete: "off",
  });
  search.addEventListener("input", redraw);
  const list = logList(context, { isWanted: () => wantedBy(tone.value, search.value) });
  return h(
    "div",
    { class: "page" },
    h(
      "header",
      { class: "page-head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, "Events"),
        h("p", {}, "The newest first. They are kept for as long as the server runs."),
      ),
      h("div", { class: "actions" }, tone, search),
    ),
    h("section", { class: "card", "aria-label": "Events" }, list),
  );
}

/**
 * @param {string} tone
 * @param {string} search
 * @returns {(line: LogLine) => boolean}
 */
export function wantedBy(tone, search) {
  const words = search.trim().toLowerCase();
  return (line) =>
    (tone === "all" || line.tone === "bad" || line.tone === "warn") && line.text.toLowerCase().includes(words);
}
