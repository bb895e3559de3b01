/** The frame around every page: whose server it is, ways to the pages, and the keys that work everywhere. */

import { h, replaceChildren } from "../lib/dom.js";
import { themeButton } from "../lib/theme.js";
import { hrefOf, shown } from "./places.js";

/** @import { PeerSelf } from "../../../protocol/files/listing.ts" */
/** @import { Place } from "./places.js" */

/**
 * @param {{ self: PeerSelf, isOwner: boolean }} options
 */
export function frame({ self, isOwner }) {
  const main = h("main", { id: "main", tabindex: "-1" });
  const tabs = h("ul", { class: "tabs" });
  const home = hrefOf({ kind: "folder", path: self.scope });

  /** @param {Place} place */
  function changed(place) {
    const isOfOthers = place.kind === "peers" || ("peerId" in place && place.peerId !== undefined);
    const pages = [
      { href: home, name: "Files", isHere: !isOfOthers && place.kind !== "sent" },
      ...isOwner
        ? [
          { href: "#/peers", name: "Peers", isHere: isOfOthers },
          { href: "#/sent", name: "Sent", isHere: place.kind === "sent" },
        ]
        : [],
    ];
    replaceChildren(
      tabs,
      pages.map(({ href, name, isHere }) =>
        h("li", {}, h("a", { href, "aria-current": isHere ? "page" : undefined }, name))
      ),
    );
  }

  addEventListener("keydown", onKey);
  const element = h(
    "div",
    {},
    h(
      "header",
      { class: "bar" },
      h(
        "div",
        { class: "bar-inner" },
        h(
          "a",
          { class: "brand", href: home },
          h("img", { src: "/web/icon.svg", alt: "" }),
          h("span", {}, shown(self.label)),
        ),
        h("nav", { "aria-label": "Pages" }, tabs),
        h("div", { class: "end" }, themeButton()),
      ),
    ),
    main,
    h(
      "footer",
      { class: "keys" },
      h("kbd", {}, "/"),
      " search ",
      h("kbd", {}, "↑"),
      h("kbd", {}, "↓"),
      " move ",
      h("kbd", {}, "Enter"),
      " open ",
      h("kbd", {}, "Backspace"),
      " up",
    ),
  );
  return { element, main, changed };
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const wanted = event.key === "/" ? "input[type=search]" : event.key === "Backspace" ? "a[data-up]" : undefined;
  const element = wanted === undefined ? null : document.querySelector(wanted);
  if (!(element instanceof HTMLElement) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  if (element instanceof HTMLInputElement) element.focus();
  else element.click();
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof Element && target.closest("input, textarea, select, audio, video, iframe") !== null;
}
