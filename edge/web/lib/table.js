/**
 * Tables: columns as data, sorted by a click on a heading, one card a row where the screen is narrow (each cell then says
 * which column it is of).
 */

import { h, replaceChildren } from "./dom.js";
import { empty } from "./section.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * @template T
 * @typedef {{
 *   title: string,
 *   cell: (row: T) => Child,
 *   sortBy?: (row: T) => string | number | bigint,
 *   isSortable?: boolean,
 *   isNumber?: boolean,
 *   class?: string,
 * }} Column `isSortable`: by whoever `resort` tells
 */

/**
 * @template T
 * @param {{
 *   caption: string,
 *   columns: readonly Column<T>[],
 *   rows: readonly T[],
 *   none: string | Node,
 *   sort?: Sort,
 *   resort?: () => void,
 *   isSmall?: boolean,
 * }} options `caption` is for those who are read to; `sort` is where the reader's choice is kept when it is drawn anew;
 *   `resort` is told of another choice where rows come sorted; a small one stays a table on narrow screens
 */
export function table(
  { caption, columns, rows, none, sort = { column: -1, descending: false }, resort, isSmall = false },
) {
  if (rows.length === 0) return typeof none === "string" ? empty(none) : none;
  const body = h("tbody");
  const heads = columns.map((column, at) =>
    head(column, () => {
      sort.descending = sort.column === at ? !sort.descending : column.isNumber === true;
      sort.column = at;
      draw();
      resort?.();
    })
  );

  function draw() {
    heads.forEach((cell, at) => {
      if (at !== sort.column) cell.removeAttribute("aria-sort");
      else cell.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
    });
    const inOrder = resort ? rows : sorted(rows, columns[sort.column], sort.descending);
    replaceChildren(body, inOrder.map((row) => tableRow(row, columns)));
  }

  draw();
  return h(
    "div",
    { class: isSmall ? "table plain" : "table" },
    h("table", {}, h("caption", { class: "for-readers" }, caption), h("thead", {}, h("tr", {}, heads)), body),
  );
}

/** @typedef {{ column: number, descending: boolean }} Sort */

/**
 * @template T
 * @param {Column<T>} column
 * @param {() => void} choose
 */
function head({ title, sortBy, isSortable, isNumber }, choose) {
  return h(
    "th",
    { scope: "col", class: isNumber ? "number" : undefined },
    sortBy || isSortable
      ? h("button", { type: "button", class: "sort", data: { key: `sort-${title}` }, on: { click: choose } }, title)
      : title || h("span", { class: "for-readers" }, "Actions"),
  );
}

/**
 * @template T
 * @param {T} row
 * @param {readonly Column<T>[]} columns
 */
function tableRow(row, columns) {
  return h(
    "tr",
    {},
    columns.map(({ title, cell, isNumber, class: className }) =>
      h("td", { class: [isNumber && "number", className].filter(Boolean).join(" "), data: { title } }, cell(row))
    ),
  );
}

/**
 * @template T
 * @param {readonly T[]} rows
 * @param {Column<T> | undefined} column
 * @param {boolean} descending
 */
function sorted(rows, column, descending) {
  const value = column?.sortBy;
  if (!value) return rows;
  const sign = descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [left, right] = [value(a), value(b)];
    return left === right ? 0 : left < right ? -sign : sign;
  });
}
