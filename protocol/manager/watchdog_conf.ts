/**
 * The watchdog's settings as text. `watchdog.conf` has the seed's names and form; `watchdog.toml` and the `[watchdog]` of a
 * service's file the same names in small letters.
 *
 *   CHECK_INTERVAL=30      # seconds, or with a unit: 500ms, 30s, 5m, 1h
 *   ALERT_COMMAND="/usr/bin/logger -t culvert"
 *
 * No shell reads it: quotes only hold a value together, and `$` is a character. All that is wrong is told, with its file and
 * line; a key that nobody knows is wrong too, for a misspelt one would silently do nothing. TOML itself is parsed elsewhere
 * (`roles/manager/manager_files.ts`).
 */

import type { WatchdogSettings } from "./watchdog_settings.ts";

export interface WatchdogReading {
  /** What is said; all else stays as it was. */
  readonly settings: Partial<WatchdogSettings>;
  /** `watchdog.conf:3: MAX_RESTARTS must be a whole number from 0 to 1000, got "many"`. */
  readonly problems: readonly string[];
}

/** A value is text, or what TOML makes of it. Undefined when it breaks the rule. */
interface Key<Name extends keyof WatchdogSettings> {
  readonly name: string;
  readonly setting: Name;
  readonly rule: string;
  readonly isSecret?: boolean;
  read(value: unknown): WatchdogSettings[Name] | undefined;
}

const MAX_COUNT = 1_000;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, "": SECOND_MS, s: SECOND_MS, m: 60_000, h: HOUR_MS };

const keys: readonly Key<keyof WatchdogSettings>[] = [
  { name: "WATCHDOG_ENABLED", setting: "enabled", rule: "true or false", read: flagFrom },
  duration("CHECK_INTERVAL", "checkIntervalMs", { fromMs: 100, toMs: 24 * HOUR_MS }),
  count("MAX_RESTARTS", "maxRestarts", 0),
  duration("RESTART_WINDOW", "restartWindowMs", { fromMs: SECOND_MS, toMs: 168 * HOUR_MS }),
  count("ALERT_THRESHOLD", "alertThreshold", 1),
  duration("BACKOFF_BASE", "backoffBaseMs", { fromMs: 0, toMs: HOUR_MS }),
  duration("BACKOFF_MAX", "backoffMaxMs", { fromMs: 0, toMs: 24 * HOUR_MS }),
  duration("SETTLE_TIME", "settleMs", { fromMs: 0, toMs: HOUR_MS }),
  duration("START_TIMEOUT", "startTimeoutMs", { fromMs: SECOND_MS, toMs: HOUR_MS }),
  duration("STOP_TIMEOUT", "stopTimeoutMs", { fromMs: 0, toMs: HOUR_MS }),
  {
    name: "ALERT_WEBHOOK",
    setting: "alertWebhook",
    rule: "an http or https URL",
    isSecret: true, // such URLs hold tokens
    read: (value) => typeof value === "string" && /^https?:\/\//.test(value) && URL.canParse(value) ? value : undefined,
  },
  {
    name: "ALERT_COMMAND",
    setting: "alertCommand",
    rule: 'a program and its arguments, as words or as ["…", "…"]',
    isSecret: true,
    read: commandFrom,
  },
];

const byName = new Map(keys.map((key) => [key.name, key]));
const ENABLED = keys[0]!;

/** Reads `KEY=VALUE` lines. */
export function readWatchdogConf(text: string, file: string): WatchdogReading {
  const reader = new Reader();
  for (const [at, line] of text.replace(/^\uFEFF/, "").split(/\r?\n/).entries()) {
    const where = `${file}:${at + 1}`;
    const content = line.trim();
    if (content === "" || content.startsWith("#")) continue;
    const match = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/.exec(content);
    const value = match && unquoted(match[2]!);
    if (typeof value !== "string") reader.wrong(`${where}: a line must be KEY=VALUE, its quotes closed`);
    else reader.take(match![1]!, byName.get(match![1]!), { value, where });
  }
  return reader.reading();
}

/** What settings that are each in order contradict each other in, once all of them are known. */
export function watchdogContradictions({ settleMs, startTimeoutMs }: WatchdogSettings, file: string): string[] {
  if (settleMs < startTimeoutMs) return [];
  return [
    `${file}: SETTLE_TIME must be below START_TIMEOUT, or nothing ever counts as started; got ${
      settleMs / SECOND_MS
    } s and ${startTimeoutMs / SECOND_MS} s`,
  ];
}

export interface TableSource {
  readonly file: string;
  /** As it stands in the file, to find lines in. */
  readonly text: string;
  /** The table that the settings are in; the top of the file when left out. */
  readonly section?: string;
}

