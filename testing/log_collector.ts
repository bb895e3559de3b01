/**
 * A Log that keeps its lines, so that a test can ask what was said, and can show that something never was.
 */

import type { Log, LogFields } from "../protocol/log.ts";
import { Changes } from "./waiting.ts";

/** How urgent a line is. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** A line that was logged. */
export interface LogLine {
  /** How urgent it is. */
  readonly level: LogLevel;
  /** What it says. */
  readonly message: string;
  /** What it says of whom. */
  readonly fields: LogFields;
}

/** A log that keeps its lines, for tests to look at and to wait for. */
export class LogCollector implements Log {
  /** Every line so far, oldest first; shared with the logs made by `with`. */
  readonly lines: LogLine[] = [];
  readonly #changes = new Changes();

  /** Keeps a line. */
  debug(message: string, fields?: LogFields): void {
    this.#keep("debug", message, fields);
  }

  /** Keeps a line. */
  info(message: string, fields?: LogFields): void {
    this.#keep("info", message, fields);
  }

  /** Keeps a line. */
  warn(message: string, fields?: LogFields): void {
    this.#keep("warn", message, fields);
  }

  /** Keeps a line. */
  error(message: string, fields?: LogFields): void {
    this.#keep("error", message, fields);
  }

  with(fields: LogFields): Log {
    const keep = (level: LogLevel) => (message: string, more?: LogFields) =>
      this.#keep(level, message, { ...fields, ...more });
    return {
      debug: keep("debug"),
      info: keep("info"),
      warn: keep("warn"),
      error: keep("error"),
      with: (more) => this.with({ ...fields, ...more }),
    };
  }

  /** The lines of a level, or all of them, one per row: `warn message key=value`. */
  text(level?: LogLevel): string {
    return this.lines.filter((line) => !level || line.level === level).map(formatLine).join("\n");
  }

  /** The first line whose message contains the words: one already said, or the first to come. */
  async waitFor(words: string): Promise<LogLine> {
    const find = () => this.lines.find((line) => line.message.includes(words));
    await this.#changes.until(() => find() !== undefined, `a line with "${words}"`, () => this.text());
    return find()!;
  }

  #keep(level: LogLevel, message: string, fields?: LogFields): void {
    this.lines.push({ level, message, fields: fields ?? {} });
    this.#changes.tell();
  }
}

function formatLine({ level, message, fields }: LogLine): string {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [level, message, ...pairs.map(([key, value]) => `${key}=${value}`)].join(" ");
}
