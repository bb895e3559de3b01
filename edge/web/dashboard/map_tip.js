/** What is pointed at, or has the focus, in words beside it: for eyes alone, since who is read to has heard it already. */

import { h } from "../lib/dom.js";

/** @import { Place } from "./map_cells.js" */

export function mapTip() {
  const element = h("div", { class: "map-tip", "aria-hidden": "true", hidden: true });
  return {
    element,
    /**
     * @param {{ title: string, facts: readonly string[] }} words
     * @param {Place} place
     * @param {number} scale
     */
    show({ title, facts }, { x, y, radius }, scale) {
      element.replaceChildren(h("strong", {}, title), h("span", {}, facts.join(" · ")));
      element.hidden = false;
      const room = element.parentElement?.clientWidth ?? 0;
      const half = element.offsetWidth / 2;
      const left = Math.max(half, Math.min(room - half, x * scale));
      const isBelow = (y - radius) * scale < element.offsetHeight + 16;
      element.style.left = `${left}px`;
      element.style.top = `${(isBelow ? y + radius + 14 : y - radius - 14) * scale}px`;
      element.classList.toggle("below", isBelow);
    },
    hide() {
      element.hidden = true;
    },
  };
}
