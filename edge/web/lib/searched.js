/**
 * A list that comes in pages, with a field that narrows down what is shown of it.
 */

import { h } from "./dom.js";
import { pagedSection } from "./paged.js";

/**
 * @template T, C
 * @param {{
 *   label: string,
 *   load: (cursor: C | undefined, signal: AbortSignal) => Promise<{ rows: readonly T[], next?: C | undefined }>,
 *   textOf: (row: T) => string,
 *   show: (rows: readonly T[], reload: () => Promise<void>) => Node,
 *   signal: AbortSignal,
 *   lines?: number,
 * }} options only what was loaded is searched
 */
export function searchedSection({ label, load, textOf, show, signal, lines }) {
  const search = h("input", { type: "search", "aria-label": label, placeholder: label, autocomplete: "off" });
  const place = h("div");
  /** @type {readonly T[]} */
  let known = [];
  /** @type {() => Promise<void>} */
  let reload = () => Promise.resolve();
  function draw() {
    const wanted = search.value.trim().toLowerCase();
    place.replaceChildren(show(known.filter((row) => textOf(row).toLowerCase().includes(wanted)), () => reload()));
  }
  search.addEventListener("input", draw);
  const { element } = pagedSection({
    signal,
    load,
    ...(lines !== undefined && { lines }),
    show: (/** @type {readonly T[]} */ rows, again) => {
      known = rows;
      reload = again;
      draw();
      return place;
    },
  });
  return { search: h("div", {}, search), element };
}
