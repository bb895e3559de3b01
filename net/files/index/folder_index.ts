/**
 * The index of a shared folder: which files there are, what they contain, and finding them by name. It follows the folder.
 *
 *   notices, or every so often ─▶ ChangedPaths ─▶ look ─▶ FileTable ─▶ what is not known yet ─▶ read ─▶ ContentMemory
 *                                                    └──────────── Worker: reader_worker.ts ────────┘
 *
 * Files are found by name as soon as they were looked at, and by content once they were read. One is read when nobody has
 * changed it for two seconds: then whoever changes it again leaves another time behind. Files that were moved are recognised.
 *
 * Not here: links to folders (see `folder_reader.ts`), and more than `maxFiles`, which it says.
 */

import type { Clock, Timer } from "../../../protocol/clock.ts";
import { messageOf } from "../../../protocol/errors.ts";
import type { KnownContentStore } from "../../../protocol/files/known_content.ts";
import type { Found, SearchPage, SearchQuery } from "../../../protocol/files/listing.ts";
import { mediaTypeOf } from "../../../protocol/files/media_type.ts";
import type { ContentTree } from "../../../protocol/files/tree_hash.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Bytes } from "../../../protocol/primitives.ts";
import type { ContentIndex, FileStamp } from "../content_index.ts";
import { ChangeNotices } from "./change_notices.ts";
import { ChangedPaths } from "./changed_paths.ts";
import { ContentMemory } from "./content_memory.ts";
import { FileTable, type IndexedFile } from "./file_table.ts";
import type { FolderReader, FolderSettings, SeenFile } from "./folder_reader.ts";
import { NameSearch } from "./name_search.ts";
import { ReaderWorker } from "./reader_worker.ts";
import { UnreadFiles } from "./unread_files.ts";

export interface FolderIndexOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** What was known before; otherwise every file is read at each start. */
  readonly known?: KnownContentStore;
  /** Also what begins with a dot. @default false */
  readonly hidden?: boolean;
  /** @default 1_000_000 */
  readonly maxFiles?: number;
  /** How long reading rests for each moment that it works. @default 0.5 */
  readonly restShare?: number;
  /** How often the folder is looked through where nobody tells what changes. @default 30_000 */
  readonly rescanMs?: number;
  /** Reads the folder; by default in a Worker. */
  readonly openReader?: (settings: FolderSettings) => FolderReader;
}

/** Where changes are told: in case one was not. */
const WATCHED_RESCAN_MS = 600_000;
/** A folder that takes long to look through is not looked through all the time. */
const RESCAN_REST = 10;
/** Files that `locate` names: more than anybody is told, of whom each may see only some. */
const MAX_PLACES = 256;

export class FolderIndex implements ContentIndex, AsyncDisposable {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #maxFiles: number;
  readonly #rescanMs: number;
  readonly #reader: FolderReader;
  readonly #memory: ContentMemory;
  readonly #table = new FileTable();
  readonly #changed: ChangedPaths;
  readonly #unread: UnreadFiles;
  readonly #notices: ChangeNotices;
  readonly #loops: Promise<unknown>;
  /** Made when somebody searches. */
  #names: { readonly version: number; readonly search: NameSearch<IndexedFile> } | undefined;
  #look = 0;
  #isLooking = true;
  /** Once through the whole folder. */
  #hasLooked = false;
  #isWatched = true;
  #isFull = false;
  #isClosed = false;
  #rescan: Timer | undefined;
  #idle: PromiseWithResolvers<void> | undefined;

