/**
 * The journal of a download: which pieces of the unfinished file are there, written down after each piece was, so that a
 * program that was killed goes on where it was. Lines of text, only ever added to:
 *
 *   culvert-journal 1 <size> <content>   its first line; `content` is what the source calls it: a root or an entity tag
 *   boot <id>                            the machine runs since then: what follows was written in that time
 *   had <piece>                          the piece was checked and written
 *   synced <count>                       the first so many of the lines `had` are on the disk, whatever happens
 *   doubt                                somebody else may have changed the file: nothing of it is known any more
 *
 * A killed program loses nothing that it has written, a machine that loses power may: then only what was synced counts, and
 * other pieces are doubtful, that is to be read and checked again. A line without its end is not counted, nor is anything
 * after one that makes no sense: a disk may have zeros where the last lines were.
 */

import { PieceSet } from "./piece_set.ts";

/** What a journal is of. */
export interface JournalSubject {
  readonly content: string;
  readonly size: number;
}

export interface JournalReading extends JournalSubject {
  /** Pieces that are there. */
  readonly had: PieceSet;
  /** Pieces that may be there. */
  readonly doubtful: PieceSet;
  /** How many lines `had` there are. */
  readonly lines: number;
  /** Bytes of the journal that make sense; what follows them is to be cut off. */
  readonly bytes: number;
  /** Whether its last line `boot` is of the present. */
  readonly isOfThisBoot: boolean;
}

/** Content that may stand in the first line. */
const CONTENT = /^[\x21-\x7e]{1,512}$/;
const FIRST_LINE = /^culvert-journal 1 (\d{1,15}) ([\x21-\x7e]{1,512})$/;
const BOOT_LINE = /^boot ([\x21-\x7e]{1,64})$/;
const COUNT_LINE = /^(had|synced) (\d{1,10})$/;

export function isJournalContent(content: string): boolean {
  return CONTENT.test(content);
}

export const journalLines = {
  first: ({ content, size }: JournalSubject): string => `culvert-journal 1 ${size} ${content}\n`,
  boot: (bootId: string): string => `boot ${bootId}\n`,
  had: (piece: number): string => `had ${piece}\n`,
  synced: (count: number): string => `synced ${count}\n`,
  doubt: "doubt\n",
};

/** Undefined when it is no journal. `piecesOf` says how many pieces a content of a size has. */
export function readJournal(
  text: string,
  { bootId, piecesOf }: { readonly bootId: string; piecesOf(size: number): number },
): JournalReading | undefined {
  const first = FIRST_LINE.exec(text.slice(0, Math.max(0, text.indexOf("\n"))));
  if (!first) return undefined;
  const [size, content] = [Number(first[1]), first[2]!];
  const reader = new Reader(piecesOf(size));
  let at = first[0].length + 1;
  for (let end = text.indexOf("\n", at); end >= 0; end = text.indexOf("\n", at)) {
    if (!reader.read(text.slice(at, end))) break;
    at = end + 1;
  }
  const isOfThisBoot = reader.bootId === bootId;
  if (!isOfThisBoot) reader.rebooted();
  const { had, doubtful, lines } = reader;
  return { content, size, had, doubtful, lines, bytes: at, isOfThisBoot };
}

class Reader {
  readonly had: PieceSet;
  readonly doubtful: PieceSet;
  bootId: string | undefined;
  /** The pieces of the lines `had`, in their order. */
  readonly #order: number[] = [];
  readonly #synced: PieceSet;
  #syncedLines = 0;

  constructor(pieces: number) {
    this.had = new PieceSet(pieces);
    this.doubtful = new PieceSet(pieces);
    this.#synced = new PieceSet(pieces);
  }

  get lines(): number {
    return this.#order.length;
  }

  /** False for a line that makes no sense. */
  read(line: string): boolean {
    const boot = BOOT_LINE.exec(line);
    if (boot) {
      if (boot[1] !== this.bootId) this.rebooted();
      this.bootId = boot[1];
      return true;
    }
    if (line === "doubt") {
      this.#doubtAll();
      return true;
    }
    const [, word, digits] = COUNT_LINE.exec(line) ?? [];
    const number = Number(digits);
    if (word === "had") return this.#had(number);
    return word === "synced" && this.#sync(number);
  }

  /** Whatever was not synced may be gone. */
  rebooted(): void {
    for (let piece = this.had.firstHad(0); piece < this.had.pieces; piece = this.had.firstHad(piece + 1)) {
      if (this.#synced.has(piece)) continue;
      this.had.delete(piece);
      this.doubtful.add(piece);
    }
    this.#syncedLines = this.#order.length; // a sync from now on covers none of it, even if it is written again meanwhile
  }

  #had(piece: number): boolean {
    if (piece >= this.had.pieces) return false;
    this.#order.push(piece);
    this.had.add(piece);
    this.doubtful.delete(piece);
    this.#synced.delete(piece); // it was written again
    return true;
  }

  #sync(count: number): boolean {
    if (count > this.#order.length) return false;
    for (; this.#syncedLines < count; this.#syncedLines++) {
      const piece = this.#order[this.#syncedLines]!;
      if (this.had.has(piece)) this.#synced.add(piece);
    }
    return true;
  }

  #doubtAll(): void {
    for (let piece = this.had.firstHad(0); piece < this.had.pieces; piece = this.had.firstHad(piece + 1)) {
      this.had.delete(piece);
      this.#synced.delete(piece);
      this.doubtful.add(piece);
    }
    this.#syncedLines = this.#order.length;
  }
}
