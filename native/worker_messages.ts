/**
 * What every engine in a Worker says in the same way: its log, and errors, which would lose their class and code on their way
 * between the threads.
 */

import { CulvertError, messageOf } from "../protocol/errors.ts";
import type { Log, LogFields } from "../protocol/log.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** An error as it crosses between threads. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
}

export function plainError(error: unknown): PlainError {
  return { code: error instanceof CulvertError ? error.code : "failed", message: messageOf(error) };
}

export function errorOf({ code, message }: PlainError): CulvertError {
  return new CulvertError(code, message);
}

export interface LogMessage {
  readonly type: "log";
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** A log that another thread writes. */
export function remoteLog(post: (message: LogMessage) => void, fields: LogFields = {}): Log {
  const say = (level: LogLevel) => (message: string, more?: LogFields) =>
    post({ type: "log", level, message, fields: { ...fields, ...more } });
  return {
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
    with: (more) => remoteLog(post, { ...fields, ...more }),
  };
}

/** Lets messages that have come be heard. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
