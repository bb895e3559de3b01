/**
 * The bytes of a file as the body of an answer: one part of it, or several with heads between them.
 *
 *   pull ─▶ wait for the rate ─▶ read 256 KiB, or a buffer ─▶ give it on   nothing is read before it is wanted
 *
 * Reads wait for nothing when the file is in the system's cache, and are then made at once, on this thread: that is several
 * times as fast. When one took long, the disk is being waited for: the next ones are made elsewhere, for as long as that lasts.
 *
 * What is sent is one state of the file, whole, or the answer breaks off: a file that has become shorter, or was written to
 * since it was opened, ends it as an error before its last bytes. A file put in its place under the same name changes nothing:
 * what is open is sent to its end.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { ByteRange } from "../../protocol/files/byte_ranges.ts";
import type { Stream } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import type { Transfer } from "./file_limits.ts";
import type { OpenFile } from "./open_file.ts";

/** What is sent one after the other. */
export type BodyPart = ByteRange | Uint8Array<ArrayBuffer>;

export interface FileBodyOptions {
  readonly clock: Clock;
  /** Ended with the body. */
  readonly transfer: Transfer;
  /** Called once, with the bytes that were given on, and whether that was all. */
  readonly onEnd?: ((bytes: number, isWhole: boolean) => void) | undefined;
}

const CHUNK_BYTES = 256 * 1024;
/** A read from the cache takes about 0.05 ms. */
const SLOW_READ_MS = 4;
/** So many reads are made elsewhere after a slow one. */
const PATIENT_READS = 16;
/** Now and then the file is looked at, so that nobody downloads gigabytes of what has changed. */
const BYTES_BETWEEN_LOOKS = 32 * 1024 * 1024;

/** Takes over the file and the transfer. */
export class FileBody {
  readonly #file: OpenFile;
  readonly #options: FileBodyOptions;
  readonly #parts: readonly BodyPart[];
  readonly #over = new AbortController();
  #controller: ReadableByteStreamController | undefined;
  /** Ends what it is being sent to. */
  #cut: (() => void) | undefined;
  #part = 0;
  #at: number;
  #sentBytes = 0;
  #unlookedBytes = 0;
  #patientReads = 0;
  #ended = false;

  constructor(file: OpenFile, parts: readonly BodyPart[], options: FileBodyOptions) {
    this.#file = file;
    this.#parts = parts;
    this.#options = options;
    this.#at = startOf(parts[0]);
  }

