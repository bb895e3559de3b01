/** The network, drawn as a map or listed as a table: which of them is kept in this browser. */

import { h, replaceChildren } from "../lib/dom.js";
import { empty } from "../lib/section.js";
import { legend } from "./legend.js";
import { mapList } from "./map_list.js";
import { MapView } from "./map_view.js";

/** @import { NetworkView } from "../../dashboard/api.ts" */
/** @import { Choice } from "./panel.js" */

const KEY = "culvert.dashboard.map";

/**
 * @param {{ choose: (choice: Choice) => void, signal: AbortSignal }} options
 */
export function networkCard({ choose, signal }) {
  /** What was chosen here: a place, or a way by its key. */
  let chosenId = "";
  const map = new MapView({ choose: chooseFrom, signal });
  const list = mapList({ choose: chooseFrom });
  const key = legend();
  const nothing = h("div", { class: "section", "aria-busy": "true" });
  /** @type {NetworkView | undefined} */
  let shown;

  /** @param {string} id */
  function chooseFrom(id) {
    choose(choiceOf(id));
    chosenId = id;
    map.mark(id);
  }

  /**
   * A way of many sessions is looked at where it begins.
   * @param {string} id
   * @returns {Choice}
   */
  function choiceOf(id) {
    const route = map.wayOf(id);
    if (!route) return { kind: "place", id };
    if (route.sessionId !== undefined) return { kind: "session", id: route.sessionId };
    return { kind: "place", id: route.via[0] ?? "" };
  }

  /** @param {boolean} isList */
  function showAs(isList) {
    list.element.hidden = !isList;
    map.element.hidden = isList;
    key.element.hidden = isList;
    if (shown) show(shown);
  }

  /** @param {NetworkView} view */
  function show(view) {
    shown = view;
    nothing.setAttribute("aria-busy", "false");
    const isEmpty = view.nodes.length === 0 && view.groups.length === 0;
    replaceChildren(
      nothing,
      isEmpty && empty("Nobody is here yet", h("p", {}, "Whoever connects shows here at once.")),
    );
    if (map.element.hidden) return list.show(view);
    map.show(view);
    key.show(view);
  }

  const choice = mapOrList(showAs);
  return {
    element: h(
      "section",
      { class: "card map-card", "aria-label": "Network" },
      nothing,
      map.element,
      list.element,
      key.element,
    ),
    /** To choose between the two. */
    choice,
    show,
    /**
     * What is looked at now, and what it is looked at in.
     * @param {string} id
     * @param {Element} panel
     */
    mark(id, panel) {
      chosenId = id;
      map.mark(id);
      map.reveal(id, panel);
    },
    /** Nothing is looked at any more: the focus goes back to where it was chosen. */
    unmark() {
      map.mark(undefined);
      if (map.element.hidden) list.focus(chosenId);
      else map.focus(chosenId);
    },
  };
}

/** @param {(isList: boolean) => void} showAs told at once */
function mapOrList(showAs) {
  const buttons = ["Map", "List"].map((name, at) =>
    h("button", { type: "button", class: "small", on: { click: () => choose(at === 1) } }, name)
  );

  /** @param {boolean} isList */
  function choose(isList) {
    localStorage.setItem(KEY, isList ? "list" : "map");
    press(isList);
  }

  /** @param {boolean} isList */
  function press(isList) {
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String((at === 1) === isList)));
    showAs(isList);
  }

  press(localStorage.getItem(KEY) === "list");
  return h("div", { class: "choice", role: "group", "aria-label": "Show as" }, buttons);
}
