/**
 * An outcome as a table for people, at most 80 columns wide.
 */

import type { Outcome } from "./subject.ts";

const WIDTH = 80;

/** The lines of the table. */
export function formatOutcome(outcome: Outcome): string {
  const { subject, unit, ours, peers, ratio, figures, missing } = outcome;
  const rows = [
    ["", unit, "ratio"],
    ["culvert", format(ours), ""],
    ...Object.entries(peers).map(([name, value]) => [name, format(value), `${ratio[name]!.toFixed(2)}×`]),
    ...missing.map((name) => [name, "not installed", ""]),
  ];
  const figureRows = Object.entries(figures).map(([name, value]) => [name, format(value)]);
  return [
    `${subject}${outcome.quick ? " (quick)" : ""}`,
    ...align(rows),
    ...figureRows.length > 0 ? ["", ...align(figureRows)] : [],
  ].join("\n");
}

/** The first column to the left, the others to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from(
    { length: columns },
    (_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const others = widths.slice(1).reduce((sum, width) => sum + width + 2, 0);
  widths[0] = Math.min(widths[0]!, WIDTH - 2 - others);
  return rows.map((row) => {
    const cells = widths.map((width, column) => {
      const cell = (row[column] ?? "").slice(0, width);
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

function format(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return Number(value.toPrecision(3)).toString();
}
