/**
 * The part of structured HTTP field values (RFC 9651) that signatures and digests need: dictionaries whose members are
 * inner lists of strings with parameters, or byte sequences.
 *
 *   sig=("@method" "@path");created=1618884473;keyid="k"      dictionary of inner lists
 *   sig=:wqcAqbmYJ2ji2glf…:                                   dictionary of byte sequences
 *
 * What the subset leaves out (tokens, decimals, dates, booleans, parameters of single items) is refused like anything
 * malformed, and so is a key that comes twice, since the two ends of a proxy might each believe another one.
 */

import { decodeBase64, encodeBase64 } from "./encoding.ts";
import type { Bytes } from "./primitives.ts";

/** A list of strings and the parameters that stand behind it, in the order they came in. */
export interface InnerList {
  /** What stands between the parentheses. */
  readonly items: readonly string[];
  /** What stands behind them, by name. */
  readonly parameters: ReadonlyMap<string, string | number>;
}

/** Longer texts are refused unread. */
const MAX_TEXT_CHARS = 4096;

const KEY = /[a-z*][a-z0-9_.*-]*/y;
const STRING = /"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const INTEGER = /-?[0-9]{1,15}(?![0-9.])/y;
const BYTE_SEQUENCE = /:([A-Za-z0-9+/=]*):/y;
const COMMA = /[ \t]*,[ \t]*/y;
const SPACES = / */y;

/** The members of a dictionary whose values are inner lists; undefined for anything else. */
export function parseInnerLists(text: string): Map<string, InnerList> | undefined {
  return parseDictionary(text, readInnerList);
}

/** The members of a dictionary whose values are byte sequences; undefined for anything else. */
export function parseByteSequences(text: string): Map<string, Bytes> | undefined {
  return parseDictionary(text, readByteSequence);
}

/** The one canonical text of an inner list (RFC 9651 §4.1.1.1). The strings must be printable ASCII. */
export function formatInnerList({ items, parameters }: InnerList): string {
  const behind = [...parameters].map(([key, value]) => `;${key}=${typeof value === "string" ? quote(value) : value}`);
  return `(${items.map(quote).join(" ")})${behind.join("")}`;
}

export function formatByteSequence(bytes: Uint8Array): string {
  return `:${encodeBase64(bytes)}:`;
}

/** A string (RFC 9651 §4.1.6); what is not printable ASCII becomes a question mark. */
export function formatString(text: string): string {
  return quote(text.replaceAll(/[^\x20-\x7e]/g, "?"));
}

function quote(text: string): string {
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

function parseDictionary<T>(text: string, read: (scanner: Scanner) => T | undefined): Map<string, T> | undefined {
  if (text.length > MAX_TEXT_CHARS) return undefined;
  const scanner = new Scanner(text.trim());
  const members = new Map<string, T>();
  do {
    const key = scanner.take(KEY);
    if (key === undefined || members.has(key) || scanner.take(/=/y) === undefined) return undefined;
    const value = read(scanner);
    if (value === undefined) return undefined;
    members.set(key, value);
  } while (scanner.take(COMMA) !== undefined);
  return scanner.isAtEnd ? members : undefined;
}

function readInnerList(scanner: Scanner): InnerList | undefined {
  if (scanner.take(/\(/y) === undefined) return undefined;
  const items: string[] = [];
  for (scanner.take(SPACES); scanner.take(/\)/y) === undefined;) {
    const item = readString(scanner);
    if (item === undefined) return undefined;
    items.push(item);
    if (scanner.take(SPACES) === "" && !scanner.isBefore(")")) return undefined;
  }
  const parameters = new Map<string, string | number>();
  while (scanner.take(/; */y) !== undefined) {
    const key = scanner.take(KEY);
    if (key === undefined || parameters.has(key) || scanner.take(/=/y) === undefined) return undefined;
    const value = readString(scanner) ?? readInteger(scanner);
    if (value === undefined) return undefined;
    parameters.set(key, value);
  }
  return { items, parameters };
}

function readString(scanner: Scanner): string | undefined {
  return scanner.take(STRING)?.slice(1, -1).replaceAll(/\\(["\\])/g, "$1");
}

function readInteger(scanner: Scanner): number | undefined {
  const digits = scanner.take(INTEGER);
  return digits === undefined ? undefined : Number(digits) + 0; // "-0" is 0
}

function readByteSequence(scanner: Scanner): Bytes | undefined {
  const text = scanner.take(BYTE_SEQUENCE);
  return text === undefined ? undefined : decodeBase64(text.slice(1, -1));
}

/** Takes a text from its front, one pattern at a time. The patterns are sticky. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  isBefore(character: string): boolean {
    return this.#text[this.#at] === character;
  }

  /** What the pattern matches here, which is then behind; undefined if it does not match. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const taken = pattern.exec(this.#text)?.[0];
    if (taken !== undefined) this.#at += taken.length;
    return taken;
  }
}
