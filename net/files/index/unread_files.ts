/**
 * Files whose content is to be read, a batch after the other, and only such as have been left alone for a while: what is
 * written right now would have to be read again, and a change within the resolution of the file system's clock would go
 * unnoticed.
 */

import type { Clock, Timer } from "../../../protocol/clock.ts";
import type { SeenFile } from "./folder_reader.ts";

/** The coarsest clocks of file systems, FAT's, count in steps of two seconds. */
const LEFT_ALONE_MS = 2000;
const BATCH_FILES = 64;
const BATCH_BYTES = 64 * 1024 * 1024;

export class UnreadFiles implements Disposable {
  readonly #clock: Clock;
  /** By path: of a file that has changed since, what it is now. */
  readonly #waiting = new Map<string, SeenFile>();
  #reading = 0;
  #nextInMs = LEFT_ALONE_MS;
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those that wait, and those being read. */
  get size(): number {
    return this.#waiting.size + this.#reading;
  }

  add(files: readonly SeenFile[]): void {
    for (const { path, size, modifiedMs, inode } of files) this.#waiting.set(path, { path, size, modifiedMs, inode });
    if (files.length > 0) this.#wake?.();
  }

  remove(files: Iterable<Pick<SeenFile, "path">>): void {
    for (const { path } of files) this.#waiting.delete(path);
  }

  /** Waits for some that may be read; undefined at the end. */
  async next(): Promise<readonly SeenFile[] | undefined> {
    while (!this.#isClosed) {
      const batch = this.#takeBatch();
      if (batch.length > 0) return batch;
      await this.#change();
    }
    return undefined;
  }

  /** The last batch has been read. */
  done(): void {
    this.#reading = 0;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#wake?.();
  }

  #takeBatch(): SeenFile[] {
    const batch: SeenFile[] = [];
    const nowMs = this.#clock.wallNow();
    let bytes = 0;
    this.#nextInMs = LEFT_ALONE_MS;
    for (const [path, file] of this.#waiting) {
      const ageMs = nowMs - file.modifiedMs;
      // A time that is still to come says nothing of when it was set.
      if (ageMs >= 0 && ageMs < LEFT_ALONE_MS) {
        this.#nextInMs = Math.min(this.#nextInMs, LEFT_ALONE_MS - ageMs);
        continue;
      }
      this.#waiting.delete(path);
      batch.push(file);
      bytes += file.size;
      if (batch.length === BATCH_FILES || bytes >= BATCH_BYTES) break;
    }
    this.#reading = batch.length;
    return batch;
  }

  /** Until there are more, or those that wait have been left alone. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#timer?.cancel();
        resolve();
      };
      this.#wake = wake;
      if (this.#waiting.size > 0) this.#timer = this.#clock.after(this.#nextInMs, wake);
    });
  }
}
