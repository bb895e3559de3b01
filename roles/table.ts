/**
 * Tables for people: columns under headings, at most 80 characters wide, whatever is in the cells. What does not fit ends in
 * an ellipsis, in those columns that may be cut.
 */

import { escapeText } from "./escape.ts";

const WIDTH = 80;
const GAP = 2;
/** A column that is cut keeps this much. */
const MIN_CUT_WIDTH = 6;

export interface Column<T> {
  readonly title: string;
  cell(row: T): string;
  /** Default left. */
  readonly align?: "left" | "right";
  /** Whether it may be cut when the table is too wide; those further right are cut first. */
  readonly canBeCut?: boolean;
}

/** The lines of a table, its headings first. */
export function tableLines<T>(columns: readonly Column<T>[], rows: readonly T[]): string[] {
  const cells = rows.map((row) => columns.map((column) => escapeText(column.cell(row))));
  const titles = columns.map(({ title }) => title.toUpperCase());
  const widths = fit(columns, [titles, ...cells]);
  return [titles, ...cells].map((line) =>
    line.map((text, at) => {
      const width = widths[at]!;
      const shown = text.length > width ? `${text.slice(0, width - 1)}…` : text;
      return columns[at]!.align === "right" ? shown.padStart(width) : shown.padEnd(width);
    }).join(" ".repeat(GAP)).trimEnd()
  );
}

/** How wide each column is. */
function fit<T>(columns: readonly Column<T>[], lines: readonly (readonly string[])[]): number[] {
  const widths = columns.map((_, at) => lines.reduce((width, line) => Math.max(width, line[at]!.length), 0));
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP * (columns.length - 1) - WIDTH;
  for (let at = columns.length - 1; at >= 0 && excess > 0; at--) {
    if (!columns[at]!.canBeCut) continue;
    const cut = Math.min(excess, Math.max(0, widths[at]! - MIN_CUT_WIDTH));
    widths[at]! -= cut;
    excess -= cut;
  }
  return widths;
}

const UNITS = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "m"], [1000, "s"]] as const;

/** A span of time in its one or two largest units: `850ms`, `12s`, `3m20s`, `2d`. */
export function spanText(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  const at = UNITS.findIndex(([unitMs]) => ms >= unitMs);
  const [unitMs, name] = UNITS[at]!;
  const count = Math.floor(ms / unitMs);
  const next = UNITS[at + 1];
  const rest = next && count < 10 ? Math.floor((ms % unitMs) / next[0]) : 0;
  return `${count}${name}${rest > 0 ? `${rest}${next![1]}` : ""}`;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** An amount of bytes in the unit that suits it: `12.5 MiB`. */
export function bytesText(bytes: number): string {
  const power = Math.min(BYTE_UNITS.length - 1, bytes < 1024 ? 0 : Math.floor(Math.log2(bytes) / 10));
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${BYTE_UNITS[power]}`;
}