/** Reads what TOML has been parsed to. `enabled` is the same as `watchdog_enabled`. */
export function readWatchdogTable(table: Readonly<Record<string, unknown>>, source: TableSource): WatchdogReading {
  const reader = new Reader();
  const prefix = source.section === undefined ? "" : `${source.section}.`;
  for (const [name, value] of Object.entries(table)) {
    const line = lineOf(name, source);
    const where = line === undefined ? source.file : `${source.file}:${line}`;
    const key = name === "enabled" ? ENABLED : /[A-Z]/.test(name) ? undefined : byName.get(name.toUpperCase());
    reader.take(prefix + name, key, { value, where });
  }
  return reader.reading();
}

class Reader {
  readonly #settings: Partial<Record<keyof WatchdogSettings, unknown>> = {};
  readonly #problems: string[] = [];

  take(
    name: string,
    key: Key<keyof WatchdogSettings> | undefined,
    { value, where }: { readonly value: unknown; readonly where: string },
  ): void {
    if (!key) return this.wrong(`${where}: ${shown(name)} is not a setting of the watchdog`);
    if (Object.hasOwn(this.#settings, key.setting)) return this.wrong(`${where}: ${name} is there twice`);
    const read = key.read(value);
    this.#settings[key.setting] = read;
    const got = key.isSecret ? "" : `, got ${shown(value)}`;
    if (read === undefined) this.wrong(`${where}: ${name} must be ${key.rule}${got}`);
  }

  wrong(problem: string): void {
    this.#problems.push(problem);
  }

  reading(): WatchdogReading {
    const said = Object.entries(this.#settings).filter(([, value]) => value !== undefined);
    return { settings: Object.fromEntries(said) as Partial<WatchdogSettings>, problems: this.#problems };
  }
}

/** A value without its quotes and what is remarked behind it; undefined when a quote is not closed. */
function unquoted(text: string): string | undefined {
  const quote = text[0];
  if (quote !== '"' && quote !== "'") return text.replace(/(^|\s)#.*$/, "").trim();
  const match = quote === '"' ? /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/.exec(text) : /^'([^']*)'\s*(?:#.*)?$/.exec(text);
  const held = match?.[1];
  return quote === '"' ? held?.replace(/\\(["\\])/g, "$1") : held;
}

/** Where a key stands; undefined when it is written in a way that is not looked for. */
function lineOf(name: string, { text, section }: TableSource): number | undefined {
  let table: string | undefined;
  for (const [at, line] of text.split("\n").entries()) {
    const header = /^\s*\[\s*([^\[\]]*?)\s*\]/.exec(line);
    if (header) table = header[1];
    const key = /^\s*"?([A-Za-z0-9_-]+)"?\s*=/.exec(line)?.[1];
    if (table === section && key === name) return at + 1;
  }
  return undefined;
}

function duration<Name extends "checkIntervalMs" | `${string}Ms` & keyof WatchdogSettings>(
  name: string,
  setting: Name,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Key<Name> {
  return {
    name,
    setting,
    rule: `seconds from ${fromMs / SECOND_MS} to ${toMs / SECOND_MS}, or a duration such as 500ms, 30s, 5m or 1h`,
    read(value) {
      const match = /^(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|h)?$/.exec(
        typeof value === "number" ? String(value) : text(value),
      );
      const ms = match ? Math.round(Number(match[1]) * MS_PER_UNIT[match[2] ?? ""]!) : -1;
      return ms >= fromMs && ms <= toMs ? ms as WatchdogSettings[Name] : undefined;
    },
  };
}

function count<Name extends "maxRestarts" | "alertThreshold">(name: string, setting: Name, from: number): Key<Name> {
  return {
    name,
    setting,
    rule: `a whole number from ${from} to ${MAX_COUNT}`,
    read(value) {
      const number = /^\d{1,4}$/.test(String(value)) ? Number(value) : -1;
      return number >= from && number <= MAX_COUNT ? number : undefined;
    },
  };
}

function flagFrom(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value;
  if (/^(true|yes|on|1)$/i.test(text(value))) return true;
  return /^(false|no|off|0)$/i.test(text(value)) ? false : undefined;
}

function commandFrom(value: unknown): readonly string[] | undefined {
  const words = typeof value === "string" ? value.startsWith("[") ? parsedJson(value) : value.match(/\S+/g) : value;
  const isCommand = Array.isArray(words) && words.length > 0 && words[0] !== "" &&
    words.every((word) => typeof word === "string" && !word.includes("\0"));
  return isCommand ? words : undefined;
}

function parsedJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

const MAX_SHOWN = 60;

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > MAX_SHOWN ? json.slice(0, MAX_SHOWN) + "…" : json;
}
