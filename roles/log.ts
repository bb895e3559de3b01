/**
 * The Log that roles hand to their parts: a level, a format, a sink.
 *
 * Not LogTape, although it is a good library: its loggers hang on one process-wide `configure()`, while here several
 * roles may live in one process with a log each and nothing is global; and its non-blocking sinks do not bound what
 * waits for a slow reader. What is left to write is a page.
 */

import type { Log, LogFields } from "../protocol/log.ts";
import type { LogFormatter, LogLevel } from "./log_format.ts";
import type { LogSink } from "./log_sink.ts";

export interface LogOptions {
  readonly role: string;
  readonly level: LogLevel;
  readonly format: LogFormatter;
  readonly sink: LogSink;
  /** Milliseconds since 1970: `clock.wallNow`. */
  readonly wallNow: () => number;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLog(options: LogOptions): Log {
  return new RoleLog(options, {});
}

class RoleLog implements Log {
  readonly #options: LogOptions;
  readonly #fields: LogFields;

  constructor(options: LogOptions, fields: LogFields) {
    this.#options = options;
    this.#fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#log("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#log("error", message, fields);
  }

  with(fields: LogFields): Log {
    return new RoleLog(this.#options, { ...this.#fields, ...fields });
  }

  #log(level: LogLevel, message: string, fields: LogFields | undefined): void {
    const { role, format, sink, wallNow } = this.#options;
    if (RANK[level] < RANK[this.#options.level]) return;
    const merged = fields ? { ...this.#fields, ...fields } : this.#fields;
    sink.write(format({ timeMs: wallNow(), level, role, message, fields: merged }));
  }
}
