/**
 * The files of the index: by path in the order of paths, and by root. Those of a folder lie together, so that a search within
 * one looks at no others.
 *
 *   put ─▶ merged into the order, many at once in one pass     drop ◀─ what a look at a path did not find any more
 */

import type { SeenFile } from "./folder_reader.ts";
import { foldText, type Named } from "./name_search.ts";

export interface IndexedFile extends SeenFile, Named {
  /** Of its content, once that is known. */
  root: string | undefined;
  /** The last look that found it. */
  look: number;
}

/** The character that comes next after `/`. */
const AFTER_SLASH = "0";

export class FileTable {
  #ordered: IndexedFile[] = [];
  readonly #byPath = new Map<string, IndexedFile>();
  readonly #byRoot = new Map<string, Set<IndexedFile>>();
  #bytes = 0;
  #version = 0;

  /** Goes on with every change of what is in it, or of how that lies. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#byPath.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(path: string): IndexedFile | undefined {
    return this.#byPath.get(path);
  }

  /** Files that have this content. */
  withRoot(root: string): Iterable<IndexedFile> {
    return this.#byRoot.get(root) ?? [];
  }

  hasRoot(root: string): boolean {
    return this.#byRoot.has(root);
  }

  /** All, in the order of their paths. */
  get all(): readonly IndexedFile[] {
    return this.#ordered;
  }

  /** From where up to where in that order a folder's files are, or the one of that path; "" is all. */
  spanOf(scope: string): [number, number] {
    if (scope === "") return [0, this.#ordered.length];
    if (this.#byPath.has(scope)) return [this.#placeOf(scope), this.#placeOf(scope) + 1];
    return this.#folderSpan(scope);
  }

  /** Takes in what a look has found; gives those that are new or have changed, whose content is not known. */
  put(seen: readonly SeenFile[], look: number): IndexedFile[] {
    const changed: IndexedFile[] = [];
    const added: IndexedFile[] = [];
    // A path that was looked at twice counts as it was found last.
    for (const each of new Map(seen.map((file) => [file.path, file])).values()) {
      const known = this.#byPath.get(each.path);
      if (known && isSame(known, each)) {
        known.look = look;
        continue;
      }
      const file = { ...each, folded: foldedPath(each.path), root: undefined, look };
      if (known) {
        this.#forget(known);
        this.#ordered[this.#placeOf(file.path)] = file;
      } else added.push(file);
      this.#byPath.set(file.path, file);
      this.#bytes += file.size;
      changed.push(file);
    }
    this.#merge(added.sort(byPath));
    if (changed.length > 0) this.#version++;
    return changed;
  }

  /** Removes what is at and under these paths and was not found by that look; gives it. */
  dropUnseen(paths: readonly string[], look: number): ReadonlySet<IndexedFile> {
    const gone = new Set<IndexedFile>();
    for (const path of paths) {
      const known = this.#byPath.get(path);
      if (known && known.look !== look) gone.add(known);
      // Under what is a file now there was a folder perhaps.
      const [start, end] = path === "" ? this.spanOf("") : this.#folderSpan(path);
      for (let at = start; at < end; at++) {
        const file = this.#ordered[at]!;
        if (file.look !== look) gone.add(file);
      }
    }
    if (gone.size === 0) return gone;
    this.#version++;
    this.#ordered = this.#ordered.filter((file) => !gone.has(file));
    for (const file of gone) {
      this.#forget(file);
      this.#byPath.delete(file.path);
    }
    return gone;
  }

  /** Says what a file contains; false if it is not there any more as it was. */
  setRoot(file: IndexedFile, root: string): boolean {
    if (this.#byPath.get(file.path) !== file) return false;
    this.#leaveRoot(file);
    file.root = root;
    const sharing = this.#byRoot.get(root);
    if (sharing) sharing.add(file);
    else this.#byRoot.set(root, new Set([file]));
    return true;
  }

  #folderSpan(folder: string): [number, number] {
    return [this.#placeOf(`${folder}/`), this.#placeOf(`${folder}${AFTER_SLASH}`)];
  }

  #forget(file: IndexedFile): void {
    this.#bytes -= file.size;
    this.#leaveRoot(file);
  }

  #leaveRoot(file: IndexedFile): void {
    if (file.root === undefined) return;
    const sharing = this.#byRoot.get(file.root);
    sharing?.delete(file);
    if (sharing?.size === 0) this.#byRoot.delete(file.root);
  }

  /** Where a path is among the others, or would be. */
  #placeOf(path: string): number {
    let [low, high] = [0, this.#ordered.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ordered[middle]!.path < path) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Both are in order; what is before the first that is added stays where it is. */
  #merge(added: readonly IndexedFile[]): void {
    if (added.length === 0) return;
    const rest = this.#ordered.splice(this.#placeOf(added[0]!.path));
    let next = 0;
    for (const file of rest) {
      while (next < added.length && added[next]!.path < file.path) this.#ordered.push(added[next++]!);
      this.#ordered.push(file);
    }
    while (next < added.length) this.#ordered.push(added[next++]!);
  }
}

function byPath(one: IndexedFile, other: IndexedFile): number {
  return one.path < other.path ? -1 : 1;
}

function isSame(one: SeenFile, other: SeenFile): boolean {
  return one.size === other.size && one.modifiedMs === other.modifiedMs && one.inode === other.inode;
}

/** The path itself where folding changes nothing, so that it is kept once. */
function foldedPath(path: string): string {
  const folded = foldText(path);
  return folded === path ? path : folded;
}
