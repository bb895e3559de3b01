/**
 * The lines that the UAPI is made of, out of bytes as they come. What is kept between two pieces is one line and no
 * longer than any line of the protocol; a longer one is reported and skipped, however long it is.
 */

import { type Cidr, parseCidr } from "../ip.ts";

/** The longest field is a key's: 78 bytes. The rest is room for fields to come. */
export const MAX_LINE_BYTES = 512;

const LF = 0x0a;

export class LineReader {
  readonly #pending = new Uint8Array(MAX_LINE_BYTES);
  #length = 0;
  #isSkipping = false;
  readonly #decoder = new TextDecoder();

  /** The lines that end in these bytes, without their end; undefined for one as soon as it is too long. */
  *read(bytes: Uint8Array): Generator<string | undefined> {
    for (let start = 0;;) {
      const end = bytes.indexOf(LF, start);
      const isTooLong = !this.#append(bytes.subarray(start, end < 0 ? bytes.length : end));
      if (isTooLong && !this.#isSkipping) yield undefined;
      this.#isSkipping ||= isTooLong;
      if (end < 0) return;
      if (!this.#isSkipping) yield this.#decoder.decode(this.#pending.subarray(0, this.#length));
      this.#length = 0;
      this.#isSkipping = false;
      start = end + 1;
    }
  }

  #append(piece: Uint8Array): boolean {
    if (this.#length + piece.length > MAX_LINE_BYTES) return false;
    this.#pending.set(piece, this.#length);
    this.#length += piece.length;
    return true;
  }
}

export interface Field {
  readonly name: string;
  readonly value: string;
}

/** The halves of `name=value`. */
export function fieldOf(line: string): Field | undefined {
  const equals = line.indexOf("=");
  return equals < 0 ? undefined : { name: line.slice(0, equals), value: line.slice(equals + 1) };
}

/** A network; unlike elsewhere the number of its bits must be there. */
export function networkFrom(value: string): Cidr | undefined {
  return value.includes("/") ? parseCidr(value) : undefined;
}
