/**
 * Lines from bytes that come in pieces.
 */

/** A line that is longer comes in pieces. */
const MAX_LINE = 64 * 1024;

export class TextLines {
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** Those that have ended by now. */
  push(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop()!;
    if (this.#rest.length > MAX_LINE) lines.push(...this.end());
    return lines.map((line) => line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  /** The one that has not, where there is one: no more comes of it. */
  end(): string[] {
    const rest = this.#rest;
    this.#rest = "";
    return rest === "" ? [] : [rest];
  }
}
