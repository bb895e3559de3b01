/**
 * One log line as text for people, or as JSON for machines.
 *
 *   12:03:01 INFO  proxy    A stream has ended  session_id=5b7 bytes=1024
 *   {"time":"2026-01-01T12:03:01.000Z","level":"info","message":"A stream has ended","role":"proxy","session_id":"5b7"}
 *
 * A hostile value cannot forge a line: controls are escaped and long values cut. A field named like a secret is not
 * printed at all.
 */

import type { LogFields } from "../protocol/log.ts";
import { escapeText, quoteText } from "./escape.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LogLine {
  readonly timeMs: number;
  readonly level: LogLevel;
  readonly role: string;
  readonly message: string;
  readonly fields: LogFields;
}

export type LogFormatter = (line: LogLine) => string;

const MAX_MESSAGE_LENGTH = 2000;
const MAX_VALUE_LENGTH = 500;
const REDACTED = "[redacted]";

const SECRET_WORDS = new Set(
  ["secret", "secrets", "token", "tokens", "key", "keys", "password", "passwd", "passphrase", "psk"].concat(
    ["credential", "credentials", "authorization", "cookie"],
  ),
);

/** Whether a field's name says that its value is secret: one of its words is. */
function isSecretName(name: string): boolean {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase().split(/[^a-z]+/).some((w) => SECRET_WORDS.has(w));
}

const SGR: Readonly<Record<LogLevel | "dim", string>> = {
  debug: "\x1b[2m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
  dim: "\x1b[2m",
};
const SGR_RESET = "\x1b[0m";

/** Text for people; the time is the host's local time. */
export function textFormatter(options: { readonly colour: boolean }): LogFormatter {
  const paint = (colour: keyof typeof SGR, text: string) => options.colour ? SGR[colour] + text + SGR_RESET : text;
  return ({ timeMs, level, role, message, fields }) => {
    const time = new Date(timeMs).toTimeString().slice(0, 8);
    let line = `${paint("dim", time)} ${paint(level, level.toUpperCase().padEnd(5))} ${role.padEnd(8)} ` +
      escapeText(message, MAX_MESSAGE_LENGTH);
    let gap = "  ";
    for (const name in fields) {
      const value = fields[name];
      if (value === undefined) continue;
      line += `${gap}${paint("dim", escapeText(name) + "=")}${textValue(name, value)}`;
      gap = " ";
    }
    return line;
  };
}

function textValue(name: string, value: string | number | boolean): string {
  if (isSecretName(name)) return REDACTED;
  if (typeof value !== "string") return String(value);
  return /^[\w.:/@%+,\-]+$/.test(value) && value.length <= MAX_VALUE_LENGTH
    ? value
    : quoteText(value, MAX_VALUE_LENGTH);
}

const RESERVED = new Set(["time", "level", "message", "role"]);

/** One JSON object; a field named like one of the line's own keys is renamed `field_…`. */
export function jsonFormatter({ timeMs, level, role, message, fields }: LogLine): string {
  let line = `{"time":"${new Date(timeMs).toISOString()}","level":"${level}","message":` +
    `${quoteText(message, MAX_MESSAGE_LENGTH)},"role":${quoteText(role)}`;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    line += `,${quoteText(RESERVED.has(name) ? `field_${name}` : name)}:${jsonValue(name, value)}`;
  }
  return line + "}";
}

function jsonValue(name: string, value: string | number | boolean): string {
  if (isSecretName(name)) return `"${REDACTED}"`;
  if (typeof value === "string") return quoteText(value, MAX_VALUE_LENGTH);
  // NaN and the infinities are no JSON.
  return typeof value === "number" && !Number.isFinite(value) ? `"${value}"` : String(value);
}
