/**
 * What `culvert manager watch` shows, as the lines of one frame that fit a terminal of any size.
 *
 *   12 services: 10 running, 1 gave up                        the manager, pid 4711
 *
 *     SERVICE  STATE       UP    CPU ….
 *   > kcp      running   3h2m   0.3% ….
 *
 *   kcp: killed by SIGKILL; starts again in 4s                about the chosen one
 *   s start  x stop  r restart  l log  / filter  ? help  q quit
 */

import { serviceStates } from "../../protocol/manager/report.ts";
import { escapeText } from "../escape.ts";
import type { TerminalSize } from "./screen.ts";
import { stateCell, statsColumns } from "./stats_columns.ts";
import { cutText, styledTable } from "./styled_table.ts";
import { whyText } from "./status_text.ts";
import type { Paint } from "./styles.ts";
import type { Message, WatchModel, WatchRow } from "./watch_model.ts";

const KEYS = "↑↓ choose  s start  x stop  r restart  l log  / filter  ? help  q quit";
/** Before the chosen one, for terminals without colours. */
const MARK = "> ";
const NO_MARK = "  ";
const LOG_KEYS = "q back";

const HELP = [
  "↑ ↓ k j      choose a service; also page up, page down, home, end",
  "s            start it, also after it was given up",
  "x            stop it",
  "r            restart it",
  "l enter      see what it writes to its log",
  "/            see only those with these letters in their names; escape shows all",
  "ctrl-l       draw all of it again",
  "ctrl-z       back to the shell for a while",
  "q ctrl-c     leave; services go on",
  "",
  "Should this program be killed by SIGKILL: `reset` puts the terminal back.",
];

export interface LiveTableOptions extends TerminalSize {
  readonly paint: Paint;
}

/** One line for each row, none as wide as the terminal. */
export function liveTable(model: WatchModel, { columns, rows, paint }: LiveTableOptions): string[] {
  const space = { width: Math.max(1, columns - 1), rows, paint };
  switch (model.mode.kind) {
    case "help":
      return page({ title: "Keys", lines: HELP, foot: "any key: back" }, space);
    case "log":
      return logPage(model.mode, space);
    default:
      return tablePage(model, space);
  }
}

interface Space {
  /** What a line may be wide. */
  readonly width: number;
  readonly rows: number;
  readonly paint: Paint;
}

function tablePage(model: WatchModel, space: Space): string[] {
  const { width, rows, paint } = space;
  const shown = model.rows;
  const { chosen } = model;
  const { head, lines } = styledTable(statsColumns, shown, {
    width: width - MARK.length,
    paint,
    styleOf: (row) => row === chosen ? "chosen" : undefined,
  });
  const top = [titleLine(model, space), "", NO_MARK + paint(head, "strong")];
  const bottom = [aboutLine(model, space), footLine(model, space)];
  // Of a terminal that is too low for all, the services are what counts.
  const isLow = rows < top.length + bottom.length + 3;
  const bodyRows = Math.max(1, rows - (isLow ? 1 : top.length + 1 + bottom.length));
  const body = windowOf(
    lines.map((line, at) => (shown[at] === chosen ? MARK : NO_MARK) + line),
    chosen ? shown.indexOf(chosen) : 0,
    bodyRows,
  );
  if (shown.length === 0) body[0] = cutText(emptyText(model), width);
  if (isLow) return [...body, footLine(model, space)].slice(-rows);
  return [...top, ...body, "", ...bottom];
}

function emptyText({ services, filter }: WatchModel): string {
  return services.length === 0 ? "There are no services" : `No service's name has ${filter} in it`;
}

/** As many lines as there is room for, the chosen among them, in its middle where there are more. */
function windowOf(lines: readonly string[], chosen: number, rows: number): string[] {
  const first = Math.max(0, Math.min(chosen - Math.floor(rows / 2), lines.length - rows));
  return Array.from({ length: rows }, (_, row) => lines[first + row] ?? "");
}

function titleLine(model: WatchModel, { width, paint }: Space): string {
  const { services, report, filter, isLost } = model;
  if (isLost) {
    return paint(cutText("The manager does not answer; what is below is old. It is asked again", width), "bad");
  }
  const left = `${services.length} services: ${countsText(services)}${filter === "" ? "" : `; filter: ${filter}`}`;
  const right = report ? `manager ${report.pid}, ${report.backend}` : "";
  const gap = width - left.length - right.length;
  if (gap < 2) return paint(cutText(left, width), "strong");
  return paint(left, "strong") + " ".repeat(gap) + paint(right, "faint");
}

function countsText(services: readonly WatchRow[]): string {
  const words = services.map((service) => stateCell(service).text);
  const counts = Map.groupBy(words, (word) => word);
  const order = ["running", ...serviceStates, "waiting", "gave up"];
  const shown = [...new Set(order)].filter((word) => counts.has(word));
  return shown.map((word) => `${counts.get(word)!.length} ${word}`).join(", ") || "none";
}

/** What has come of the last key, or what there is to say of the chosen one. */
function aboutLine({ message, chosen, report }: WatchModel, { width, paint }: Space): string {
  const shown: Message | undefined = message ?? aboutChosen(chosen, report?.nowMs ?? 0);
  return shown ? paint(cutText(escapeText(shown.text), width), shown.style) : "";
}

function aboutChosen(chosen: WatchRow | undefined, nowMs: number): Message | undefined {
  if (!chosen) return undefined;
  const said = [whyText(chosen, nowMs), ...chosen.notes].filter((text) => text !== undefined);
  return said.length === 0 ? undefined : { text: `${chosen.name}: ${said.join("; ")}`, style: "waiting" };
}

function footLine({ mode, filter }: WatchModel, { width, paint }: Space): string {
  if (mode.kind === "filter") return cutText(`filter: ${filter}_   enter keeps it, escape shows all`, width);
  if (mode.kind === "confirm") return paint(cutText(`${mode.deed} ${mode.name}? y/n`, width), "strong");
  return paint(cutText(KEYS, width), "faint");
}

function logPage(
  { name, lines }: { readonly name: string; readonly lines: readonly string[] },
  space: Space,
): string[] {
  const room = Math.max(0, space.rows - 3);
  const last = room === 0 ? [] : lines.slice(-room);
  return page({ title: `Log of ${name}`, lines: last, foot: LOG_KEYS }, space);
}

function page(
  { title, lines, foot }: { readonly title: string; readonly lines: readonly string[]; readonly foot: string },
  { width, rows, paint }: Space,
): string[] {
  const room = Math.max(0, rows - 3);
  const body = Array.from({ length: room }, (_, row) => cutText(escapeText(lines[row] ?? ""), width));
  const all = [paint(cutText(title, width), "strong"), "", ...body, paint(cutText(foot, width), "faint")];
  return rows < 3 ? all.slice(-rows) : all;
}
