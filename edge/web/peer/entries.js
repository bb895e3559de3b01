/** Files and folders as a list: what each is, how large, how old. Arrow keys go from one to the next. */

import { h, icon } from "../lib/dom.js";
import { when } from "../lib/controls.js";
import { bytes } from "../lib/words.js";
import { hrefOf, nameOf, parentOf, shown } from "./places.js";

/** @import { Source } from "./source.js" */
/** @typedef {import("../lib/dom.js").IconName} IconName */

/**
 * @typedef {{ path: string, kind: "file" | "folder", size: number, modifiedMs: number, type?: string | undefined }} Listed
 * @typedef {"name" | "size" | "modified"} Column
 */

/** @type {readonly { column: Column, title: string, isNumber?: boolean }[]} */
const columns = [
  { column: "name", title: "Name" },
  { column: "size", title: "Size", isNumber: true },
  { column: "modified", title: "Changed" },
];

/**
 * @param {{
 *   source: Source,
 *   caption: string,
 *   entries: readonly Listed[],
 *   sorting?: { sort: Column, order: "up" | "down", choose: (column: Column) => void },
 *   hasFolders?: boolean,
 * }} options `hasFolders`: says in which folder each is
 */
export function entryList({ source, caption, entries, sorting, hasFolders = false }) {
  const heads = columns.map(({ column, title, isNumber }) =>
    h(
      "th",
      {
        scope: "col",
        class: isNumber ? "number" : column,
        "aria-sort": sorting?.sort === column ? sorting.order === "up" ? "ascending" : "descending" : undefined,
      },
      sorting
        ? h(
          "button",
          {
            type: "button",
            class: "sort",
            data: { key: `sort-${column}` },
            on: { click: () => sorting.choose(column) },
          },
          title,
        )
        : title,
    )
  );
  const list = h(
    "div",
    { class: "table plain entries" },
    h(
      "table",
      {},
      h("caption", { class: "for-readers" }, caption),
      h("thead", {}, h("tr", {}, heads, h("th", { scope: "col" }, h("span", { class: "for-readers" }, "Download")))),
      h("tbody", {}, entries.map((entry) => row(source, entry, hasFolders))),
    ),
  );
  list.addEventListener("keydown", (event) => move(list, event));
  return list;
}

/**
 * @param {Source} source
 * @param {Listed} entry
 * @param {boolean} hasFolders
 */
function row(source, entry, hasFolders) {
  const { path, kind, size, modifiedMs, type } = entry;
  const name = shown(nameOf(path));
  const isFile = kind === "file";
  return h(
    "tr",
    {},
    h(
      "td",
      { class: "name" },
      h(
        "a",
        { class: "entry", href: hrefOf({ kind, path, peerId: source.peerId }), data: { key: path } },
        icon(iconOf(kind, type)),
        h("span", { dir: "auto" }, name, !isFile && h("span", { class: "for-readers" }, ", folder")),
      ),
      hasFolders && h("span", { class: "beside" }, "in ", h("bdi", {}, shown(parentOf(path)) || "the top folder")),
      h("span", { class: "beside narrow" }, isFile && [bytes(size), " · "], when(modifiedMs)),
    ),
    h("td", { class: "number" }, isFile && bytes(size)),
    h("td", { class: "modified" }, when(modifiedMs)),
    h(
      "td",
      { class: "keep" },
      isFile &&
        h(
          "a",
          { class: "button plain", href: source.downloadUrl(path), download: name, "aria-label": `Download ${name}` },
          icon("down"),
        ),
    ),
  );
}

/**
 * @param {"file" | "folder"} kind
 * @param {string} [type]
 * @returns {IconName}
 */
export function iconOf(kind, type = "") {
  if (kind === "folder") return "folder";
  if (type.startsWith("image/")) return "picture";
  if (type.startsWith("video/")) return "film";
  if (type.startsWith("audio/")) return "sound";
  return type.startsWith("text/") || type === "application/json" || type === "application/pdf" ? "text" : "file";
}

/**
 * @param {HTMLElement} list
 * @param {KeyboardEvent} event
 */
function move(list, event) {
  if (!(event.target instanceof HTMLElement)) return;
  const links = [...list.querySelectorAll("a.entry")];
  const here = links.findIndex((link) =>
    link.closest("tr") === /** @type {HTMLElement} */ (event.target).closest("tr")
  );
  const steps = new Map([["ArrowDown", here + 1], ["ArrowUp", here - 1], ["Home", 0], ["End", links.length - 1]]);
  const next = links[steps.get(event.key) ?? -1];
  if (!(next instanceof HTMLElement)) return;
  event.preventDefault();
  next.focus();
}
