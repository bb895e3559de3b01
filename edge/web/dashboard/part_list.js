/** The parts of a network that run in one program: each can be killed and started again, to see what the others do. */

import { badge, card } from "../lib/controls.js";
import { h, replaceChildren } from "../lib/dom.js";
import { keepPlace } from "../lib/section.js";
import { partButton } from "./deeds.js";

/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function partList(context) {
  const { live, signal } = context;
  const list = h("ul", { class: "parts" });
  const element = card("Parts", undefined, h("p", { class: "soft" }, "Kill one and watch the others go on."), list);
  let shown = "";
  const draw = () => {
    const parts = live.view?.parts ?? [];
    const text = JSON.stringify(parts);
    if (text === shown || document.querySelector("dialog[open]")) return;
    shown = text;
    element.hidden = parts.length === 0;
    keepPlace(list, () => replaceChildren(list, parts.map((part) => partLine(context, part))));
  };
  element.hidden = true;
  live.addEventListener("view", draw, { signal });
  draw();
  return element;
}

/**
 * @param {PageContext} context
 * @param {import("../../dashboard/api.ts").PartView} part
 */
function partLine(context, part) {
  const { name, role, region, isRunning } = part;
  const about = [role === name ? undefined : role, region].filter(Boolean).join(", ");
  return h(
    "li",
    {},
    h(
      "div",
      { class: "part-name" },
      h("strong", {}, h("bdi", {}, name)),
      about && h("span", { class: "soft small-text" }, about),
    ),
    badge(isRunning ? "Runs" : "Stopped", isRunning ? "good" : "bad"),
    partButton(context, part),
  );
}
