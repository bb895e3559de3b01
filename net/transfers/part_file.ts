/**
 * A file while it is fetched: `.<name>.culvert-part` with the pieces that have come, beside the place where it will be, and
 * `.<name>.culvert-journal` that says which those are. Either outlives a program that is killed.
 *
 *   open ─▶ had, doubtful ─▶ write(piece) … ─▶ finish: on the disk ─▶ under its name, whole, never in part
 *
 * Pieces are written where they belong, synchronously, since the page cache takes a MiB in a fraction of a millisecond. Now
 * and then what was written is synced, so that a power cut costs no more than the last `SYNC_EVERY` pieces.
 */

import { basename, dirname, join } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import {
  journalLines,
  type JournalReading,
  type JournalSubject,
  readJournal,
} from "../../protocol/files/part_journal.ts";
import { PieceSet } from "../../protocol/files/piece_set.ts";
import { rootSchema } from "../../protocol/files/listing.ts";
import { PIECE_BYTES, pieceCount, pieceLength } from "../../protocol/files/tree_hash.ts";
import type { Random } from "../../protocol/random.ts";

/** 128 MiB. */
const SYNC_EVERY = 128;
/** A file changed so much later than its journal was changed by somebody else. */
const CHANGED_LATER_MS = 2000;
/** What file systems take; names may be as long as that themselves. */
const MAX_NAME_BYTES = 255;
const PART = ".culvert-part";
const JOURNAL = ".culvert-journal";

export interface PartOptions {
  /** Replace what is at that place; otherwise something there is an error. */
  readonly overwrite?: boolean;
  /** The same for as long as the machine runs; default that of the host. */
  readonly bootId?: string;
  /** Pieces between syncs; default `SYNC_EVERY`. */
  readonly syncEvery?: number;
}

/** Whether a name is one that unfinished files have: nothing fetched may be called so. */
export function isPartName(name: string): boolean {
  return name.endsWith(PART) || name.endsWith(JOURNAL);
}

/** Where the unfinished file and its journal are for a place. */
export function partPaths(path: string): { readonly part: string; readonly journal: string } {
  const own = basename(path);
  const bytes = new TextEncoder().encode(own).length + JOURNAL.length + 1;
  const name = bytes <= MAX_NAME_BYTES ? own : `long-${checksum(own)}`;
  return { part: join(dirname(path), `.${name}${PART}`), journal: join(dirname(path), `.${name}${JOURNAL}`) };
}

/** Where a file is that is written at once: nobody else writes there, and nothing of it is taken up later. */
export function privatePartPath(path: string, random: Random): string {
  return partPaths(`${path}.${random.fill(new Uint8Array(8)).toHex()}`).part;
}

export class PartFile implements AsyncDisposable {
  readonly path: string;
  /** Pieces that are there: whoever writes one adds it by that. */
  readonly had: PieceSet;
  /** Pieces that may be there, to be read and checked again. */
  readonly doubtful: PieceSet;
  readonly #paths: { readonly part: string; readonly journal: string };
  readonly #size: number;
  readonly #overwrite: boolean;
  readonly #syncEvery: number;
  readonly #file: Deno.FsFile;
  readonly #journal: Deno.FsFile;
  #lines: number;
  #unsynced = 0;
  #syncing: Promise<void> | undefined;
  /** Why the disk did not take what was written. A later sync would succeed over what is lost, so there is none. */
  #fault: unknown;
  #isClosed = false;

  private constructor(path: string, size: number, files: OpenFiles, options: PartOptions) {
    this.path = path;
    this.#paths = partPaths(path);
    this.#size = size;
    this.#overwrite = options.overwrite ?? false;
    this.#syncEvery = options.syncEvery ?? SYNC_EVERY;
    this.#file = files.file;
    this.#journal = files.journal;
    this.had = files.had;
    this.doubtful = files.doubtful;
    this.#lines = files.lines;
  }

  /**
   * Takes up what there is of that content at that place. Of another content, such as the file before it was changed, pieces
   * may be the same: they are doubtful. Rejects with `busy` while another program fetches to that place, with `exists` when
   * something is there.
   */
  static async open(path: string, subject: JournalSubject, options: PartOptions = {}): Promise<PartFile> {
    if (!options.overwrite && await isThere(path)) throw exists(path);
    const paths = partPaths(path);
    const journal = await openJournal(paths.journal, path);
    let file: Deno.FsFile | undefined;
    try {
      file = await openPart(paths.part);
      const found = takeUp(file, journal, subject, options.bootId ?? await hostBootId());
      return new PartFile(path, subject.size, { file, journal, ...found }, options);
    } catch (error) {
      file?.close();
      journal.close();
      throw diskError(error, path);
    }
  }

