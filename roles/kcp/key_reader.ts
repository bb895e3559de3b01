/**
 * Reads the values of a file of another program by their keys, and knows at the end which keys nobody has asked for.
 *
 *   const root = new KeyReader(parsed, report); root.object("kcp").whole("mtu", { least: 50, most: 1500 })
 *   root.done()
 *
 * What is wrong goes to the report, so that all of it can be told at once; reading goes on as if it had not been given.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { quoteText } from "../escape.ts";

export class ImportReport {
  readonly problems: string[] = [];
  readonly notes: string[] = [];

  /** Throws `bad_file` with all problems, if there are any. */
  check(what: string): void {
    if (this.problems.length === 0) return;
    throw new CulvertError("bad_file", `Cannot import ${what}: ${this.problems.join("; ")}`);
  }
}

const MAX_SHOWN = 40;

export class KeyReader {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #report: ImportReport;
  readonly #asked = new Set<string>();
  readonly #parts: KeyReader[] = [];

  constructor(value: unknown, report: ImportReport, path = "") {
    this.#report = report;
    this.#path = path;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    this.#values = isObject ? value as Record<string, unknown> : {};
    if (!isObject && value !== undefined && value !== null) this.#fail(path || "the file", "keys and values", value);
  }

  /** Whether the key is there and says something. */
  has(key: string): boolean {
    return Object.hasOwn(this.#values, key) && this.#values[key] !== null;
  }

  /** All that are there. */
  keys(): string[] {
    return Object.keys(this.#values);
  }

  text(key: string): string | undefined {
    const value = this.#value(key);
    // YAML takes a passphrase of digits for a number.
    if (value === undefined || typeof value === "string") return value;
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    return this.#fail(this.#name(key), "text", value);
  }

  /** Text that is not empty; a problem when it is missing. */
  needed(key: string): string {
    const value = this.text(key);
    if (value !== undefined && value !== "") return value;
    this.#report.problems.push(`${this.#name(key)} must be given`);
    return "";
  }

  whole(key: string, { least, most }: { readonly least: number; readonly most: number }): number | undefined {
    const value = this.#value(key);
    if (value === undefined) return undefined;
    const number = typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : value;
    if (typeof number === "number" && Number.isInteger(number) && number >= least && number <= most) return number;
    return this.#fail(this.#name(key), `a whole number from ${least} to ${most}`, value);
  }

  flag(key: string): boolean | undefined {
    const value = this.#value(key);
    if (value === undefined || typeof value === "boolean") return value;
    if (value === 0 || value === 1) return value === 1;
    return this.#fail(this.#name(key), "true or false", value);
  }

  choice<T extends string>(key: string, choices: readonly T[]): T | undefined {
    const value = this.text(key);
    if (value === undefined || value === "") return undefined;
    if ((choices as readonly string[]).includes(value)) return value as T;
    return this.#fail(this.#name(key), choices.join(" or "), value);
  }

  texts(key: string): string[] | undefined {
    const values = this.#list(key);
    if (values?.every((value) => typeof value === "string")) return values;
    return values && this.#fail(this.#name(key), "a list of texts", values);
  }

  wholes(key: string, { least, most }: { readonly least: number; readonly most: number }): number[] | undefined {
    const values = this.#list(key);
    const isNumber = (value: unknown): value is number =>
      typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
    if (values?.every(isNumber)) return values;
    return values && this.#fail(this.#name(key), `a list of numbers from ${least} to ${most}`, values);
  }

  /** An empty one when it is not there. */
  object(key: string): KeyReader {
    return this.#part(this.#value(key), this.#name(key));
  }

  objects(key: string): KeyReader[] {
    return (this.#list(key) ?? []).map((value, index) => this.#part(value, `${this.#name(key)}[${index}]`));
  }

  /** The key is known and means nothing here. */
  ignore(key: string, why: string): void {
    if (this.#value(key) !== undefined) this.#report.notes.push(`${this.#name(key)} is left out: ${why}`);
  }

  problem(key: string, rule: string): void {
    this.#report.problems.push(`${this.#name(key)} ${rule}`);
  }

  note(key: string, text: string): void {
    this.#report.notes.push(`${this.#name(key)} ${text}`);
  }

  /** Notes the keys that nobody has asked for, here and below. */
  done(): void {
    for (const key of Object.keys(this.#values)) {
      if (!this.#asked.has(key)) this.#report.notes.push(`${this.#name(quoteKey(key))} is not known, and is left out`);
    }
    for (const part of this.#parts) part.done();
  }

  #value(key: string): unknown {
    this.#asked.add(key);
    return this.has(key) ? this.#values[key] : undefined;
  }

  #list(key: string): unknown[] | undefined {
    const value = this.#value(key);
    if (value === undefined || Array.isArray(value)) return value;
    return this.#fail(this.#name(key), "a list", value);
  }

  #part(value: unknown, path: string): KeyReader {
    const part = new KeyReader(value, this.#report, path);
    this.#parts.push(part);
    return part;
  }

  #name(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }

  #fail(name: string, rule: string, value: unknown): undefined {
    const text = typeof value === "string" ? value : JSON.stringify(value) ?? "";
    this.#report.problems.push(`${name} must be ${rule}, got ${quoteText(text, MAX_SHOWN)}`);
  }
}

function quoteKey(key: string): string {
  return /^[\w-]{1,40}$/.test(key) ? key : quoteText(key, MAX_SHOWN);
}

type Defined<V> =
  & { [K in keyof V as undefined extends V[K] ? K : never]?: Exclude<V[K], undefined> }
  & { [K in keyof V as undefined extends V[K] ? never : K]: V[K] };

/** What is there of it. */
export function defined<V extends object>(values: V): Defined<V> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<V>;
}
