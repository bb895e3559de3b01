/**
 * What the main thread and an engine in a Worker say to each other, and how: errors would lose their class and code on their
 * way between the threads. The Worker sleeps in the kernel, so after posting to it the main thread adds one to an eventfd;
 * the Worker then turns to its messages until it has seen as many.
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

/** What is said with one kind of engine. */
export interface EngineTalk {
  /** What it is to be. */
  readonly options: unknown;
  /** What it says of itself once it runs. */
  readonly started: unknown;
  readonly command: unknown;
  readonly answer: unknown;
  /** What it tells unasked. */
  readonly news: unknown;
}

export type ToEngine<Talk extends EngineTalk> =
  | { readonly type: "start"; readonly options: Talk["options"]; readonly wakeFd: number }
  | { readonly type: "command"; readonly id: number; readonly command: Talk["command"] }
  | { readonly type: "close" };

export type FromEngine<Talk extends EngineTalk> =
  | { readonly type: "started"; readonly started: Talk["started"] }
  | { readonly type: "answer"; readonly id: number; readonly answer: Talk["answer"]; readonly error?: undefined }
  | { readonly type: "answer"; readonly id: number; readonly error: PlainError }
  | { readonly type: "news"; readonly news: Talk["news"] }
  | LogMessage
  /** The last thing it says; an error when nobody asked it to end. */
  | { readonly type: "ended"; readonly error?: PlainError };

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
