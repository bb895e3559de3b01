/**
 * The columns of `culvert manager stats` and `watch`: all of them fit 80 characters beside a name of twelve.
 */

import type { ServiceReport, ServiceState, ServiceStats } from "../../protocol/manager/report.ts";
import { spanText } from "../table.ts";
import type { StyledCell, StyledColumn } from "./styled_table.ts";
import type { Style } from "./styles.ts";

const NOTHING = "-";

/** With what only reports tell, where one is there. */
export type StatsRow = ServiceStats & Partial<Pick<ServiceReport, "gaveUp" | "nextStartMs">>;

/** State and health are the report's where there is one, which says more of them; the two were not asked at one time. */
export function statsRow(stats: ServiceStats, reports: readonly ServiceReport[]): StatsRow {
  const report = reports.find(({ name }) => name === stats.name);
  if (!report) return stats;
  const { state, health, restarts, gaveUp, nextStartMs } = report;
  return { ...stats, state, health, restarts, gaveUp, ...nextStartMs !== undefined && { nextStartMs } };
}

export const statsColumns: readonly StyledColumn<StatsRow>[] = [
  { title: "service", cell: ({ name }) => name, cutTo: 12 },
  { title: "state", cell: stateCell, minWidth: 8 },
  { title: "up", cell: ({ uptimeMs }) => textOf(uptimeMs, spanText), align: "right", minWidth: 5, leftOut: 4 },
  { title: "cpu", cell: ({ cpuPercent }) => textOf(cpuPercent, percentText), align: "right", minWidth: 5, leftOut: 3 },
  { title: "mem", cell: ({ memoryBytes }) => textOf(memoryBytes, shortBytes), align: "right", minWidth: 5, leftOut: 5 },
  { title: "conn", cell: ({ connections }) => textOf(connections, String), align: "right", minWidth: 4, leftOut: 6 },
  { title: "in/s", cell: ({ inBitsPerS }) => textOf(inBitsPerS, shortBits), align: "right", minWidth: 5, leftOut: 7 },
  {
    title: "out/s",
    cell: ({ outBitsPerS }) => textOf(outBitsPerS, shortBits),
    align: "right",
    minWidth: 5,
    leftOut: 8,
  },
  { title: "rst", cell: restartsCell, align: "right", minWidth: 3, leftOut: 2 },
  { title: "health", cell: healthCell, minWidth: 6, leftOut: 1 },
];

function restartsCell({ restarts }: StatsRow): StyledCell {
  return { text: String(restarts), style: restarts > 0 ? "waiting" : undefined };
}

const STATE_STYLES: Readonly<Record<ServiceState, Style>> = {
  stopped: "faint",
  starting: "waiting",
  running: "good",
  stopping: "waiting",
};

/** Of those that are stopped, some are not meant to be. */
export function stateCell(
  { state, gaveUp, nextStartMs }: Pick<StatsRow, "state" | "gaveUp" | "nextStartMs">,
): StyledCell {
  if (state === "stopped" && gaveUp) return { text: "gave up", style: "bad" };
  if (state === "stopped" && nextStartMs !== undefined) return { text: "waiting", style: "waiting" };
  return { text: state, style: STATE_STYLES[state] };
}

export function healthCell({ health }: Pick<ServiceStats, "health">): StyledCell {
  if (health === "unknown") return { text: NOTHING, style: "faint" };
  return health === "healthy" ? { text: "ok", style: "good" } : { text: "bad", style: "bad" };
}

function textOf(value: number | undefined, text: (value: number) => string): string {
  return value === undefined ? NOTHING : text(value);
}

/** `0.3%`, `12%`. */
function percentText(percent: number): string {
  return `${percent < 9.95 ? percent.toFixed(1) : Math.round(percent)}%`;
}

/** Of 1024: `512B`, `3.4M`, `120M`. */
export function shortBytes(bytes: number): string {
  return shortNumber(bytes, 1024, ["B", "K", "M", "G", "T"]);
}

/** Of 1000, in bits: `0`, `840k`, `9.4M`. */
export function shortBits(bits: number): string {
  return shortNumber(bits, 1000, ["", "k", "M", "G", "T"]);
}

/** At most four characters and the unit. */
function shortNumber(value: number, base: number, units: readonly string[]): string {
  let power = 0;
  while (value >= base * 0.9995 && power < units.length - 1) {
    value /= base;
    power++;
  }
  const digits = power > 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value));
  return digits + units[power];
}
