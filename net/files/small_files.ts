/**
 * Small files that were asked for a moment ago, with the answers they got: for pages of many pictures, and folders of many notes.
 *
 *   asked again within a second, and the file is as it was ─▶ the same bytes, after one look at it instead of seven calls
 *
 * Only files that had been left alone for seconds are kept, so that whoever writes to one leaves another time behind. After a
 * second everything is asked anew: whether it still lies in the shared folder, too.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { FileState } from "./open_file.ts";

/** An answer to a plain `GET`, ready for a connection that goes on; a Response as far as its head goes. */
export class WholeAnswer extends Response {
  /** The head, with the length and the empty line. */
  readonly head: string;
  /** Head and content. */
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly size: number;

  constructor(headers: Record<string, string>, content: Uint8Array) {
    super(null, { headers });
    let head = "HTTP/1.1 200 OK\r\n";
    for (const [name, value] of Object.entries(headers)) if (name !== "content-length") head += `${name}: ${value}\r\n`;
    this.head = `${head}content-length: ${content.length}\r\n\r\n`;
    const start = new TextEncoder().encode(this.head);
    this.wire = new Uint8Array(start.length + content.length);
    this.wire.set(start);
    this.wire.set(content, start.length);
    this.size = content.length;
  }

  /** The same, for a connection that is closed after it. */
  get lastWire(): Uint8Array<ArrayBuffer> {
    const start = new TextEncoder().encode(this.head.replace("\r\n", "\r\nconnection: close\r\n"));
    const content = this.wire.subarray(this.wire.length - this.size);
    const bytes = new Uint8Array(start.length + content.length);
    bytes.set(start);
    bytes.set(content, start.length);
    return bytes;
  }
}

interface Kept {
  readonly answer: WholeAnswer;
  readonly state: FileState;
  readonly untilMs: number;
}

const KEPT_MS = 1000;
/** What is kept beside the bytes: the headers, the state, the places in memory. */
const ENTRY_BYTES = 4096;
/** All together. */
const MAX_BYTES = 16 * 1024 * 1024;

export class SmallFiles {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The answer that was kept under that key, if the file is as it was. */
  find(key: string, fullPath: string): WholeAnswer | undefined {
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    if (this.#clock.now() < kept.untilMs && isAsItWas(fullPath, kept.state)) return kept.answer;
    this.#drop(key, kept);
    return undefined;
  }

  keep(key: string, state: FileState, answer: WholeAnswer): void {
    const before = this.#kept.get(key);
    if (before) this.#drop(key, before);
    this.#kept.set(key, { answer, state, untilMs: this.#clock.now() + KEPT_MS });
    this.#bytes += costOf(key, answer);
    for (const [oldest, kept] of this.#kept) {
      if (this.#bytes <= MAX_BYTES) return;
      this.#drop(oldest, kept);
    }
  }

  #drop(key: string, { answer }: Kept): void {
    this.#kept.delete(key);
    this.#bytes -= costOf(key, answer);
  }
}

function costOf(key: string, { wire }: WholeAnswer): number {
  return wire.length + key.length + ENTRY_BYTES;
}

function isAsItWas(path: string, state: FileState): boolean {
  try {
    const { size, mtime, ctime, dev, ino } = Deno.statSync(path);
    return size === state.size && dev === state.device && ino === state.inode &&
      mtime?.getTime() === Math.trunc(state.modifiedMs) && ctime?.getTime() === Math.trunc(state.changedMs);
  } catch {
    return false; // it is gone
  }
}
