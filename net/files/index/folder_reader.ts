/**
 * What the index needs of a shared folder: looking which files there are, reading what they contain, being told of changes. It
 * runs in a Worker (`reader_worker.ts`), so that neither a folder of 100,000 files nor one of 100 GB holds up what is served.
 *
 * Files and folders whose name begins with a dot are passed over unless asked for, our own always. A link to a file counts as that file if it
 * stays inside the shared folder and out of what is hidden; links to folders are not followed, so that nothing is found twice.
 */

import type { ContentTree } from "../../../protocol/files/tree_hash.ts";

/** A file as a look finds it. */
export interface SeenFile {
  /** From the shared folder, its parts joined by `/`. */
  readonly path: string;
  readonly size: number;
  /** Whole milliseconds. */
  readonly modifiedMs: number;
  readonly inode: number;
}

export interface FolderSettings {
  readonly folder: string;
  /** Also what begins with a dot. */
  readonly hidden: boolean;
}

/** What is told of a folder that is watched. */
export interface FolderNews {
  /** Something has happened at these paths. */
  changed(paths: readonly string[]): void;
  /** It is not known where. */
  overflowed(): void;
  /** Nothing will be told any more. */
  lost(reason: string): void;
}

export interface FolderReader extends Disposable {
  /**
   * Tells of every file at these paths and under them, some at a time; "" is the whole folder. What is not told of is not
   * there. It waits for those it is told to wait for, so that what is told does not pile up.
   */
  look(paths: readonly string[], onSeen: (files: readonly SeenFile[]) => void | Promise<void>): Promise<void>;
  /** Reads files one after the other; undefined for one that is not there as it was seen, or changed while it was read. */
  read(files: readonly SeenFile[], onRead: (file: SeenFile, tree: ContentTree | undefined) => void): Promise<void>;
  /** Call it once, before the first look: what changes in between is told then. */
  watch(news: FolderNews): void;
}