  /** To be asked for once, and not with `sendTo`. */
  get stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#pull(),
      cancel: () => this.#end(false),
    });
  }

  /**
   * Writes all of it to a socket, read into one buffer again and again: half the work of the stream. Rejects when it breaks off;
   * then the socket has been closed, since what was said of the length is no longer true.
   */
  async sendTo(socket: Pick<Stream, "write" | "close">, buffer: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#cut = () => closeQuietly(socket);
    try {
      while (!this.#ended) {
        const part = this.#parts[this.#part];
        if (part === undefined) return this.#end(true);
        this.#options.transfer.touch();
        const bytes = part instanceof Uint8Array ? part : await this.#read(part, buffer);
        if (!bytes) break;
        await this.#write(socket, bytes);
        this.#passed(bytes.length);
      }
      throw brokenOff("it has ended before its last byte");
    } catch (error) {
      this.#end(false);
      closeQuietly(socket);
      throw error;
    }
  }

  /** Who takes a little now and then has not gone. */
  async #write(socket: Pick<Stream, "write">, bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length; this.#options.transfer.touch()) {
      written += await socket.write(written === 0 ? bytes : bytes.subarray(written));
    }
  }

  /** Breaks it off. */
  fail(reason: string): void {
    if (this.#ended) return;
    this.#end(false);
    this.#controller?.error(brokenOff(reason));
    this.#cut?.();
  }

  /** The next bytes of a part, in the buffer; undefined once it has failed. */
  async #read(part: ByteRange, buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { clock, transfer } = this.#options;
    const into = buffer.subarray(0, Math.min(part.end - this.#at, buffer.length, transfer.maxChunkBytes));
    const waitMs = transfer.take(into.length);
    if (waitMs > 0) await delay(clock, waitMs, this.#over.signal);
    const count = this.#patientReads > 0 ? await this.#readPatiently(into) : this.#readQuickly(into);
    return count !== undefined && this.#isFit(count) ? into.subarray(0, count) : undefined;
  }

  async #readPatiently(into: Uint8Array<ArrayBuffer>): Promise<number | undefined> {
    this.#patientReads--;
    const count = await this.#file.read(into, this.#at);
    return this.#ended ? undefined : count;
  }

  #readQuickly(into: Uint8Array<ArrayBuffer>): number | undefined {
    const { clock } = this.#options;
    const startMs = clock.now();
    const count = this.#attempt(() => this.#file.readSync(into, this.#at));
    if (clock.now() - startMs > SLOW_READ_MS) this.#patientReads = PATIENT_READS;
    return count;
  }

  #pull(): Promise<void> | void {
    const part = this.#parts[this.#part];
    const { transfer } = this.#options;
    transfer.touch();
    if (part === undefined) return this.#finish();
    if (part instanceof Uint8Array) return this.#give(part.slice(), part.length);
    const length = Math.min(part.end - this.#at, CHUNK_BYTES, transfer.maxChunkBytes);
    const waitMs = transfer.take(length);
    if (waitMs > 0 || this.#patientReads > 0) return this.#readLater(length, waitMs);
    this.#readAtOnce(length);
  }

  #readAtOnce(length: number): void {
    const buffer = new Uint8Array(length);
    const count = this.#readQuickly(buffer);
    if (count !== undefined) this.#check(buffer, count);
  }

  async #readLater(length: number, waitMs: number): Promise<void> {
    const { clock, transfer } = this.#options;
    try {
      if (waitMs > 0) await delay(clock, waitMs, this.#over.signal);
      if (this.#patientReads === 0) return this.#readAtOnce(length);
      const buffer = new Uint8Array(length);
      const count = await this.#readPatiently(buffer);
      if (count === undefined) return;
      transfer.touch();
      this.#check(buffer, count);
    } catch {
      this.fail("it cannot be read any more");
    }
  }

  #attempt(read: () => number): number | undefined {
    try {
      return read();
    } catch {
      this.fail("it cannot be read any more");
      return undefined;
    }
  }

  #check(buffer: Uint8Array<ArrayBuffer>, count: number): void {
    if (this.#isFit(count)) this.#give(count === buffer.length ? buffer : buffer.subarray(0, count), count);
  }

  /** Whether so many bytes that were read may go out; otherwise it has failed. */
  #isFit(count: number): boolean {
    const part = this.#parts[this.#part] as ByteRange;
    this.#unlookedBytes += count;
    const isLast = this.#at + count === part.end && this.#part >= this.#lastRange();
    const isDue = isLast || this.#unlookedBytes >= BYTES_BETWEEN_LOOKS;
    if (count === 0) this.fail("it has become shorter");
    else if (isDue && !this.#isUnchanged()) this.fail("it has been written to");
    return !this.#ended;
  }

  #isUnchanged(): boolean {
    this.#unlookedBytes = 0;
    return this.#attempt(() => this.#file.isUnchanged() ? 1 : 0) === 1;
  }

  #lastRange(): number {
    return this.#parts.findLastIndex((part) => !(part instanceof Uint8Array));
  }

  #give(bytes: Uint8Array<ArrayBuffer>, count: number): void {
    this.#passed(count);
    this.#controller!.enqueue(bytes);
    if (this.#part === this.#parts.length) this.#finish();
  }

  #passed(count: number): void {
    const part = this.#parts[this.#part]!;
    this.#sentBytes += count;
    this.#at += count;
    if (part instanceof Uint8Array || this.#at === part.end) this.#at = startOf(this.#parts[++this.#part]);
  }

  #finish(): void {
    if (this.#ended) return;
    this.#end(true);
    this.#controller!.close();
  }

  #end(isWhole: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#over.abort();
    this.#file[Symbol.dispose]();
    this.#options.transfer[Symbol.dispose]();
    this.#options.onEnd?.(this.#sentBytes, isWhole);
  }
}

function brokenOff(why: string): CulvertError {
  return new CulvertError("broken_off", `Cannot send the file: ${why}`);
}

function startOf(part: BodyPart | undefined): number {
  return part === undefined || part instanceof Uint8Array ? 0 : part.start;
}
