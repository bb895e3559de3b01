/** What is found by name among a peer's files, the best first. */

import { button, notice } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { empty, section } from "../lib/section.js";
import { entryList } from "./entries.js";
import { fileHead, searchForm } from "./head.js";
import { Source } from "./source.js";

/** @import { Found } from "../../../protocol/files/listing.ts" */
/** @import { PageContext } from "./app.js" */
/** @import { FindPlace } from "./places.js" */

const PAGE = 100;

/**
 * @param {FindPlace} place
 * @param {PageContext} context
 */
export function findPage({ query, peerId }, context) {
  const { signal } = context;
  const source = new Source(peerId);
  /** @param {string} [after] */
  const search = (after) => source.search({ signal, query: { q: query, limit: PAGE, after } });
  const { element } = section({
    signal,
    lines: 8,
    load: () => search(),
    show: (page) => {
      const place = h("div", { class: "stack" });
      /** @type {readonly Found[]} */
      let found = page.found;
      let next = page.next;
      const draw = () => {
        const entries = entryList({ source, caption: "Files that were found", entries: found, hasFolders: true });
        place.replaceChildren(
          found.length === 0
            ? empty("Nothing is called that", "Every word must be in the name or its folders.")
            : entries,
        );
        if (next !== undefined) place.append(button("Show more", more, { class: "more" }));
        if (page.pending > 0) {
          place.prepend(notice("info", "The folder is still being looked through: there may be more."));
        }
      };
      const more = async () => {
        const page = await search(next);
        found = [...found, ...page.found];
        next = page.next;
        draw();
      };
      draw();
      return place;
    },
  });
  return h(
    "div",
    { class: "page" },
    fileHead({
      source,
      path: "",
      context,
      tail: "Search",
      title: ["Search: ", h("bdi", {}, query)],
      actions: searchForm(source, query),
    }),
    h("section", { class: "card listing" }, element),
  );
}
