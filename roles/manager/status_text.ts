/**
 * How the manager and its services are, as lines for people.
 */

import type { ManagerReport, ServiceReport } from "../../protocol/manager/report.ts";
import { escapeText } from "../escape.ts";
import { spanText } from "../table.ts";
import { healthCell, stateCell } from "./stats_columns.ts";
import { type StyledColumn, styledTable } from "./styled_table.ts";
import type { Paint, Style } from "./styles.ts";

const WIDTH = 80;

/** The manager, what is wrong with its files, and a line for each service. */
export function managerLines(
  { pid, backend, startedMs, nowMs, problems, services }: ManagerReport,
  paint: Paint,
): string[] {
  const { head, lines } = styledTable(columns(nowMs), services, { width: WIDTH, paint });
  return [
    `manager runs for ${spanText(nowMs - startedMs)}, pid ${pid}, processes by ${backendText(backend)}`,
    ...problems.map((problem) => paint(`problem: ${escapeText(problem)}`, "bad")),
    "",
    ...services.length === 0 ? ["There are no services"] : [head, ...lines],
  ];
}

export function backendText(backend: ManagerReport["backend"]): string {
  return backend === "systemd" ? "systemd" : "itself";
}

function columns(nowMs: number): StyledColumn<ServiceReport>[] {
  return [
    { title: "service", cell: ({ name }) => name },
    { title: "state", cell: stateCell },
    { title: "for", cell: ({ sinceMs }) => spanText(nowMs - sinceMs), align: "right" },
    { title: "health", cell: healthCell },
    { title: "restarts", cell: ({ restarts }) => String(restarts), align: "right" },
    { title: "why", cell: (service) => whyText(service, nowMs) ?? "", cutTo: 12 },
  ];
}

/** All that there is to know of one. */
export function serviceLines(service: ServiceReport, nowMs: number, paint: Paint): string[] {
  const { name, description, pid, startedMs, health, recentRestarts, restarts, lastExit, listen, notes } = service;
  const state = stateCell(service);
  const rows: readonly (readonly [string, string | undefined, (Style | undefined)?])[] = [
    ["service", description === "" ? name : `${name}: ${description}`],
    ["state", `${state.text} for ${spanText(nowMs - service.sinceMs)}`, state.style],
    ["why", whyText(service, nowMs)],
    ["process", pid === undefined ? undefined : `pid ${pid}${startedText(startedMs, nowMs)}`],
    ["health", health, healthCell(service).style],
    ["says", service.says],
    ["restarts", `${restarts} since the manager started, ${recentRestarts} of them of late`],
    ["last end", lastExit],
    ["listens", listen.join(", ")],
    ["at boot", service.enabled ? "starts with the manager" : "is left alone"],
    ...notes.map((note) => ["note", note, "waiting"] as const),
  ];
  const shown = rows.filter((row): row is [string, string, Style | undefined] => row[1] !== undefined && row[1] !== "");
  const width = Math.max(...shown.map(([title]) => title.length));
  return shown.map(([title, text, style]) => `${title.padEnd(width)}  ${paint(escapeText(text), style)}`);
}

function startedText(startedMs: number | undefined, nowMs: number): string {
  return startedMs === undefined ? "" : `, started ${spanText(nowMs - startedMs)} ago`;
}

/** Why it is not as it should be, and what comes next. */
export function whyText(
  { reason, gaveUp, nextStartMs }: Pick<ServiceReport, "reason" | "gaveUp" | "nextStartMs">,
  nowMs: number,
): string | undefined {
  const next = nextStartMs === undefined ? undefined : `starts again in ${spanText(Math.max(0, nextStartMs - nowMs))}`;
  const end = gaveUp ? "only start starts it again" : next;
  return [reason, end].filter((text) => text !== undefined).join("; ") || undefined;
}
