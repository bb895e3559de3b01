/**
 * A TOML or JSON file to values.
 *
 *   log_level = "debug"        shared by every role that reads the file
 *   [limits]                   a setting that is an object
 *   max_streams = 100
 *   [proxy]                    for `culvert proxy` alone; wins over the shared keys
 *   listen = ":1080"
 *
 * A top-level table named like a role is that role's section, whatever else it could be; the sections of other roles
 * are skipped. Keys nobody knows are problems.
 */

import { messageOf } from "../../protocol/errors.ts";
import { escapeText } from "../escape.ts";
import { didYouMean, kebabCase } from "./names.ts";
import { type Given, showValue } from "./problems.ts";
import type { Field } from "./schema.ts";

export interface FileReading {
  readonly given: readonly Given[];
  readonly problems: readonly string[];
}

export interface FileContext {
  /** The file's name, for messages and to tell JSON from TOML. */
  readonly name: string;
  readonly role: string;
  /** Every role's name: their sections may stand in the file. */
  readonly roles: readonly string[];
  readonly fields: readonly Field[];
}

export type Table = Readonly<Record<string, unknown>>;

/** Reads a file's text; `origin` says what named the file. */
export async function readFileText(text: string, context: FileContext): Promise<FileReading> {
  const parsed = await parseFileText(text, context.name);
  if (typeof parsed === "string") return { given: [], problems: [parsed] };
  const reader = new FileReader(context);
  const shared: Record<string, unknown> = {};
  let own: unknown;
  for (const [key, value] of Object.entries(parsed)) {
    if (key === context.role && isTable(value)) own = value;
    else if (!(context.roles.includes(key) && isTable(value))) Object.defineProperty(shared, key, entry(value));
  }
  reader.read(shared, "");
  if (own) reader.read(own as Table, `${context.role}.`);
  return reader.reading();
}

/** Reads one section of a file that was parsed already; `section` is where it stands, with a dot behind it. */
export function readSection(table: Table, section: string, context: Omit<FileContext, "role">): FileReading {
  const reader = new FileReader(context);
  reader.read(table, section);
  return reader.reading();
}

/** A plain property, so that a key `__proto__` in the file is a key like any other. */
function entry(value: unknown): PropertyDescriptor {
  return { value, enumerable: true };
}

/** The file's table, or the problem with it. */
export async function parseFileText(text: string, name: string): Promise<Table | string> {
  const isJson = name.endsWith(".json");
  try {
    // Loaded here because most starts read no file.
    const parsed: unknown = isJson ? JSON.parse(text) : (await import("@std/toml")).parse(text);
    return isTable(parsed) ? parsed : `${name} must hold an object, got ${showValue(parsed)}`;
  } catch (error) {
    // The parsers quote the line they stumble over, and it may hold a secret: only the place is repeated.
    const place = /line (\d+),? column (\d+)/.exec(messageOf(error));
    return `${name} must be ${isJson ? "JSON" : "TOML"}` + (place ? `; line ${place[1]} cannot be read` : "");
  }
}

class FileReader {
  readonly #context: Omit<FileContext, "role">;
  readonly #byPath: ReadonlyMap<string, Field>;
  readonly #groups: ReadonlySet<string>;
  readonly #values = new Map<Field, Given>();
  readonly #problems: string[] = [];

  constructor(context: Omit<FileContext, "role">) {
    const fields = context.fields.filter((field) => !field.positional && !field.configFile);
    this.#context = context;
    this.#byPath = new Map(fields.map((field) => [pathKey(field.path), field]));
    this.#groups = new Set(fields.flatMap(({ path }) => path.slice(1).map((_, at) => pathKey(path.slice(0, at + 1)))));
  }

  /** Takes a table's settings, over those of tables read before. */
  read(table: Table, section: string): void {
    this.#table(table, [], section, new Set());
  }

  reading(): FileReading {
    return { given: [...this.#values.values()], problems: this.#problems };
  }

  #table(table: Table, parents: readonly string[], section: string, seen: Set<Field>): void {
    for (const [key, value] of Object.entries(table)) {
      const path = [...parents, key];
      const where = `${section}${path.join(".")}`;
      const field = this.#byPath.get(pathKey(path));
      if (field) {
        if (seen.has(field)) this.#problem(where, "is there twice, in different spellings");
        seen.add(field);
        this.#values.set(field, { field, value, origin: `${where} in ${this.#context.name}` });
      } else if (this.#groups.has(pathKey(path))) {
        if (isTable(value)) this.#table(value, path, section, seen);
        else this.#problem(where, `must be a section, got ${showValue(value)}`);
      } else {
        const known = [...this.#byPath.values()].map((field) => field.fileKey);
        const sections = isTable(value) && parents.length === 0 ? this.#context.roles : [];
        this.#problem(where, `is not a setting${didYouMean(path.join("."), [...known, ...sections])}`);
      }
    }
  }

  #problem(where: string, text: string): void {
    this.#problems.push(`${escapeText(where, 100)} in ${this.#context.name} ${text}`);
  }
}

function pathKey(path: readonly string[]): string {
  return path.map(kebabCase).join("\0");
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
