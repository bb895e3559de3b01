/**
 * A Log for hosts that collect what is written to the console, one JSON line each, as Deno Deploy does. `debug` is left
 * out.
 */

import type { Log, LogFields } from "../protocol/log.ts";

type Level = "info" | "warn" | "error";

/** `console` is what it writes to; `fields` are on every line. */
export function consoleLog(console: Pick<Console, Level>, fields: LogFields = {}): Log {
  const write = (level: Level) => (message: string, more?: LogFields) =>
    console[level](JSON.stringify({ level, message, ...fields, ...more }));
  return {
    debug() {},
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    with: (more) => consoleLog(console, { ...fields, ...more }),
  };
}
