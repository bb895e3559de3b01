/** The newest `LOG_LINES` lines of what happened. Their ids only ever grow, also over restarts of the program. */

import { LOG_LINES, type LogLine } from "./api.ts";
import { plainText } from "./plain.ts";

export type NewLine = Omit<LogLine, "id">;

const MAX_LINE = 300;

export class EventLog {
  readonly #lines: LogLine[] = [];
  #nextId: number;

  /** Ids begin at the time, which no number of lines overtakes. */
  constructor(nowMs: number) {
    this.#nextId = Math.max(1, Math.floor(nowMs));
  }

  /** Oldest first. */
  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  /** The lines as they were kept. */
  add(lines: readonly NewLine[]): LogLine[] {
    const kept = lines.slice(-LOG_LINES).map(({ atMs, tone, text }) => ({
      id: this.#nextId++,
      atMs,
      tone,
      text: plainText(text, MAX_LINE),
    }));
    this.#lines.push(...kept);
    this.#lines.splice(0, this.#lines.length - LOG_LINES);
    return kept;
  }
}
