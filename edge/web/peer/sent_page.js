/** What was sent to other peers of late: to whom, which way, and whether all of it. */

import { badge, when } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { bytes, short } from "../lib/words.js";
import { wayBadge } from "./head.js";
import { atMostEvery, follow } from "./news.js";
import { hrefOf, shown } from "./places.js";
import { sentOfLate } from "./source.js";

/** @import { Sent } from "../../../protocol/files/owner_api.ts" */
/** @import { PageContext } from "./app.js" */

const NEWS_APART_MS = 500;

/** @param {PageContext} context */
export function sentPage({ signal }) {
  const { element, reload } = section({ signal, load: sentOfLate, show: ({ transfers }) => sentTable(transfers) });
  follow({ transfer: atMostEvery(reload, NEWS_APART_MS, signal) }, signal);
  return h(
    "div",
    { class: "page" },
    h(
      "header",
      { class: "page-head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, "Sent"),
        h("p", {}, "What other peers have taken from here since it was started."),
      ),
    ),
    h("section", { class: "card" }, element),
  );
}

/** @param {readonly Sent[]} transfers */
function sentTable(transfers) {
  return table({
    caption: "What was sent",
    rows: transfers,
    none: "Nobody has taken anything yet",
    columns: [
      {
        title: "File",
        cell: ({ path }) => h("a", { href: hrefOf({ kind: "file", path }) }, h("bdi", {}, shown(path))),
      },
      { title: "To", cell: ({ peerId }) => h("code", { title: peerId }, short(peerId)) },
      { title: "Way", class: "whole", cell: ({ way }) => wayBadge({ way, isOnline: true }) },
      {
        title: "Sent",
        isNumber: true,
        cell: (sent) => h("span", {}, bytes(sent.bytes), !sent.isWhole && [" ", badge("broken off", "warn")]),
      },
      { title: "When", cell: ({ atMs }) => when(atMs) },
    ],
  });
}
