/**
 * A list that comes in pages: shows what it has and gets more by a button.
 */

import { button } from "./controls.js";
import { h } from "./dom.js";
import { section } from "./section.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * @template T, C
 * @param {{
 *   load: (cursor: C | undefined, signal: AbortSignal) => Promise<{ rows: readonly T[], next?: C | undefined }>,
 *   show: (rows: readonly T[], reload: () => Promise<void>) => Child,
 *   signal: AbortSignal,
 *   everyMs?: number,
 *   lines?: number,
 * }} options fetched anew as often as `everyMs` while only the first page is shown
 */
export function pagedSection({ load, show, signal, everyMs, lines }) {
  /** @type {C | undefined} */
  let cursor;
  /** @type {readonly T[]} */
  let older = [];
  return section({
    signal,
    ...(everyMs !== undefined && { everyMs }),
    ...(lines !== undefined && { lines }),
    load: async (signal) => {
      // What was fetched beyond the first page stays as it was until the reader asks for all of it anew.
      const page = await load(undefined, signal);
      older = [];
      cursor = page.next;
      return page.rows;
    },
    show: (rows, reload) => {
      const place = h("div", { class: "stack" });
      const draw = () => {
        const all = [...rows, ...older];
        place.replaceChildren(h("div", {}, show(all, reload)));
        if (cursor !== undefined) place.append(button("Show more", more, { class: "more" }));
      };
      const more = async () => {
        const page = await load(cursor, signal);
        older = [...older, ...page.rows];
        cursor = page.next;
        draw();
      };
      draw();
      return place;
    },
  });
}
