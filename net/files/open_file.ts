/**
 * A file or folder that is open, what it was when it was opened, and reading from it at any place.
 *
 * By `node:fs`, which gives the descriptor's number: with it the kernel says where the file really is (`shared_root.ts`), and
 * what would block when it is opened, such as a pipe without a writer, does not. Whoever opens closes.
 */

import { closeSync, constants, fstatSync, openSync, read, readSync } from "node:fs";

/** What tells one state of a file from another. Times have as many digits as the file system gives. */
export interface FileState {
  readonly kind: "file" | "folder" | "other";
  readonly size: number;
  readonly modifiedMs: number;
  /** When anything about it changed last; unlike `modifiedMs` nobody can set it. */
  readonly changedMs: number;
  readonly device: number;
  readonly inode: number;
}

export class OpenFile implements Disposable {
  readonly descriptor: number;
  /** As it was when it was opened. */
  readonly state: FileState;
  readonly #place: string | undefined;
  #closed = false;
  #reads = 0;

  /** `descriptors` is where the kernel shows open files, if it does. Throws as `openSync` does. */
  constructor(path: string, descriptors?: string) {
    const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;
    this.descriptor = openSync(path, O_RDONLY | (O_NONBLOCK ?? 0) | (O_NOCTTY ?? 0));
    this.#place = descriptors && `${descriptors}/${this.descriptor}`;
    try {
      this.state = this.stateNow();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** By the kernel's name of what is open, where it has one: that takes a quarter of the time. */
  stateNow(): FileState {
    if (this.#place) return stateOf(Deno.statSync(this.#place));
    const stat = fstatSync(this.descriptor);
    return {
      kind: stat.isFile() ? "file" : stat.isDirectory() ? "folder" : "other",
      size: stat.size,
      modifiedMs: stat.mtimeMs,
      changedMs: stat.ctimeMs,
      device: stat.dev,
      inode: stat.ino,
    };
  }

  /** Whether it has not been written to since it was opened. What is written through a memory map may show later. */
  isUnchanged(): boolean {
    const { size, modifiedMs } = this.stateNow();
    return size === this.state.size && modifiedMs === this.state.modifiedMs;
  }

  /** Bytes read; less than asked only at the end. */
  readSync(into: Uint8Array, at: number): number {
    return readSync(this.descriptor, into, 0, into.length, at);
  }

  /** The same without keeping everybody waiting for the disk. */
  read(into: Uint8Array, at: number): Promise<number> {
    this.#reads++;
    return new Promise((resolve, reject) => {
      read(this.descriptor, into, 0, into.length, at, (error, count) => {
        if (--this.#reads === 0 && this.#closed) this.#close();
        if (error) reject(error);
        else resolve(count);
      });
    });
  }

  /** While something is being read it closes when that is done: its number could be another file's by then. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#reads === 0) this.#close();
  }

  #close(): void {
    closeSync(this.descriptor);
  }
}

function stateOf({ isFile, isDirectory, size, mtime, ctime, dev, ino }: Deno.FileInfo): FileState {
  return {
    kind: isFile ? "file" : isDirectory ? "folder" : "other",
    size,
    modifiedMs: mtime?.getTime() ?? 0,
    changedMs: ctime?.getTime() ?? 0,
    device: dev,
    inode: ino ?? 0,
  };
}
