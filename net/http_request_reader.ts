/**
 * The requests that come one after the other on a connection. What has been read beyond one belongs to the next. One buffer,
 * as large as a head may be, serves them all.
 */

import { parseRequestHead, type RequestHead } from "../protocol/http_head.ts";
import { readFull, type Stream } from "../protocol/stream.ts";

const FIRST_BYTES = 4 * 1024;
const MAX_HEAD_BYTES = 16 * 1024;

export class HttpRequestReader {
  readonly #stream: Pick<Stream, "read">;
  #buffer = new Uint8Array(FIRST_BYTES);
  /** What was read and not used. */
  #from = 0;
  #to = 0;
  #headFrom = 0;

  constructor(stream: Pick<Stream, "read">) {
    this.#stream = stream;
  }

  /** The next head; undefined when there is none any more; a text that says what is wrong with it. */
  async head(): Promise<RequestHead | string | undefined> {
    let scanned = 0;
    for (;;) {
      if (this.#to > this.#from + scanned) {
        const parsed = parseRequestHead(this.#buffer.subarray(this.#from, this.#to), scanned);
        if (parsed.status === "bad") return parsed.reason;
        if (parsed.status === "done") {
          this.#headFrom = this.#from;
          this.#from += parsed.length;
          return parsed.value;
        }
        scanned = this.#to - this.#from;
      }
      if (scanned >= MAX_HEAD_BYTES) return "the head is too large";
      this.#makeRoom();
      const count = await this.#stream.read(this.#buffer.subarray(this.#to));
      if (count === null) return undefined;
      this.#to += count;
    }
  }

  /** What was read and not used, with the last head before it if it is asked for; good until the next call. */
  unused({ withHead }: { readonly withHead: boolean }): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(withHead ? this.#headFrom : this.#from, this.#to);
  }

  /** So many bytes that follow a head; undefined if the connection ends before. */
  async body(length: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (length === 0) return EMPTY;
    const body = new Uint8Array(length);
    const known = this.#buffer.subarray(this.#from, Math.min(this.#to, this.#from + length));
    body.set(known);
    this.#from += known.length;
    return known.length === length || await readFull(this.#stream, body.subarray(known.length)) ? body : undefined;
  }

  /** There is room for at least one byte afterwards. */
  #makeRoom(): void {
    if (this.#from === this.#to) this.#from = this.#to = 0;
    if (this.#to < this.#buffer.length) return;
    const rest = this.#buffer.subarray(this.#from, this.#to);
    const larger = rest.length < this.#buffer.length / 2 ? this.#buffer.length : 2 * this.#buffer.length;
    const buffer = new Uint8Array(Math.min(larger, 2 * MAX_HEAD_BYTES));
    buffer.set(rest);
    this.#to = rest.length;
    this.#from = 0;
    this.#buffer = buffer;
  }
}

const EMPTY = new Uint8Array();
