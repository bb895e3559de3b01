/**
 * What a part may say about its work. Structured: a constant sentence and fields. Never a key, a token, a payload or
 * a visited host above the `debug` level. `roles/log.ts` prints it; `testing/` collects it. Design §7.
 */

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Where lines are written for operators; `silentLog` writes none. */
export interface Log {
  /** For whoever looks for a fault. */
  debug(message: string, fields?: LogFields): void;
  /** What an operator may want to know. */
  info(message: string, fields?: LogFields): void;
  /** What an operator should look at. */
  warn(message: string, fields?: LogFields): void;
  /** What does not work. */
  error(message: string, fields?: LogFields): void;
  /** The same log with fields added to every line. */
  with(fields: LogFields): Log;
}

/** Says nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLog,
};
