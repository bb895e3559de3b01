/**
 * `--help`, from the same fields as everything else, in 80 columns:
 *
 *   Usage: culvert proxy [flags]
 *
 *   <summary>
 *
 *   Flags:
 *     -l, --listen host:port   What it is for. [default 127.0.0.1:1080] [CULVERT_LISTEN]
 */

import type { z } from "zod";
import { type Field, fieldsOf } from "./schema.ts";

const WIDTH = 80;
/** Flags longer than this have their description start on the next line. */
const MAX_LEFT_WIDTH = 30;

export interface HelpSubject {
  readonly role: string;
  readonly summary: string;
  readonly examples: readonly string[];
  /** Title → schema: "Flags", "Common flags". */
  readonly groups: Readonly<Record<string, z.ZodObject>>;
}

interface Row {
  readonly left: string;
  readonly right: string;
}

/** The whole help text, ending in a newline. */
export function helpText(subject: HelpSubject): string {
  const groups = Object.entries(subject.groups).map(([title, schema]) => ({ title, fields: fieldsOf(schema) }));
  const positionals = groups.flatMap(({ fields }) => fields.filter((field) => field.positional));
  const tables = [
    { title: "Arguments", rows: positionals.map(positionalRow) },
    ...groups.map(({ title, fields }) => ({ title, rows: fields.filter((field) => !field.positional).map(flagRow) })),
  ].filter(({ rows }) => rows.length > 0);
  tables.at(-1)?.rows.push({ left: "-h, --help", right: "Show this." });
  const width = leftWidth(tables.flatMap(({ rows }) => rows));
  const sections = [
    ["Usage: culvert " + [subject.role, ...positionals.map(usageOf), "[flags]"].join(" ")],
    wrap(subject.summary, WIDTH),
    ...tables.map(({ title, rows }) => [`${title}:`, ...table(rows, width)]),
    subject.examples.length > 0 ? ["Examples:", ...subject.examples.map((example) => "  " + example)] : [],
  ];
  return sections.filter((lines) => lines.length > 0).map((lines) => lines.join("\n")).join("\n\n") + "\n";
}

/** Lines of two columns, the right one wrapped; also used for the list of roles. */
export function table(rows: readonly Row[], width: number = leftWidth(rows)): string[] {
  return rows.flatMap(({ left, right }) => {
    const lines = wrap(right, WIDTH - width - 4);
    const head = left.length <= width ? [`  ${left.padEnd(width)}  ${lines.shift() ?? ""}`.trimEnd()] : [`  ${left}`];
    return [...head, ...lines.map((line) => " ".repeat(width + 4) + line)];
  });
}

function leftWidth(rows: readonly Row[]): number {
  return Math.max(0, ...rows.map(({ left }) => left.length).filter((length) => length <= MAX_LEFT_WIDTH));
}

function usageOf(field: Field): string {
  const name = `<${field.placeholder ?? field.flag}>${field.repeatable ? "…" : ""}`;
  return field.required ? name : `[${name}]`;
}

function positionalRow(field: Field): Row {
  return { left: usageOf(field), right: describe(field) };
}

function flagRow(field: Field): Row {
  const short = field.short ? `-${field.short}, ` : "    ";
  return { left: `${short}--${spellingOf(field)}`, right: `${describe(field)} [${field.environment}]`.trimStart() };
}

function spellingOf(field: Field): string {
  if (field.kind === "boolean" && !field.repeatable) {
    return field.defaultText === "true" ? `[no-]${field.flag}` : field.flag;
  }
  return `${field.flag} ${field.placeholder ?? (field.kind === "enum" ? "choice" : field.kind)}`;
}

function describe(field: Field): string {
  const parts = [field.description ?? ""];
  if (field.choices.length > 0) parts.push(`One of: ${field.choices.join(", ")}.`);
  if (field.repeatable) parts.push(field.positional ? "May be several." : "May be repeated.");
  if (field.example !== undefined) parts.push(`Such as ${field.example}.`);
  if (field.defaultText !== undefined) parts.push(`[default ${field.defaultText}]`);
  else if (field.required && !field.positional) parts.push("[required]");
  return parts.filter((part) => part !== "").join(" ");
}

/** Breaks text into lines at spaces; what stands in square brackets stays together where it fits. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.match(/\[[^\]]*\]\S*|\S+/g) ?? []) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}
