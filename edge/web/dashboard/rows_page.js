/**
 * A page of rows that the server searches, sorts and cuts into pages: the network may be too large for a browser. What one
 * looks for is in the address, so that it can be kept and sent on.
 *
 *   #/peers?search=exit&sort=-load&page=2
 */

import { h } from "../lib/dom.js";
import { section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { createPager, focusKey } from "./pager.js";
import { createPanel, withPanel } from "./panel.js";

/** @import { RowPage, RowQuery } from "../../dashboard/api.ts" */
/** @import { Choice } from "./panel.js" */
/** @import { PageContext } from "./routes.js" */

/**
 * `name`: what the server knows the column by, where it can sort by it.
 * @template T
 * @typedef {import("../lib/table.js").Column<T> & { name?: string }} RowColumn
 */

const ROWS_A_PAGE = 50;
/** The server takes no larger offset than ten million rows. */
const MOST_PAGES = 200_000;
const REFRESHED_MS = 3000;
const TYPING_MS = 200;

/**
 * @template T
 * @param {PageContext} context
 * @param {{
 *   path: string,
 *   title: string,
 *   about: string,
 *   placeholder: string,
 *   load: (query: RowQuery, signal: AbortSignal) => Promise<RowPage<T>>,
 *   columns: (choose: (choice: Choice) => void) => readonly RowColumn<T>[],
 *   none: Node,
 * }} options
 */
export function rowsPage(context, { path, title, about, placeholder, load, columns, none }) {
  const { query, signal } = context;
  let page = pageOf(query.get("page"));
  let opener = "";
  const panel = createPanel(context, { closed: () => focusKey(element, opener) });
  const shown = columns((choice) => {
    const active = document.activeElement;
    opener = active instanceof HTMLElement ? active.dataset["key"] ?? "" : "";
    panel.show(choice);
  }).map((column) => ({ ...column, isSortable: column.name !== undefined }));
  const sort = sortOf(query.get("sort") ?? "", shown);
  const search = h("input", {
    type: "search",
    "aria-label": placeholder,
    placeholder,
    autocomplete: "off",
    value: query.get("search") ?? "",
  });
  const pager = createPager({ rowsAPage: ROWS_A_PAGE, goTo });
  /** @type {number | undefined} */
  let typing;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => goTo(0), TYPING_MS);
  });

  const { element, reload } = section({
    signal,
    lines: 10,
    everyMs: REFRESHED_MS,
    load: loadPage,
    show: ({ rows, total }) => {
      pager.show(page, rows.length, total);
      return table({ caption: title, columns: shown, rows, none: none.cloneNode(true), sort, resort: () => goTo(0) });
    },
  });

  /**
   * Beyond the end is the last page there is.
   * @param {AbortSignal} signal
   */
  async function loadPage(signal) {
    const answer = await load(asked(), signal);
    if (answer.rows.length > 0 || answer.total === 0 || page === 0) return answer;
    turnTo(Math.ceil(answer.total / ROWS_A_PAGE) - 1);
    return await load(asked(), signal);
  }

  /** @returns {RowQuery} */
  function asked() {
    return { search: search.value.trim(), sort: sortName(sort, shown), limit: ROWS_A_PAGE, offset: page * ROWS_A_PAGE };
  }

  /** @param {number} to */
  function goTo(to) {
    turnTo(to);
    void reload();
  }

  /** @param {number} to */
  function turnTo(to) {
    page = to;
    const { search, sort } = asked();
    const next = new URLSearchParams();
    if (search) next.set("search", search);
    if (sort) next.set("sort", sort);
    if (page > 0) next.set("page", String(page + 1));
    history.replaceState(null, "", `#${path}${next.size > 0 ? `?${next}` : ""}`);
  }

  signal.addEventListener("abort", () => clearTimeout(typing), { once: true });
  const head = h(
    "header",
    { class: "page-head" },
    h("div", {}, h("h1", { tabindex: "-1" }, title), h("p", {}, about)),
    search,
  );
  return h(
    "div",
    { class: "page" },
    head,
    withPanel(h("section", { class: "card rows", "aria-label": title }, element, pager.element), panel.element),
  );
}

/**
 * From 0; what is no number is the first, and what is beyond all that a server looks for the last of those.
 * @param {string | null} text as in the address, from 1
 */
function pageOf(text) {
  const page = Math.floor(Number(text ?? 1)) - 1;
  return Math.min(MOST_PAGES - 1, Math.max(0, page || 0));
}

/**
 * @param {string} text
 * @param {readonly { name?: string }[]} columns
 */
function sortOf(text, columns) {
  const name = text.replace(/^-/, "");
  const column = name === "" ? -1 : columns.findIndex((each) => each.name === name);
  return { column, descending: text.startsWith("-") };
}

/**
 * @param {{ column: number, descending: boolean }} sort
 * @param {readonly { name?: string }[]} columns
 */
function sortName({ column, descending }, columns) {
  const name = columns[column]?.name;
  return name === undefined ? undefined : `${descending ? "-" : ""}${name}`;
}
