/** Which rows of how many are shown, and the ways to those before and after. */

import { h, replaceChildren } from "../lib/dom.js";

/** @param {{ rowsAPage: number, goTo: (page: number) => void }} options */
export function createPager({ rowsAPage, goTo }) {
  const element = h("nav", { class: "pager", "aria-label": "Pages of rows" });
  return {
    element,
    /**
     * @param {number} page from 0
     * @param {number} count of the rows on it
     * @param {number} total
     */
    show(page, count, total) {
      const first = page * rowsAPage;
      const { activeElement: active } = document;
      const key = active instanceof HTMLElement && element.contains(active) ? active.dataset["key"] : undefined;
      replaceChildren(
        element,
        h("p", { class: "soft", role: "status" }, wordsFor(first, count, total)),
        step("Earlier", page > 0, () => goTo(page - 1)),
        step("Further", first + count < total, () => goTo(page + 1)),
      );
      if (key !== undefined) focusKey(element, key);
    },
  };
}

/**
 * @param {number} first
 * @param {number} count
 * @param {number} total
 */
function wordsFor(first, count, total) {
  const [from, to, all] = [first + 1, first + count, total].map((each) => each.toLocaleString("en"));
  if (total === 0) return "None";
  return count === 0 ? `None so far down: there are ${all}` : `${from}–${to} of ${all}`;
}

/**
 * @param {string} words
 * @param {boolean} isPossible
 * @param {() => void} go
 */
function step(words, isPossible, go) {
  return h(
    "button",
    { type: "button", class: "small", disabled: !isPossible, data: { key: `pager-${words}` }, on: { click: go } },
    words,
  );
}

/**
 * @param {Element} place
 * @param {string} key
 */
export function focusKey(place, key) {
  const element = place.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (element instanceof HTMLElement) element.focus({ preventScroll: true });
}
