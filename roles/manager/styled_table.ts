/**
 * Tables whose cells have colours and which fit any width: columns that matter least are left out where there is no room,
 * and one column takes what is left. (`../table.ts` makes those of one width that are only text.)
 */

import { escapeText } from "../escape.ts";
import type { Paint, Style } from "./styles.ts";

const GAP = 2;

export interface StyledCell {
  readonly text: string;
  readonly style?: Style | undefined;
}

export interface StyledColumn<T> {
  readonly title: string;
  cell(row: T): StyledCell | string;
  /** Default left. */
  readonly align?: "left" | "right";
  /** It is never narrower, so that what changes does not move what stands beside it. */
  readonly minWidth?: number;
  /** It may be cut to this where there is no room. */
  readonly cutTo?: number;
  /** The higher, the sooner it is left out; without one it never is. */
  readonly leftOut?: number;
}

export interface StyledTable {
  readonly head: string;
  readonly lines: readonly string[];
}

interface Fitted<T> {
  readonly column: StyledColumn<T>;
  readonly at: number;
  width: number;
}

/** `styleOf` gives a whole line a style, in place of its cells'. */
export function styledTable<T>(
  columns: readonly StyledColumn<T>[],
  rows: readonly T[],
  { width, paint, styleOf }: {
    readonly width: number;
    readonly paint: Paint;
    readonly styleOf?: (row: T) => Style | undefined;
  },
): StyledTable {
  const cells = rows.map((row) => columns.map((column) => cellOf(column, row)));
  const fitted = fit(columns.map((column, at) => ({ column, at, width: naturalWidth(column, cells, at) })), width);
  const line = (texts: readonly StyledCell[], paintOne: Paint) =>
    fitted.map(({ column, at, width }, place) => {
      const { text, style } = texts[at]!;
      const shown = cutText(text, width);
      const space = " ".repeat(width - shown.length);
      const isLast = place === fitted.length - 1;
      const painted = paintOne(shown, style);
      return column.align === "right" ? space + painted : painted + (isLast ? "" : space);
    }).join(" ".repeat(GAP)).trimEnd();
  const titles = columns.map(({ title }): StyledCell => ({ text: title.toUpperCase() }));
  return {
    head: cutText(line(titles, (text) => text), width),
    lines: rows.map((row, at) => {
      const style = styleOf?.(row);
      if (style === undefined) return line(cells[at]!, paint);
      return paint(cutText(line(cells[at]!, (text) => text), width).padEnd(width), style);
    }),
  };
}

function cellOf<T>(column: StyledColumn<T>, row: T): StyledCell {
  const cell = column.cell(row);
  return typeof cell === "string" ? { text: escapeText(cell) } : { ...cell, text: escapeText(cell.text) };
}

function naturalWidth<T>(column: StyledColumn<T>, cells: readonly (readonly StyledCell[])[], at: number): number {
  return cells.reduce(
    (width, line) => Math.max(width, line[at]!.text.length),
    Math.max(column.title.length, column.minWidth ?? 0),
  );
}

/** First the columns that may be cut are, the last of them first; then columns are left out. */
function fit<T>(columns: readonly Fitted<T>[], width: number): Fitted<T>[] {
  let kept = [...columns];
  for (;;) {
    let excess = kept.reduce((sum, column) => sum + column.width + GAP, -GAP) - width;
    for (const one of kept.toReversed()) {
      if (excess <= 0 || one.column.cutTo === undefined) continue;
      const cut = Math.min(excess, Math.max(0, one.width - one.column.cutTo));
      one.width -= cut;
      excess -= cut;
    }
    if (excess <= 0) return kept;
    const ranks = kept.map(({ column }) => column.leftOut ?? -Infinity);
    const worst = Math.max(...ranks);
    if (worst === -Infinity) return kept;
    kept = kept.filter((_, at) => at !== ranks.indexOf(worst));
    // What was cut for a column that is left out now has its room again.
    for (const one of kept) one.width = columns.find(({ at }) => at === one.at)!.width;
  }
}

/** At most so many characters, the last an ellipsis where there were more. */
export function cutText(text: string, width: number): string {
  if (text.length <= width) return text;
  return width <= 0 ? "" : `${text.slice(0, width - 1).toWellFormed()}…`;
}
