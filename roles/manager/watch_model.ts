/**
 * What `culvert manager watch` knows and what its keys do: looks come in, keys come in, wishes go out. It draws nothing
 * (`live_table.ts`) and asks nobody (`watch_command.ts`).
 *
 *   table ──/──▶ filter    table ──x, r──▶ confirm ──y──▶ wish    table ──l──▶ log    table ──?──▶ help
 */

import type { ManagerReport, ServiceReport, ServiceStats } from "../../protocol/manager/report.ts";
import type { Deed } from "./asking.ts";
import type { Key } from "./keys.ts";
import type { StatsRow } from "./stats_columns.ts";
import type { Style } from "./styles.ts";

/** How many lines of a log are kept for whoever looks at it. */
const MAX_LOG_LINES = 500;
const MAX_FILTER = 32;
const PAGE_ROWS = 10;

export type WatchRow = StatsRow & Pick<ServiceReport, "gaveUp" | "nextStartMs" | "reason" | "notes" | "lastExit">;

/** What a key asks of whoever runs the model. */
export type Wish =
  | { readonly do: "quit" | "suspend" | "redraw" | "close-log" }
  | { readonly do: Deed | "open-log"; readonly name: string };

export interface Message {
  readonly text: string;
  readonly style?: Style;
}

export type WatchMode =
  | { readonly kind: "table" | "filter" | "help" }
  | { readonly kind: "confirm"; readonly deed: Deed; readonly name: string }
  | { readonly kind: "log"; readonly name: string; readonly lines: string[] };

export class WatchModel {
  #report: ManagerReport | undefined;
  #rows: readonly WatchRow[] = [];
  #mode: WatchMode = { kind: "table" };
  #filter = "";
  #chosen: string | undefined;
  #message: Message | undefined;
  #isLost = false;

  get mode(): WatchMode {
    return this.#mode;
  }

  get report(): ManagerReport | undefined {
    return this.#report;
  }

  /** All of them, whatever the filter. */
  get services(): readonly WatchRow[] {
    return this.#rows;
  }

  /** Those that the filter lets through. */
  get rows(): readonly WatchRow[] {
    return this.#rows.filter(({ name }) => name.includes(this.#filter));
  }

  get filter(): string {
    return this.#filter;
  }

  get message(): Message | undefined {
    return this.#message;
  }

  /** The manager does not answer: what is known is old. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Which of the rows the keys act on. */
  get chosen(): WatchRow | undefined {
    const { rows } = this;
    return rows.find(({ name }) => name === this.#chosen) ?? rows[0];
  }

  /** Whether something is on its way, so that it should be looked at sooner. */
  get isMoving(): boolean {
    return this.#rows.some(({ state }) => state === "starting" || state === "stopping");
  }

  /** What the manager has answered. */
  see(report: ManagerReport, stats: readonly ServiceStats[]): void {
    this.#report = report;
    this.#isLost = false;
    const byName = new Map(stats.map((one) => [one.name, one]));
    // State and health are the report's, which says why as well: the two were not asked at one time.
    this.#rows = report.services.map((
      { name, state, health, restarts, reason, gaveUp, nextStartMs, notes, lastExit },
    ) => ({
      ...byName.get(name),
      ...{ name, state, health, restarts, reason, gaveUp, nextStartMs, notes, lastExit },
    }));
  }

  /** It has not. */
  lose(): void {
    this.#isLost = true;
  }

  /** Shown until the next key. */
  say(message: Message): void {
    this.#message = message;
  }

  addLogLine(line: string): void {
    if (this.#mode.kind !== "log") return;
    const { lines } = this.#mode;
    if (lines.push(line) > MAX_LOG_LINES) lines.shift();
  }

  press(key: Key): Wish | undefined {
    this.#message = undefined;
    if (key === "ctrl-c") return { do: "quit" };
    if (key === "ctrl-z") return { do: "suspend" };
    if (key === "ctrl-l") return { do: "redraw" };
    switch (this.#mode.kind) {
      case "filter":
        return this.#pressInFilter(key);
      case "confirm": {
        const { deed, name } = this.#mode;
        this.#mode = { kind: "table" };
        return key === "y" || key === "Y" ? { do: deed, name } : undefined;
      }
      case "log":
        if (key === "q" || key === "l" || key === "escape") this.#mode = { kind: "table" };
        return this.#mode.kind === "table" ? { do: "close-log" } : undefined;
      case "help":
        this.#mode = { kind: "table" };
        return undefined;
      case "table":
        return this.#pressInTable(key);
    }
  }

  #pressInFilter(key: Key): undefined {
    if (key === "enter") this.#mode = { kind: "table" };
    else if (key === "escape") {
      this.#filter = "";
      this.#mode = { kind: "table" };
    } else if (key === "backspace") this.#filter = this.#filter.slice(0, -1);
    else if (key === "ctrl-u") this.#filter = "";
    else if (key.length === 1 && this.#filter.length < MAX_FILTER) this.#filter += key.toLowerCase();
    else this.#move(key);
  }

  #pressInTable(key: Key): Wish | undefined {
    const name = this.chosen?.name;
    switch (key) {
      case "q":
        return { do: "quit" };
      case "?":
      case "h":
        this.#mode = { kind: "help" };
        return undefined;
      case "/":
        this.#mode = { kind: "filter" };
        return undefined;
      case "escape":
        this.#filter = "";
        return undefined;
      case "s":
        return name === undefined ? undefined : { do: "start", name };
      case "x":
      case "r":
        if (name !== undefined) this.#mode = { kind: "confirm", deed: key === "x" ? "stop" : "restart", name };
        return undefined;
      case "l":
      case "enter":
        if (name === undefined) return undefined;
        this.#mode = { kind: "log", name, lines: [] };
        return { do: "open-log", name };
      default:
        this.#move(key);
        return undefined;
    }
  }

  #move(key: Key): void {
    const { rows, chosen } = this;
    const moves: Readonly<Record<Key, number>> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      "page-up": -PAGE_ROWS,
      "page-down": PAGE_ROWS,
      home: -Infinity,
      g: -Infinity,
      end: Infinity,
      G: Infinity,
    };
    const move = moves[key];
    if (move === undefined || !chosen) return;
    this.#chosen = rows[Math.min(rows.length - 1, Math.max(0, rows.indexOf(chosen) + move))]!.name;
  }
}
