/** Whoever was shut out, peers and supernodes, each with the button that lets it in again: elsewhere most of them are no more. */

import { badge, card } from "../lib/controls.js";
import { h, replaceChildren } from "../lib/dom.js";
import { keepPlace } from "../lib/section.js";
import { short } from "../lib/words.js";
import { letInButton } from "./deeds.js";

/** @import { BlockedView } from "../../dashboard/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function blockedList(context) {
  const { live, signal } = context;
  const list = h("ul", { class: "parts" });
  const more = h("p", { class: "soft" });
  const element = card("Blocked", undefined, list, more);
  let shown = "";
  const draw = () => {
    if (!live.view || document.querySelector("dialog[open]")) return;
    const { blocked, totals, deeds } = live.view;
    const text = JSON.stringify([blocked, totals.blocked, deeds]);
    if (text === shown) return;
    shown = text;
    element.hidden = blocked.length === 0;
    const left = totals.blocked - blocked.length;
    more.hidden = left <= 0;
    more.textContent = `And ${left.toLocaleString("en")} more, who can be let in by their ids.`;
    keepPlace(list, () => replaceChildren(list, blocked.map((each) => blockedLine(context, each))));
  };
  element.hidden = true;
  live.addEventListener("view", draw, { signal });
  draw();
  return element;
}

/**
 * @param {PageContext} context
 * @param {BlockedView} blocked
 */
function blockedLine(context, blocked) {
  const { id, label, isSupernode } = blocked;
  const isNamed = !id.startsWith(label);
  return h(
    "li",
    {},
    h(
      "div",
      { class: "part-name" },
      h("strong", {}, h("bdi", {}, isNamed ? label : id)),
      isNamed && h("span", { class: "soft small-text" }, h("bdi", { title: id }, short(id))),
    ),
    isSupernode && badge("Supernode", "quiet"),
    letInButton(context, blocked),
  );
}
