/**
 * A Log that keeps its lines, so that a test can ask what was said, and can show that something never was.
 */

import type { Log, LogFields } from "../protocol/log.ts";
import { Changes } from "./waiting.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export class LogCollector implements Log {
  /** Every line so far, oldest first; shared with the logs made by `with`. */
  readonly lines: LogLine[] = [];
  readonly #changes = new Changes();

  debug(message: string, fields?: LogFields): void {
    this.#keep("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#keep("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#keep("warn", message, fields);
  }

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
