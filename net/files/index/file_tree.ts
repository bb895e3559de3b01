/**
 * Reads a file into its tree hash, a piece at a time, and lets others run in between.
 *
 * The file that is read is the one that was seen: it is recognised once it is open, and looked at again at the end, so that
 * what changes meanwhile has no hash. What is changed within the clock's resolution of the file system would go unnoticed:
 * the index waits until a file has been left alone for a while.
 */

import { join } from "@std/path";
import { type ContentTree, PIECE_BYTES, type TreeHasher } from "../../../protocol/files/tree_hash.ts";
import { OpenFile } from "../open_file.ts";
import type { FolderSettings, SeenFile } from "./folder_reader.ts";

export interface ReadingOptions extends Pick<FolderSettings, "folder"> {
  readonly hasher: TreeHasher;
  /** A piece long; what it holds is overwritten. */
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** Called after each piece. */
  pause(): Promise<void>;
}

/** Undefined if the file is not there as it was seen, cannot be read, or changed meanwhile. */
export async function readTree(file: SeenFile, options: ReadingOptions): Promise<ContentTree | undefined> {
  try {
    using open = new OpenFile(join(options.folder, file.path));
    if (!isStill(open, file)) return undefined;
    const tree = await hashWhole(open, file.size, options);
    return tree && isStill(open, file) ? tree : undefined;
  } catch {
    return undefined;
  }
}

async function hashWhole(
  open: OpenFile,
  size: number,
  { buffer, hasher, pause }: ReadingOptions,
): Promise<ContentTree | undefined> {
  hasher.reset();
  for (let at = 0; at < size;) {
    const count = open.readSync(buffer.subarray(0, Math.min(PIECE_BYTES, size - at)), at);
    if (count === 0) return undefined;
    hasher.update(buffer.subarray(0, count));
    at += count;
    await pause();
  }
  return hasher.finish();
}

function isStill(open: OpenFile, file: SeenFile): boolean {
  const { kind, size, modifiedMs, inode } = open.stateNow();
  const isSame = size === file.size && Math.trunc(modifiedMs) === file.modifiedMs && inode === file.inode;
  return kind === "file" && isSame;
}
