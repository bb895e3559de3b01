/**
 * The last lines of a log file and those that follow. The file may be cut at any time: what was in it is copied to an older
 * one and it is empty again; what nobody had read yet is then found in the older one, behind the last bytes that were read.
 *
 *   kcp.log    …│read│not read│  ──cut──▶  kcp.log.1  …│read│not read│   kcp.log  │
 *
 * It looks again and again: no way of being told of changes is there on every file system.
 */

import { delay } from "../../protocol/clock.ts";
import type { LogLinesOptions } from "./log_source.ts";
import { TextLines } from "./text_lines.ts";

const LOOK_EVERY_MS = 200;
const CHUNK_BYTES = 64 * 1024;
/** So many of the bytes that were read last tell where reading ended. */
const MARK_BYTES = 1024;

export interface LogFile {
  readonly path: string;
  readonly older: string;
}

export async function* fileLines(
  { path, older }: LogFile,
  { lines, follow, clock, signal }: LogLinesOptions,
): AsyncGenerator<string> {
  using reader = new LogFileReader();
  yield* await lastLines({ path, older }, lines, reader);
  if (!follow && lines > 0) yield* reader.end();
  while (follow) {
    signal.throwIfAborted();
    if (await reader.hasMoved(path)) {
      // What the file still had when it was cut or taken away, then the new one from its start.
      yield* reader.rest(older, signal);
      await reader.open(path);
    }
    yield* reader.lines(signal);
    await delay(clock, LOOK_EVERY_MS, signal);
  }
}

/** Those that have ended; reading goes on behind them. */
async function lastLines({ path, older }: LogFile, count: number, reader: LogFileReader): Promise<string[]> {
  if (!await reader.open(path)) return [];
  const found = await reader.skipTo(count);
  const missing = count - found.length;
  if (missing <= 0) return found;
  using before = new LogFileReader();
  return await before.open(older) ? [...await before.skipTo(missing), ...found] : found;
}

class LogFileReader implements Disposable {
  #file: Deno.FsFile | undefined;
  #inode: number | null = null;
  #offset = 0;
  /** When it was written to, as far as that was seen. */
  #changedMs: number | undefined;
  /** What was read last. */
  #mark = new Uint8Array(0);
  #text = new TextLines();

  /** From its start; gives whether it is there. */
  async open(path: string): Promise<boolean> {
    this.#close();
    try {
      this.#file = await Deno.open(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
    this.#inode = (await this.#file.stat()).ino;
    return true;
  }

  /** Whether what is there by now is another file, or the same that was cut and written again. */
  async hasMoved(path: string): Promise<boolean> {
    const info = await Deno.stat(path).catch(() => undefined);
    if (!info) return false; // it comes back, or nobody writes any more
    if (this.#file === undefined || info.ino !== this.#inode || info.size < this.#offset) return true;
    const changedMs = info.mtime?.getTime();
    if (info.size === this.#offset && changedMs === this.#changedMs) return false;
    this.#changedMs = changedMs;
    return !await this.#isWhole();
  }

  /** The last lines, as many as there are; reading goes on behind them. */
  async skipTo(count: number): Promise<string[]> {
    const end = (await this.#file!.stat()).size;
    let start = end;
    let bytes = new Uint8Array(0);
    // One line end more than lines: that of the line before.
    while (start > 0 && countLineEnds(bytes) <= count) {
      const from = Math.max(0, start - Math.max(CHUNK_BYTES, bytes.length));
      bytes = concat(await this.#readAt(from, start - from), bytes);
      start = from;
    }
    await this.#file!.seek(end, Deno.SeekMode.Start);
    this.#offset = end;
    this.#mark = bytes.slice(-MARK_BYTES);
    const lines = this.#text.push(bytes);
    return count === 0 ? [] : lines.slice(-count);
  }

  /** What there is to read by now, which never ends where it is written as fast. */
  async *lines(signal: AbortSignal): AsyncGenerator<string> {
    if (!this.#file) return;
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let count; (count = await this.#file.read(buffer)) !== null;) {
      const bytes = buffer.subarray(0, count);
      this.#offset += count;
      this.#mark = concat(this.#mark, bytes).slice(-MARK_BYTES);
      yield* this.#text.push(bytes);
      signal.throwIfAborted();
    }
  }

  /** What had not been read when the file was cut. */
  async *rest(older: string, signal: AbortSignal): AsyncGenerator<string> {
    if (!this.#file) return;
    const mark = this.#mark;
    if (await this.#isWhole()) yield* this.lines(signal);
    else if (mark.length > 0) {
      const bytes = await Deno.readFile(older).catch(() => new Uint8Array(0));
      const at = lastIndexOf(bytes, mark);
      if (at >= 0) yield* this.#text.push(bytes.subarray(at + mark.length));
    }
    yield* this.end();
  }

  /** A line that nobody will end. */
  end(): string[] {
    return this.#text.end();
  }

  /** Whether it still has what was read of it; reading goes on where it was. */
  async #isWhole(): Promise<boolean> {
    const read = await this.#readAt(this.#offset - this.#mark.length, this.#mark.length);
    await this.#file!.seek(this.#offset, Deno.SeekMode.Start);
    return read.length === this.#mark.length && read.every((byte, at) => byte === this.#mark[at]);
  }

  async #readAt(from: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.#file!.seek(from, Deno.SeekMode.Start);
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const count = await this.#file!.read(bytes.subarray(filled));
      if (count === null) break; // it was cut meanwhile
      filled += count;
    }
    return bytes.slice(0, filled);
  }

  #close(): void {
    this.#file?.close();
    this.#file = undefined;
    this.#offset = 0;
    this.#mark = new Uint8Array(0);
    this.#text = new TextLines();
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}

function countLineEnds(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count++;
  return count;
}

function lastIndexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  const last = wanted[wanted.length - 1]!;
  for (let end = bytes.lastIndexOf(last); end >= wanted.length - 1; end = bytes.lastIndexOf(last, end - 1)) {
    const at = end - wanted.length + 1;
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
    if (end === 0) break;
  }
  return -1;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
