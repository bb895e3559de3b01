/**
 * Finding files by what they are called: every word of the query must be somewhere in the path, whatever its case and accents.
 * The best come first, and of equal ones the order is that of their paths:
 *
 *   0  the name is the query        2  words of the name begin with all words     4  the rest of the path has to help
 *   1  the name begins with it      3  the name has them somewhere
 *
 * A page ends with a cursor that says after which file it goes on, so that files which come and go meanwhile move nothing.
 */

import { decodeBase64Url, encodeBase64Url } from "../../../protocol/encoding.ts";

/** A file that can be found. `folded` is `foldText(path)`. */
export interface Named {
  readonly path: string;
  readonly folded: string;
}

export interface NameQuery {
  readonly q: string;
  readonly limit: number;
  readonly after?: string | undefined;
}

export interface NamePage<F> {
  readonly found: F[];
  readonly next?: string;
}

const RANKS = 5;
/** Of a path in a cursor: three bytes each at most, and base64 of them stays within the 2048 characters of a cursor. */
const CURSOR_UNITS = 500;
/** Comes after whatever a path goes on with. */
const LAST_UNIT = "\uffff";

/** Text without what tells apart upper and lower case, accents, and wide from narrow forms. */
export function foldText(text: string): string {
  const lower = text.toLowerCase();
  // Most names are plain ASCII, and are left as they are.
  return /^[ -~]*$/.test(lower) ? lower : lower.normalize("NFKD").replace(/\p{M}+/gu, "");
}

/**
 * The names of files that are in the order of their paths, as one text: to look through it once takes a fraction of looking
 * into each name. It is to be made anew when the files have changed, which takes as long as a few searches.
 */
export class NameSearch<F extends Named> {
  readonly #files: readonly F[];
  readonly #text: string;
  /** Where in the text each file's path begins; behind it is one character more. */
  readonly #starts: Uint32Array;

  constructor(files: readonly F[]) {
    this.#files = files;
    this.#starts = new Uint32Array(files.length + 1);
    const names: string[] = [];
    let at = 0;
    files.forEach(({ folded }, index) => {
      names.push(folded);
      at += folded.length + 1;
      this.#starts[index + 1] = at;
    });
    this.#text = names.join("\n") + "\n";
  }

  /** Among the files from one place up to another. */
  search({ q, limit, after }: NameQuery, [start, end]: readonly [number, number]): NamePage<F> {
    const words = foldText(q).split(/\s+/).filter((word) => word !== "");
    if (words.length === 0) return { found: [] };
    const query = { words, whole: words.join(" ") };
    const from = after === undefined ? undefined : readCursor(after);
    const ranks = Array.from({ length: RANKS }, (): F[] => []);
    // The longest is in the fewest files, most likely.
    const rarest = words.toSorted((one, other) => other.length - one.length);
    for (let at = this.#next(rarest, start, end); at < end; at = this.#next(rarest, at + 1, end)) {
      const rank = rankOf(this.#text, this.#starts[at]!, this.#starts[at + 1]! - 1, query);
      const row = ranks[rank]!;
      const file = this.#files[at]!;
      if (row.length <= limit && (!from || isAfter(file.path, rank, from))) row.push(file);
    }
    return pageOf(ranks, limit);
  }

  /** The first file from there on that has all the words; `end` if there is none before that. */
  #next([first, ...others]: readonly string[], from: number, end: number): number {
    for (let at = from; at < end; at++) {
      const found = this.#text.indexOf(first!, this.#starts[at]);
      if (found < 0) return end;
      at = this.#fileAt(found, at);
      if (at >= end || this.#hasAll(at, others)) return Math.min(at, end);
    }
    return end;
  }

  #hasAll(file: number, words: readonly string[]): boolean {
    if (words.length === 0) return true;
    const path = this.#text.slice(this.#starts[file], this.#starts[file + 1]! - 1);
    return words.every((word) => path.includes(word));
  }

  /** The file at that place of the text, which is this one or a later one. */
  #fileAt(place: number, from: number): number {
    let [low, step] = [from, 1];
    while (low + step < this.#files.length && this.#starts[low + step]! <= place) {
      low += step;
      step *= 2;
    }
    for (; step >= 1; step /= 2) {
      if (low + step < this.#files.length && this.#starts[low + step]! <= place) low += step;
    }
    return low;
  }
}

function pageOf<F extends Named>(ranks: readonly F[][], limit: number): NamePage<F> {
  const best = ranks.flatMap((row, rank) => row.map((file) => ({ file, rank }))).slice(0, limit + 1);
  const found = best.slice(0, limit).map(({ file }) => file);
  const last = best[limit - 1];
  return { found, ...best.length > limit && last && { next: cursorAt(last.file.path, last.rank) } };
}

interface Query {
  readonly words: readonly string[];
  /** With one space between each. */
  readonly whole: string;
}

/** Of the path from `start` up to `end`, which has all the words. */
function rankOf(text: string, start: number, end: number, { words, whole }: Query): number {
  const nameAt = Math.max(start, text.lastIndexOf("/", end - 1) + 1);
  if (text.startsWith(whole, nameAt)) return isExtension(text, nameAt + whole.length, end) ? 0 : 1;
  let rank = 2;
  for (const word of words) {
    if (text.lastIndexOf(word, end - word.length) < nameAt) return 4;
    if (rank === 2 && !beginsWord(text, word, { nameAt, end })) rank = 3;
  }
  return rank;
}

/** Whether nothing follows there, or only an extension. */
function isExtension(text: string, at: number, end: number): boolean {
  return at === end || (text[at] === "." && /^\.[^. ]+$/.test(text.slice(at, end)));
}

/** Whether a word of the name begins with this, which is in it. */
function beginsWord(text: string, begin: string, { nameAt, end }: { nameAt: number; end: number }): boolean {
  for (let at = text.indexOf(begin, nameAt); at >= 0 && at < end; at = text.indexOf(begin, at + 1)) {
    if (at === nameAt || !isOfWord(text, at - 1)) return true;
  }
  return false;
}

/** Whether there is a letter or a digit; of ASCII folded text there are few to tell apart. */
function isOfWord(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  if (code < 0x80) return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);
  return /[\p{L}\p{N}]/u.test(text[at]!);
}

interface Cursor {
  readonly rank: number;
  readonly path: string;
}

function isAfter(path: string, rank: number, from: Cursor): boolean {
  return rank === from.rank ? path > from.path : rank > from.rank;
}

/** After a path that is too long to be told, also those that go on otherwise are passed over. */
function cursorAt(path: string, rank: number): string {
  const told = path.length <= CURSOR_UNITS ? path : path.slice(0, CURSOR_UNITS) + LAST_UNIT;
  return encodeBase64Url(new TextEncoder().encode(`${rank}${told}`));
}

/** One that nobody here has made begins at the beginning. */
function readCursor(text: string): Cursor | undefined {
  const bytes = decodeBase64Url(text);
  const told = bytes && new TextDecoder().decode(bytes);
  return told && /^[0-4]/.test(told) ? { rank: Number(told[0]), path: told.slice(1) } : undefined;
}
