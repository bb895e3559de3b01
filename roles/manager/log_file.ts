/**
 * Keeps the log of a service within its bound. The service itself writes it, by a descriptor that stays open (`own_process.ts`),
 * so it cannot be moved away; its end is copied and the file cut to nothing.
 *
 *   <name>.log ─ beyond the bound ─▶ its last bytes to <name>.log.1, in place of those before ─▶ cut to nothing
 *
 * Lines that are written in the instant between the copy and the cut are lost, as are those that come faster than they are
 * copied. It is looked at more often the faster it grows.
 * Somebody who moves or removes the file takes the service's descriptor with it: that is told, and the file that it still
 * writes is cut by way of /proc. Another manager, which has not seen the file before that, does not know it.
 *
 * On a full disk the service goes on without its log; that is told once, and once when it is over.
 */

import { statfsSync } from "node:fs";
import { removeIfThere } from "../../native/remove_if_there.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { writeAll } from "../../protocol/stream.ts";

export interface LogFileOptions {
  readonly name: string;
  readonly path: string;
  /** Who writes it, as its standard output. */
  readonly writerPid?: number;
  /** As much again is kept in the older file. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly log: Log;
}

const SOONEST_MS = 100;
const LATEST_MS = 10_000;
const COPY_BYTES = 256 * 1024;

/** What was written before the last cut. */
export function olderLogOf(path: string): string {
  return `${path}.1`;
}

export class LogFile implements AsyncDisposable {
  readonly #options: LogFileOptions;
  /** Which file the service was given; undefined where there was none. */
  readonly #given: string | undefined;
  #timer: Timer | undefined;
  #intervalMs = SOONEST_MS;
  #seenBytes = 0;
  #isDiskFull = false;
  #isAway = false;
  #looking: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#given = identityOf(options.path);
    this.#seenBytes = sizeOf(options.path);
    this.#lookAgain();
  }

  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /** Never rejects. */
  look(): Promise<void> {
    return this.#looking ??= this.#look().finally(() => this.#looking = undefined);
  }

  /** Looks once more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#looking;
    await this.look();
  }

  async #look(): Promise<void> {
    const { maxBytes } = this.#options;
    const path = this.#whereItIs();
    const bytes = sizeOf(path);
    this.#lookAtDisk();
    this.#intervalMs = nextLookMs(this.#intervalMs, bytes - this.#seenBytes, maxBytes - bytes);
    this.#seenBytes = bytes;
    if (bytes <= maxBytes) return;
    try {
      await this.#cut(path, bytes);
      this.#seenBytes = 0;
    } catch (error) {
      this.#options.log.warn("A log is too long and cannot be cut", { ...this.#words, error: messageOf(error) });
    }
  }

  #lookAgain(): void {
    this.#timer = this.#options.clock.after(this.#intervalMs, async () => {
      await this.look();
      if (!this.#isClosed) this.#lookAgain();
    });
  }

  /** `place`: where the file is to be had now. */
  async #cut(place: string, bytes: number): Promise<void> {
    const { path, maxBytes } = this.#options;
    using file = await Deno.open(place, { read: true, write: true });
    const temp = `${olderLogOf(path)}.tmp`;
    try {
      await copyEnd(file, temp, { from: bytes - maxBytes, bytes: maxBytes });
      await Deno.rename(temp, olderLogOf(path));
    } catch (error) {
      // A full disk, most likely, and this log may be why: the bound holds, whatever is lost.
      await Promise.all([temp, olderLogOf(path)].map(removeIfThere));
      this.#options.log.warn("The end of a log is lost", { ...this.#words, error: messageOf(error) });
    }
    file.truncateSync(0);
  }

  /** Its path, unless the service's output goes on into the same file while that is somewhere else. */
  #whereItIs(): string {
    const { path, writerPid, log } = this.#options;
    const output = `/proc/${writerPid}/fd/1`;
    const isAway = this.#given !== undefined && identityOf(path) !== this.#given && identityOf(output) === this.#given;
    if (isAway && !this.#isAway) {
      log.warn("A log was moved or removed; its service writes there until it is restarted", this.#words);
    }
    this.#isAway = isAway;
    return isAway ? output : path;
  }

  #lookAtDisk(): void {
    const { path, log } = this.#options;
    const isFull = hasNoRoom(path);
    if (isFull === this.#isDiskFull) return;
    this.#isDiskFull = isFull;
    if (isFull) log.warn("The disk is full; the service goes on without its log", this.#words);
    else log.info("The disk has room again for the log", this.#words);
  }

  get #words(): { readonly service: string; readonly path: string } {
    return { service: this.#options.name, path: this.#options.path };
  }
}

/** Twice on the way to the bound, at the speed at which it grew in the last pause. */
export function nextLookMs(lastMs: number, grownBytes: number, roomBytes: number): number {
  const fullInMs = grownBytes > 0 ? Math.max(0, roomBytes) / grownBytes * lastMs : Infinity;
  return Math.min(LATEST_MS, lastMs * 2, Math.max(SOONEST_MS, fullInMs / 2));
}

/** Copies so many bytes, and what is added meanwhile, as far as one more piece holds it. */
async function copyEnd(
  file: Deno.FsFile,
  to: string,
  { from, bytes }: { readonly from: number; readonly bytes: number },
): Promise<void> {
  const { mode, uid, gid } = await file.stat();
  using copy = await Deno.open(to, { write: true, create: true, truncate: true, mode: (mode ?? 0o640) & 0o777 });
  if (Deno.uid() === 0) await Deno.chown(to, uid, gid);
  const piece = new Uint8Array(COPY_BYTES);
  await file.seek(from, Deno.SeekMode.Start);
  for (let left = bytes; left > 0;) {
    const count = await file.read(piece.subarray(0, Math.min(left, piece.length)));
    if (count === null) return;
    await writeAll(copy, piece.subarray(0, count));
    left -= count;
  }
  // At once from here to the cut, so that little can come in between.
  const count = file.readSync(piece) ?? 0;
  for (let at = 0; at < count;) at += copy.writeSync(piece.subarray(at, count));
}

/** Undefined for what is not there, or may not be looked at. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** None for a file that is not there: it could not be opened. */
function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function hasNoRoom(path: string): boolean {
  try {
    return statfsSync(path).bavail === 0;
  } catch {
    return false;
  }
}
