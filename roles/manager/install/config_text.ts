/**
 * A configuration file in TOML from a schema: every setting with what it is for and its default; those that are given stand
 * there, all others behind a `#`.
 *
 *   # Where programs find the proxy. [default 127.0.0.1:1080]
 *   listen = "127.0.0.1:1081"
 *
 *   # Connections open at once, on each port. [default 10000]
 *   #max_connections = 10000
 */

import type { z } from "zod";
import { parse } from "@std/toml";
import { wrap } from "../../config/help.ts";
import { type Field, fieldsOf } from "../../config/schema.ts";

const WIDTH = 100;

/** Settings as they were typed, by the key that a file has for them: `max_streams`. */
export type Answers = Readonly<Record<string, string | readonly string[]>>;

export interface ConfigTextOptions {
  /** Comments that it begins with. */
  readonly head: readonly string[];
  /** Whether secrets are left out, so that it may be shown. */
  readonly hidesSecrets?: boolean;
}

/** The settings that a file may hold. */
export function fileFields(schema: z.ZodObject): Field[] {
  return fieldsOf(schema).filter((field) => !field.positional && !field.configFile);
}

export function configText(schema: z.ZodObject, answers: Answers, options: ConfigTextOptions): string {
  const blocks = fileFields(schema).map((field) => settingLines(field, answers[field.fileKey], options).join("\n"));
  return [options.head.map((line) => `# ${line}`).join("\n"), ...blocks].join("\n\n") + "\n";
}

/** The other way round: what stands in such a file, whoever wrote it. Undefined where it is no TOML. */
export function answersOfToml(text: string): Answers | undefined {
  try {
    return Object.fromEntries(entriesOf(parse(text), ""));
  } catch {
    return undefined;
  }
}

function entriesOf(table: object, before: string): [key: string, value: string | string[]][] {
  return Object.entries(table).flatMap(([name, value]) => {
    if (Array.isArray(value)) return [[before + name, value.map(String)]];
    if (typeof value === "object" && value !== null) return entriesOf(value, `${before}${name}.`);
    return [[before + name, String(value)]];
  });
}

function settingLines(
  field: Field,
  answer: string | readonly string[] | undefined,
  { hidesSecrets = false }: ConfigTextOptions,
): string[] {
  const comment = wrap(describe(field), WIDTH - 2).map((line) => `# ${line}`);
  if (answer === undefined) return [...comment, `#${field.fileKey} = ${sampleOf(field)}`];
  if (hidesSecrets && field.secret) return [...comment, `${field.fileKey} = (not shown)`];
  return [...comment, `${field.fileKey} = ${literalOf(field, answer)}`];
}

function describe({ description = "", choices, defaultText }: Field): string {
  const parts = [description];
  if (choices.length > 0) parts.push(`One of: ${choices.join(", ")}.`);
  if (defaultText !== undefined) parts.push(`[default ${defaultText}]`);
  return parts.filter((part) => part !== "").join(" ");
}

/** The default where it is one word and so no description of one; else what kind of thing belongs there. */
function sampleOf(field: Field): string {
  const { defaultText, kind, choices, repeatable, example } = field;
  const isWord = defaultText !== undefined && /^\S+$/.test(defaultText);
  if (isWord && repeatable) return literalOf(field, defaultText.split(","));
  if (isWord) return literalOf(field, defaultText);
  if (kind === "boolean") return literalOf(field, "true");
  if (kind === "number") return literalOf(field, example ?? "0");
  return literalOf(field, choices[0] ?? example ?? field.placeholder ?? "text");
}

/** As TOML; text that should be a number and is none stays text, so that the reader refuses it by name. */
function literalOf(field: Field, answer: string | readonly string[]): string {
  if (field.repeatable) return `[${[answer].flat().map((item) => scalarOf(field, item)).join(", ")}]`;
  return scalarOf(field, typeof answer === "string" ? answer : answer.at(-1) ?? "");
}

function scalarOf({ kind }: Field, text: string): string {
  if (kind === "number" && /^[+-]?\d+(\.\d+)?$/.test(text)) return text;
  if (kind === "boolean" && (text === "true" || text === "false")) return text;
  return tomlText(text);
}

/** A basic string of TOML: that of JSON, and DEL is escaped as well. */
export function tomlText(text: string): string {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}