  /** The root of the content of which there is a part for that place; undefined when there is none, or it has no root. */
  static async rootAt(path: string): Promise<string | undefined> {
    const text = await Deno.readTextFile(partPaths(path).journal).catch(() => "");
    const content = readJournal(text, { bootId: "", piecesOf: pieceCount })?.content;
    return rootSchema.safeParse(content).data;
  }

  /** Reads a piece back; false when the file is shorter than that. */
  read(piece: number, into: Uint8Array): boolean {
    this.#file.seekSync(piece * PIECE_BYTES, Deno.SeekMode.Start);
    for (let filled = 0; filled < into.length;) {
      const count = this.#file.readSync(into.subarray(filled));
      if (count === null) return false;
      filled += count;
    }
    return true;
  }

  /** A doubtful piece was read and checked: it is there. */
  confirm(piece: number): void {
    this.doubtful.delete(piece);
    this.#note(piece);
  }

  /** Writes a piece that was checked. Throws `disk_full`, and then the piece is not there. */
  write(piece: number, bytes: Uint8Array): void {
    if (bytes.length !== pieceLength(this.#size, piece)) {
      throw new CulvertError("bad_piece", `Cannot write piece ${piece}: it has ${bytes.length} bytes`);
    }
    try {
      this.#throwIfFaulty();
      this.#file.seekSync(piece * PIECE_BYTES, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
      this.#note(piece);
    } catch (error) {
      throw diskError(error, this.path);
    }
    if (++this.#unsynced >= this.#syncEvery) this.#syncing ??= this.#sync();
  }

  /** Everything is there: it gets its name. Closes it. */
  async finish(modifiedMs?: number): Promise<void> {
    if (!this.had.isFull) throw new CulvertError("unfinished", `Cannot finish ${this.path}: pieces of it are missing`);
    await this.#syncing;
    try {
      if (this.#fault === undefined) await this.#sync();
      this.#throwIfFaulty();
      if (modifiedMs !== undefined) await this.#file.utime(new Date(modifiedMs), new Date(modifiedMs));
      await giveName(this.#paths.part, this.path, { overwrite: this.#overwrite });
      await Deno.remove(this.#paths.journal);
    } catch (error) {
      throw diskError(error, this.path);
    } finally {
      await this.close();
    }
  }

  /** Leaves what there is for another time. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#syncing;
    this.#file.close();
    this.#journal.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #note(piece: number): void {
    writeText(this.#journal, journalLines.had(piece));
    this.#lines++;
    this.had.add(piece);
  }

  #throwIfFaulty(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** Never rejects: what could not be synced is doubtful from now on, and the next write says why. */
  async #sync(): Promise<void> {
    const lines = this.#lines;
    this.#unsynced = 0;
    try {
      await this.#file.syncData();
      writeText(this.#journal, journalLines.synced(lines));
    } catch (error) {
      this.#fault = error;
      this.#doubt();
    } finally {
      this.#syncing = undefined;
    }
  }

  #doubt(): void {
    try {
      writeText(this.#journal, journalLines.doubt);
    } catch {
      // A disk that takes no line has no line that says those pieces are synced either.
    }
  }
}

/** Gives a finished file its name. Rejects with `exists` when that is taken, unless told to replace what is there. */
export async function giveName(
  part: string,
  path: string,
  { overwrite = false }: Pick<PartOptions, "overwrite">,
): Promise<void> {
  if (overwrite) return await Deno.rename(part, path);
  try {
    await Deno.link(part, path); // unlike a rename, fails when the name is taken
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists || await isThere(path)) throw exists(path);
    return await Deno.rename(part, path); // not every file system knows links
  }
  await Deno.remove(part);
}

interface Found {
  readonly had: PieceSet;
  readonly doubtful: PieceSet;
  readonly lines: number;
}

interface OpenFiles extends Found {
  readonly file: Deno.FsFile;
  readonly journal: Deno.FsFile;
}

/** What there is of the subject; afterwards the journal is about it, and the file as long as it will be. */
function takeUp(file: Deno.FsFile, journal: Deno.FsFile, subject: JournalSubject, bootId: string): Found {
  const before = file.statSync();
  const written = journal.statSync();
  const reading = readJournal(readText(journal, written.size), { bootId, piecesOf: pieceCount });
  const isWhole = reading !== undefined && before.size === reading.size;
  file.truncateSync(subject.size);
  if (!reading || !isWhole) return startOver(journal, subject, bootId, new PieceSet(pieceCount(subject.size)));
  if (reading.content !== subject.content || reading.size !== subject.size) {
    return startOver(journal, subject, bootId, stillDoubtful(reading, subject.size));
  }
  journal.truncateSync(reading.bytes);
  journal.seekSync(0, Deno.SeekMode.End);
  const isTouched = (before.mtime?.getTime() ?? 0) > (written.mtime?.getTime() ?? 0) + CHANGED_LATER_MS;
  if (isTouched) writeText(journal, journalLines.doubt);
  if (!reading.isOfThisBoot) writeText(journal, journalLines.boot(bootId));
  if (!isTouched) return reading;
  const { pieces } = reading.had;
  return { had: new PieceSet(pieces), doubtful: stillDoubtful(reading, subject.size), lines: reading.lines };
}

function startOver(journal: Deno.FsFile, subject: JournalSubject, bootId: string, doubtful: PieceSet): Found {
  journal.truncateSync(0);
  journal.seekSync(0, Deno.SeekMode.Start);
  writeText(journal, journalLines.first(subject) + journalLines.boot(bootId));
  return { had: new PieceSet(doubtful.pieces), doubtful, lines: 0 };
}

/** All pieces that may be there, as far as a content of that size has them. */
function stillDoubtful({ had, doubtful }: JournalReading, size: number): PieceSet {
  const all = new PieceSet(pieceCount(size));
  for (let piece = 0; piece < Math.min(all.pieces, had.pieces); piece++) {
    if (had.has(piece) || doubtful.has(piece)) all.add(piece);
  }
  return all;
}

/** Opens what only we make. Where others may write as well, a link of that name would have us write wherever it leads. */
async function openPart(path: string): Promise<Deno.FsFile> {
  const options = { read: true, write: true, create: true };
  const found = await Deno.lstat(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (found?.isFile && (found.nlink ?? 1) > 1) {
    await Deno.remove(path); // a finished file has it by another name, and must stay as it is
    return await Deno.open(path, { ...options, createNew: true });
  }
  if (!found || found.isFile) return await Deno.open(path, options);
  throw new CulvertError("exists", `Cannot write ${path}: it must be a file of ours, and is something else`);
}

async function openJournal(journalPath: string, path: string): Promise<Deno.FsFile> {
  let journal: Deno.FsFile;
  try {
    journal = await openPart(journalPath);
  } catch (error) {
    throw diskError(error, path);
  }
  if (await journal.tryLock(true)) return journal;
  journal.close();
  throw new CulvertError("busy", `Cannot fetch to ${path}: another program does so at the moment`);
}

function readText(file: Deno.FsFile, size: number): string {
  const bytes = new Uint8Array(size);
  file.seekSync(0, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < size) {
    const count = file.readSync(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return new TextDecoder("latin1").decode(bytes.subarray(0, filled));
}

function writeText(file: Deno.FsFile, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

export async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function exists(path: string): CulvertError {
  return new CulvertError("exists", `Cannot fetch to ${path}: something is there already, and is not overwritten`);
}

/** Failures of a disk in words; others as they are. */
export function diskError(error: unknown, path: string): unknown {
  const { code } = error as { readonly code?: string };
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new CulvertError(
      "disk_full",
      `Cannot write ${path}: the disk is full. What has come is kept: make room and fetch it again`,
      { cause: error },
    );
  }
  if (code === "EFBIG") {
    return new CulvertError("too_large", `Cannot write ${path}: the file system takes no file so large`, {
      cause: error,
    });
  }
  return error;
}

/** Names how long the machine has been up; where nothing does, each start of a program counts as the machine's. */
async function hostBootId(): Promise<string> {
  try {
    return (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim();
  } catch {
    return crypto.randomUUID();
  }
}

/** FNV-1a of 64 bits: tells long names apart within one folder. */
function checksum(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
