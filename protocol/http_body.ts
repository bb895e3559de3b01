/**
 * Where the body of an HTTP/1.1 message ends, RFC 9112 §6 and §7.
 *
 * `requestFraming` and `responseFraming` decide how it is delimited and refuse whatever two servers could read in two
 * ways: Content-Length together with Transfer-Encoding, lengths that differ, codings other than plain `chunked`.
 * `ChunkedDecoder` takes the chunked coding off, in place; chunk extensions are dropped, trailers kept.
 */

import { type Field, parseFieldLines, type RequestHead, type ResponseHead, tokensOf, valuesOf } from "./http_head.ts";

/** What delimits the body of a message. */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** Until the connection ends; responses only. */
  | { readonly kind: "close" }
  | { readonly kind: "bad"; readonly reason: string };

const NONE: Framing = { kind: "none" };

export function requestFraming(head: RequestHead): Framing {
  return delimited(head) ?? NONE;
}

export function responseFraming(head: ResponseHead, requestMethod: string): Framing {
  const { status } = head;
  if (requestMethod === "HEAD" || status < 200 || status === 204 || status === 304) return NONE;
  return delimited(head) ?? { kind: "close" };
}

function delimited(head: RequestHead | ResponseHead): Framing | undefined {
  const lengths = valuesOf(head.fields, "content-length");
  const codings = tokensOf(head.fields, "transfer-encoding");
  const coded = valuesOf(head.fields, "transfer-encoding").length > 0;
  if (coded) {
    if (lengths.length > 0) return { kind: "bad", reason: "Content-Length together with Transfer-Encoding" };
    if (head.minor === 0) return { kind: "bad", reason: "Transfer-Encoding in HTTP/1.0" };
    if (codings.length === 1 && codings[0] === "chunked") return { kind: "chunked" };
    return { kind: "bad", reason: "a transfer coding other than chunked" };
  }
  if (lengths.length === 0) return undefined;
  const [length] = lengths;
  // Fifteen digits stay exact in a double.
  if (!/^\d{1,15}$/.test(length!) || lengths.some((other) => other !== length)) {
    return { kind: "bad", reason: "malformed or differing Content-Length" };
  }
  return { kind: "length", bytes: Number(length) };
}

/** Digits enough for 4 PiB, and exact in a double. */
const MAX_SIZE_DIGITS = 13;
const MAX_EXTENSION_BYTES = 4096;
const MAX_TRAILER_BYTES = 8192;

const CR = 13;
const LF = 10;
const SEMICOLON = 59;
const SPACE = 32;
const TAB = 9;

type State = "size" | "extension" | "size_lf" | "data" | "data_cr" | "data_lf" | "trailer" | "finished" | "bad";

/**
 * Takes the chunked coding off a stream of bytes, a buffer at a time. After each `decode`, the data found lies from
 * `start` to `dataEnd` of the same buffer, and bytes from `next` on were not looked at: they follow the body.
 */
export class ChunkedDecoder {
  #state: State = "size";
  #digits = 0;
  #remaining = 0;
  #extensionBytes = 0;
  #trailer = "";
  #trailers: readonly Field[] = [];
  dataEnd = 0;
  next = 0;

  /** True after the last chunk and its trailers. */
  get finished(): boolean {
    return this.#state === "finished";
  }

  /** What came after the last chunk. */
  get trailers(): readonly Field[] {
    return this.#trailers;
  }

  /** Decodes `bytes` from `start` to `end` in place; false when they are malformed, and from then on. */
  decode(bytes: Uint8Array, start: number, end: number): boolean {
    let at = start;
    let dataEnd = start;
    while (at < end && this.#state !== "finished") {
      if (this.#state === "data") {
        const count = Math.min(this.#remaining, end - at);
        if (dataEnd !== at) bytes.copyWithin(dataEnd, at, at + count);
        dataEnd += count;
        at += count;
        this.#remaining -= count;
        if (this.#remaining === 0) this.#state = "data_cr";
      } else {
        this.#state = this.#state === "trailer" ? this.#trailerByte(bytes[at]!) : this.#frameByte(bytes[at]!);
        if (this.#state === "bad") return false;
        at++;
      }
    }
    this.dataEnd = dataEnd;
    this.next = at;
    return true;
  }

  #frameByte(byte: number): State {
    switch (this.#state) {
      case "size":
        return this.#sizeByte(byte);
      case "extension":
        if (byte === CR) return "size_lf";
        // A stranger's extensions mean nothing here, but they may not hide a line end, nor go on for ever.
        return isText(byte) && ++this.#extensionBytes <= MAX_EXTENSION_BYTES ? "extension" : "bad";
      case "size_lf":
        if (byte !== LF) return "bad";
        this.#digits = 0;
        this.#extensionBytes = 0;
        return this.#remaining === 0 ? "trailer" : "data";
      case "data_cr":
        return byte === CR ? "data_lf" : "bad";
      case "data_lf":
        return byte === LF ? "size" : "bad";
      default:
        return "bad";
    }
  }

  #sizeByte(byte: number): State {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > MAX_SIZE_DIGITS) return "bad";
      this.#remaining = this.#remaining * 16 + digit;
      return "size";
    }
    if (this.#digits === 0) return "bad";
    if (byte === CR) return "size_lf";
    return byte === SEMICOLON ? "extension" : "bad";
  }

  #trailerByte(byte: number): State {
    this.#trailer += String.fromCharCode(byte);
    if (this.#trailer.length > MAX_TRAILER_BYTES) return "bad";
    if (byte !== LF) return "trailer";
    if (this.#trailer !== "\r\n" && !this.#trailer.endsWith("\r\n\r\n")) return "trailer";
    const trailers = parseFieldLines(this.#trailer.slice(0, -2));
    if (!trailers) return "bad";
    this.#trailers = trailers;
    return "finished";
  }
}

/** Room that `frameChunk` needs before and after the data. */
export const CHUNK_LEAD_BYTES = 16;
export const CHUNK_TAIL_BYTES = 2;

/**
 * Turns the data from `start` to `end` into one chunk by writing its size before it and CRLF after it, and gives the
 * whole; the bytes there are overwritten.
 */
export function frameChunk<T extends ArrayBufferLike>(bytes: Uint8Array<T>, start: number, end: number): Uint8Array<T> {
  let at = start;
  bytes[--at] = LF;
  bytes[--at] = CR;
  for (const digit of [...(end - start).toString(16)].reverse()) bytes[--at] = digit.charCodeAt(0);
  bytes[end] = CR;
  bytes[end + 1] = LF;
  return bytes.subarray(at, end + 2);
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function isText(byte: number): boolean {
  return byte === TAB || (byte >= SPACE && byte !== 0x7f);
}