  /** The folder as it is called by its real path. Whoever opens it disposes of it. */
  private constructor(options: FolderIndexOptions, folder: string, memory: ContentMemory) {
    const { clock, log, hidden = false, restShare = 0.5, maxFiles = 1_000_000, rescanMs = 30_000 } = options;
    const openReader = options.openReader ?? ((settings) => new ReaderWorker({ ...settings, restShare }));
    this.#clock = clock;
    this.#log = log;
    this.#maxFiles = maxFiles;
    this.#rescanMs = rescanMs;
    this.#memory = memory;
    this.#changed = new ChangedPaths(clock);
    this.#unread = new UnreadFiles(clock);
    this.#notices = new ChangeNotices(clock);
    this.#reader = openReader({ folder, hidden });
    this.#reader.watch({
      changed: (paths) => this.#changed.add(paths),
      overflowed: () => this.#changed.addAll(),
      lost: (reason) => this.#goUnwatched(reason),
    });
    this.#loops = Promise.all([this.#follow(), this.#readOn()]).catch((error) => {
      if (!this.#isClosed) this.#log.error("The shared folder is followed no more", { reason: messageOf(error) });
    });
  }

  /** Once it is open it looks through the folder by itself; `idle` waits for it. Rejects if there is no such folder. */
  static async open(options: FolderIndexOptions): Promise<FolderIndex> {
    const folder = await Deno.realPath(options.folder);
    const nothing: KnownContentStore = {
      load: () => Promise.resolve({ contents: [], pieces: new Map() }),
      save: () => Promise.resolve(),
      forget: () => Promise.resolve(),
    };
    return new FolderIndex(options, folder, await ContentMemory.open(options.known ?? nothing, options.log));
  }

  get status(): ContentIndex["status"] {
    const { size: files, bytes } = this.#table;
    return { files, bytes, pending: Math.max(this.#unread.size, this.#hasLooked ? 0 : 1) };
  }

  rootOf(path: string, stamp: FileStamp): string | undefined {
    const file = this.#table.get(path);
    const isSame = file?.size === stamp.size && file.modifiedMs === Math.trunc(stamp.modifiedMs);
    return isSame ? file.root : undefined;
  }

  pieces(root: string): Bytes | undefined {
    return this.#table.hasRoot(root) ? this.#memory.piecesOf(root) : undefined;
  }

  locate(root: string): readonly Found[] {
    return [...Iterator.from(this.#table.withRoot(root)).take(MAX_PLACES).map(foundOf)];
  }

  search(query: SearchQuery, scope: string): SearchPage {
    const { version } = this.#table;
    if (this.#names?.version !== version) this.#names = { version, search: new NameSearch(this.#table.all) };
    const { found, next } = this.#names.search.search(query, this.#table.spanOf(scope));
    return {
      found: found.map(foundOf),
      pending: this.#hasLooked ? 0 : this.status.pending,
      ...next !== undefined && { next },
    };
  }

  subscribe(onChange: () => void): Disposable {
    return this.#notices.subscribe(onChange);
  }

  /** Settles when it has looked at everything and read all there is to read, as far as it knows. */
  idle(): Promise<void> {
    this.#idle ??= Promise.withResolvers();
    const { promise } = this.#idle;
    this.#tellIdle();
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#rescan?.cancel();
    this.#changed[Symbol.dispose]();
    this.#unread[Symbol.dispose]();
    this.#notices[Symbol.dispose]();
    this.#reader[Symbol.dispose]();
    await this.#loops;
    await this.#memory[Symbol.asyncDispose]();
    this.#idle?.resolve();
  }

  /** Looks at everything, and then at whatever changes. */
  async #follow(): Promise<void> {
    for (let paths: readonly string[] | undefined = [""]; paths; paths = await this.#changed.next()) {
      const startedMs = this.#clock.now();
      await this.#lookAt(paths);
      if (!paths.includes("")) continue;
      // A disk that is not mounted at the moment looks like a folder from which everything has gone.
      if (this.#table.size > 0) await this.#memory.keepOnly(this.#table.all);
      this.#planRescan(this.#clock.now() - startedMs);
    }
  }

  async #lookAt(paths: readonly string[]): Promise<void> {
    const look = ++this.#look;
    const before = this.#table.size;
    this.#isLooking = true;
    let changes = 0;
    await this.#reader.look(paths, (files) => void (changes += this.#take(files, look)));
    if (this.#isClosed) return;
    this.#isLooking = false;
    this.#hasLooked = true;
    const gone = this.#table.dropUnseen(paths, look);
    this.#unread.remove(gone);
    if (this.#table.size < before) this.#isFull = false;
    // What is not a file was not looked for, but a folder that comes or goes is told of by its notices.
    if (changes + gone.size > 0 || !paths.includes("")) this.#notices.tell();
    this.#tellIdle();
  }

  /** How many are new or have changed. */
  #take(files: readonly SeenFile[], look: number): number {
    const room = this.#maxFiles - this.#table.size;
    const taken = files.length <= room ? files : this.#withinRoom(files, room);
    const changed = this.#table.put(taken, look);
    for (const file of changed) {
      const root = this.#memory.rootOf(file);
      if (root !== undefined) this.#table.setRoot(file, root);
    }
    this.#unread.remove(changed);
    this.#unread.add(changed.filter(({ root }) => root === undefined));
    return changed.length;
  }

  #withinRoom(files: readonly SeenFile[], room: number): SeenFile[] {
    let left = room;
    const taken = files.filter(({ path }) => this.#table.get(path) !== undefined || left-- > 0);
    if (taken.length < files.length && !this.#isFull) {
      this.#isFull = true;
      this.#log.warn("The shared folder has more files than the index takes", { files: this.#maxFiles });
    }
    return taken;
  }

  /** Reads what has not been read, for as long as there is any. */
  async #readOn(): Promise<void> {
    for (let files = await this.#unread.next(); files; files = await this.#unread.next()) {
      await this.#reader.read(files, (file, tree) => this.#learn(file, tree));
      if (this.#isClosed) return;
      this.#unread.done();
      if (this.#unread.size === 0) this.#notices.tell();
      this.#tellIdle();
    }
  }

  #learn(seen: SeenFile, tree: ContentTree | undefined): void {
    // One that cannot be read stays as it is; if it has changed, looking at it finds that.
    if (!tree) return this.#changed.add([seen.path]);
    this.#memory.add(seen, tree);
    const file = this.#table.get(seen.path);
    if (file && this.#memory.rootOf(file) === tree.root) this.#table.setRoot(file, tree.root);
  }

  #goUnwatched(reason: string): void {
    if (this.#isClosed) return;
    this.#isWatched = false;
    this.#log.warn("Changes of the shared folder are not told: it is looked through every so often", {
      reason,
      every_ms: this.#rescanMs,
    });
    if (this.#rescan) this.#planRescan(0);
  }

  #planRescan(tookMs: number): void {
    this.#rescan?.cancel();
    const everyMs = this.#isWatched ? WATCHED_RESCAN_MS : this.#rescanMs;
    this.#rescan = this.#clock.after(Math.max(everyMs, tookMs * RESCAN_REST), () => this.#changed.addAll());
  }

  #tellIdle(): void {
    if (this.#isLooking || !this.#changed.isEmpty || this.#unread.size > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }
}

function foundOf({ path, size, modifiedMs, root }: IndexedFile): Found {
  const type = mediaTypeOf(path);
  return { path, kind: "file", size, modifiedMs: Math.max(0, modifiedMs), type, ...root !== undefined && { root } };
}
