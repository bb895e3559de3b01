/** The first page: the network as it is now, in figures and on a map, and what happened last. */

import { card } from "../lib/controls.js";
import { h, replaceChildren } from "../lib/dom.js";
import { empty, keepPlace } from "../lib/section.js";
import { plural } from "../lib/words.js";
import { legend } from "./legend.js";
import { logList } from "./log_list.js";
import { mapList } from "./map_list.js";
import { MapView } from "./map_view.js";
import { createPanel, withPanel } from "./panel.js";
import { partList } from "./part_list.js";
import { totalsCard } from "./totals.js";

/** @import { PageContext } from "./routes.js" */
/** @import { Choice } from "./panel.js" */

const KEY = "culvert.dashboard.map";
const LATEST_LINES = 6;

/** @param {PageContext} context */
export function mapPage(context) {
  const { live, signal } = context;
  let chosenId = "";
  const panel = createPanel(context, {
    closed: () => {
      map.mark(undefined);
      giveFocusBack(chosenId);
    },
    chosen: ({ id }) => {
      chosenId = id;
      map.mark(id);
    },
  });

  /** @param {string} id */
  function choose(id) {
    panel.show(choiceOf(id));
    map.mark(id);
    map.reveal(id, panel.element);
    chosenId = id;
  }

  /** A way of many sessions is looked at where it begins. @param {string} id @returns {Choice} */
  function choiceOf(id) {
    const route = map.wayOf(id);
    if (!route) return { kind: "place", id };
    return route.sessionId === undefined
      ? { kind: "place", id: route.via[0] ?? "" }
      : { kind: "session", id: route.sessionId };
  }

  /** @param {string} id */
  function giveFocusBack(id) {
    const button = list.element.querySelector(`[data-choice="${CSS.escape(id)}"]`);
    if (!map.element.hidden) map.focus(id);
    else if (button instanceof HTMLElement) button.focus();
  }

  const map = new MapView({ choose, signal });
  const list =
    /** @type {{ element: HTMLElement, show: (view: import("../../dashboard/api.ts").NetworkView) => void }} */ (
      mapList({ choose })
    );
  const key = legend();
  const nothing = h("div", { class: "section", "aria-busy": "true" });
  const about = h("p", {}, "Connecting…");
  const choice = viewChoice((isList) => {
    list.element.hidden = !isList;
    map.element.hidden = isList;
    key.element.hidden = isList;
    draw();
  });

  function draw() {
    const { view } = live;
    if (!view) return;
    nothing.setAttribute("aria-busy", "false");
    const isEmpty = view.nodes.length === 0 && view.groups.length === 0;
    keepPlace(
      nothing,
      () =>
        replaceChildren(
          nothing,
          isEmpty && empty("Nobody is here yet", h("p", {}, "Whoever connects shows here at once.")),
        ),
    );
    about.textContent = `${plural(view.totals.regions, "region")} · culvert ${view.version}`;
    if (map.element.hidden) list.show(view);
    else {
      map.show(view);
      key.show(view);
    }
  }

  live.addEventListener("view", draw, { signal });
  draw();
  const head = h("header", { class: "page-head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Network"), about), choice);
  return h(
    "div",
    { class: "page" },
    head,
    totalsCard(live, signal),
    withPanel(
      h(
        "div",
        { class: "page" },
        h(
          "section",
          { class: "card map-card", "aria-label": "Map" },
          nothing,
          map.element,
          list.element,
          key.element,
        ),
        partList(context),
        card(
          "What happened last",
          h("a", { href: "#/events" }, "All events"),
          logList(context, { most: LATEST_LINES }),
        ),
      ),
      panel.element,
    ),
  );
}

/** @param {(isList: boolean) => void} changed */
function viewChoice(changed) {
  const names = ["Map", "List"];
  const buttons = names.map((name, at) =>
    h("button", { type: "button", class: "small", on: { click: () => choose(at === 1) } }, name)
  );

  /** @param {boolean} isList */
  function choose(isList) {
    localStorage.setItem(KEY, isList ? "list" : "map");
    show(isList);
  }

  /** @param {boolean} isList */
  function show(isList) {
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String((at === 1) === isList)));
    changed(isList);
  }

  queueMicrotask(() => show(localStorage.getItem(KEY) === "list"));
  return h("div", { class: "choice", role: "group", "aria-label": "Show as" }, buttons);
}
