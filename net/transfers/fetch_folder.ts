/**
 * A whole folder of a peer to a folder here: walks the listing a page at a time and fetches several files at once.
 *
 *   pages of the listing ─▶ files, one after the other ─▶ `AT_A_TIME` of them under way
 *
 * Nothing is held of what is not under way, however many files there are. A file that cannot be fetched does not keep the
 * others from it; a full disk or a peer that is gone ends it, and the next time goes on from there.
 */

import { join } from "@std/path";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import { type Entry, MAX_PAGE } from "../../protocol/files/listing.ts";
import { fetchFile, type FetchTools } from "./fetch_file.ts";
import { FolderJournal } from "./folder_journal.ts";
import { refusalOfName } from "./local_names.ts";
import { patiently } from "./patience.ts";
import type { RemoteFiles } from "./remote_files.ts";

const AT_A_TIME = 4;
/** Deeper than any folder that makes sense; a listing without end is hostile. */
const MAX_DEPTH = 64;
/** Of those that were left out, so many are named. */
const MAX_NAMED = 100;
/** Failures that other files would have as well. */
const FATAL: ReadonlySet<string> = new Set(["disk_full", "no_source", "timeout", "lied", "cut_short", "bad_answer"]);
/** What keeps one file from being written here, and no other. */
const OF_ONE_FILE: ReadonlySet<string> = new Set(["EISDIR", "EACCES", "EPERM", "ENAMETOOLONG", "ENOTDIR"]);

export interface FolderWish {
  /** At the peer; "" is all it shares. */
  readonly path: string;
  /** The folder here, made if need be. */
  readonly out: string;
  readonly overwrite?: boolean;
}

export interface LeftOut {
  readonly path: string;
  readonly why: string;
}

export interface FetchedFolder {
  readonly files: number;
  readonly bytes: number;
  /** Files that were here already. */
  readonly wereHere: number;
  /** How many were not fetched, and the first of them. */
  readonly leftOutCount: number;
  readonly leftOut: readonly LeftOut[];
}

interface Found {
  readonly path: string;
  readonly out: string;
  readonly entry: Entry;
}

export async function fetchFolder(
  source: RemoteFiles,
  others: readonly RemoteFiles[],
  wish: FolderWish,
  tools: FetchTools,
): Promise<FetchedFolder> {
  await Deno.mkdir(wish.out, { recursive: true });
  using journal = await FolderJournal.open(wish.out);
  const stop = new AbortController();
  const signal = AbortSignal.any([tools.signal, stop.signal]);
  const fetching = new FolderFetch(source, others, {
    ...wish,
    journal,
    tools: { ...tools, signal, distrusted: new Set() },
  });
  const workers = Array.from({ length: AT_A_TIME }, () =>
    fetching.work().catch((error) => {
      stop.abort(error); // the first failure is the one that is told
      throw error;
    }));
  const ended = await Promise.allSettled(workers);
  tools.signal.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  for (const end of ended) if (end.status === "rejected") throw end.reason;
  if (fetching.summary.leftOutCount === 0) await journal.remove();
  return fetching.summary;
}

interface FullWish extends FolderWish {
  readonly journal: FolderJournal;
  readonly tools: FetchTools;
}

class FolderFetch {
  readonly #source: RemoteFiles;
  readonly #others: readonly RemoteFiles[];
  readonly #wish: FullWish;
  readonly #files: AsyncGenerator<Found>;
  readonly summary = { files: 0, bytes: 0, wereHere: 0, leftOutCount: 0, leftOut: [] as LeftOut[] };

  constructor(source: RemoteFiles, others: readonly RemoteFiles[], wish: FullWish) {
    this.#source = source;
    this.#others = others;
    this.#wish = wish;
    this.#files = this.#walk(wish.path, wish.out, 0);
  }

  /** Takes files one after the other until there are no more; several may do so at a time. */
  async work(): Promise<void> {
    for (let next = await this.#files.next(); !next.done; next = await this.#files.next()) {
      await this.#fetch(next.value);
    }
  }

  async *#walk(path: string, out: string, depth: number): AsyncGenerator<Found> {
    let after: string | undefined;
    do {
      const query = { limit: MAX_PAGE, ...after !== undefined && { after } };
      const { tools } = this.#wish;
      const page = await patiently(() => this.#source.folder(path, query, tools.signal), tools);
      for (const entry of page.entries) {
        const at = path === "" ? entry.name : `${path}/${entry.name}`;
        const refusal = refusalOfName(entry.name);
        if (refusal !== undefined) this.#leaveOut(at, refusal);
        else if (entry.kind === "file") yield { path: at, out: join(out, entry.name), entry };
        else if (depth === MAX_DEPTH) this.#leaveOut(at, "it is too deep");
        else yield* this.#walkInto(at, join(out, entry.name), depth);
      }
      after = page.next;
    } while (after !== undefined);
  }

  async *#walkInto(path: string, out: string, depth: number): AsyncGenerator<Found> {
    try {
      await makeFolder(out);
    } catch (error) {
      return this.#leaveOut(path, messageOf(error));
    }
    yield* this.#walk(path, out, depth + 1);
  }

  async #fetch({ path, out, entry }: Found): Promise<void> {
    const { journal, overwrite = false, tools } = this.#wish;
    const { root, size, modifiedMs } = entry;
    // What is in the index is called by its root: then there is no need to ask what it is.
    const listed = root === undefined ? undefined : { root, size, modifiedMs, etag: `"${root}"` };
    try {
      const wasFetched = root !== undefined && await journal.has(path, out, { root, size });
      const fetched = wasFetched
        ? { size, root, wasHere: true }
        : await fetchFile(this.#source, this.#others, { path, out, overwrite, listed }, tools);
      this.summary.files++;
      this.summary.bytes += fetched.size;
      if (fetched.wasHere) this.summary.wereHere++;
      if (!wasFetched && fetched.root !== undefined) await journal.add(path, out, fetched.root);
    } catch (error) {
      tools.signal.throwIfAborted();
      if (isFatal(error)) throw error;
      this.#leaveOut(path, messageOf(error));
    }
  }

  #leaveOut(path: string, why: string): void {
    this.summary.leftOutCount++;
    if (this.summary.leftOut.length < MAX_NAMED) this.summary.leftOut.push({ path, why });
  }
}

/** A folder of that name; a link to one is not followed, since it may lead out of where we were told to write. */
async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    if ((await Deno.lstat(path)).isDirectory) return;
    throw new CulvertError("exists", "something else of that name is there already");
  }
}

/** What a file cannot be blamed for. */
function isFatal(error: unknown): boolean {
  if (OF_ONE_FILE.has((error as { readonly code?: string }).code ?? "")) return false;
  return !(error instanceof CulvertError) || error instanceof DialError || FATAL.has(error.code);
}
