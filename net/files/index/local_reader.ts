/**
 * A folder's reader on the thread that it is called on: what the Worker runs, and what tests use without one.
 */

import { setImmediate } from "node:timers/promises";
import { type Clock, delay } from "../../../protocol/clock.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import { type ContentTree, PIECE_BYTES, TreeHasher } from "../../../protocol/files/tree_hash.ts";
import type { Primitives } from "../../../protocol/primitives.ts";
import { readTree } from "./file_tree.ts";
import type { FolderNews, FolderReader, FolderSettings, SeenFile } from "./folder_reader.ts";
import { walk } from "./folder_walk.ts";
import { type WatchFolder, watchFolder } from "./folder_watch.ts";

/** Files told of at once. */
const BATCH = 500;
/** Work between two pauses, at least; a file of a few bytes is not worth one. */
const WORK_MS = 20;

export interface LocalReaderOptions extends FolderSettings {
  readonly clock: Clock;
  readonly sha256: Primitives["sha256"];
  /** How long reading rests for each moment that it works, so that it leaves the machine to others. */
  readonly restShare: number;
  readonly openWatcher?: WatchFolder;
}

export class LocalReader implements FolderReader {
  readonly #options: LocalReaderOptions;
  readonly #hasher: TreeHasher;
  readonly #buffer = new Uint8Array(PIECE_BYTES);
  readonly #opened = new DisposableStack();
  #workedSinceMs: number;
  /** Nothing is read meanwhile: what there is is found by name first. */
  #looking: Promise<void> | undefined;

  constructor(options: LocalReaderOptions) {
    this.#options = options;
    this.#hasher = new TreeHasher(options.sha256);
    this.#workedSinceMs = options.clock.now();
  }

  async look(
    paths: readonly string[],
    onSeen: (files: readonly SeenFile[]) => void | Promise<void>,
  ): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#looking = promise;
    try {
      await this.#lookAt(paths, onSeen);
    } finally {
      this.#looking = undefined;
      resolve();
    }
  }

  async read(
    files: readonly SeenFile[],
    onRead: (file: SeenFile, tree: ContentTree | undefined) => void,
  ): Promise<void> {
    const { folder, clock } = this.#options;
    this.#workedSinceMs = clock.now();
    const reading = { folder, hasher: this.#hasher, buffer: this.#buffer, pause: () => this.#pause() };
    for (const file of files) {
      if (this.#looking) {
        await this.#looking;
        this.#workedSinceMs = clock.now();
      }
      if (this.#opened.disposed) return;
      onRead(file, await readTree(file, reading));
    }
  }

  watch(news: FolderNews): void {
    this.#opened.use(watchFolder(this.#options, news, this.#options.openWatcher));
  }

  [Symbol.dispose](): void {
    this.#opened.dispose();
  }

  async #lookAt(
    paths: readonly string[],
    onSeen: (files: readonly SeenFile[]) => void | Promise<void>,
  ): Promise<void> {
    let batch: SeenFile[] = [];
    let taken: void | Promise<void> = undefined;
    for (const path of paths) {
      for (const file of walk(this.#options, path)) {
        if (batch.push(file) < BATCH) continue;
        await taken;
        taken = onSeen(batch);
        batch = [];
        // Messages and notices are heard.
        await setImmediate();
        if (this.#opened.disposed) return;
      }
    }
    await taken;
    if (batch.length > 0) await onSeen(batch);
  }

  async #pause(): Promise<void> {
    const { clock, restShare } = this.#options;
    const workedMs = clock.now() - this.#workedSinceMs;
    if (workedMs < WORK_MS) return;
    if (restShare > 0) await delay(clock, workedMs * restShare);
    else await setImmediate();
    // A file of any length is left where it is; what was read of it counts for nothing.
    if (this.#opened.disposed) throw new CulvertError("closed", "Cannot read a file: its folder is read no more");
    this.#workedSinceMs = clock.now();
  }
}
