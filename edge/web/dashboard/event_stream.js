/**
 * Server-sent events out of a stream of bytes (the HTML standard's `text/event-stream`), because the browser's own
 * EventSource sends no `Authorization`.
 *
 *   event: NAME ⏎ data: TEXT ⏎ … ⏎ (an empty line ends it); a line that begins with a colon is a sign of life
 */

/** What is longer than this is no event of ours. */
const MOST_CHARACTERS = 8 << 20;

/** @typedef {{ name: string, data: string }} StreamEvent */

export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  #name = "";
  /** @type {string[]} */
  #data = [];

  /**
   * The events that are whole now.
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @returns {StreamEvent[]}
   */
  push(bytes) {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    const held = this.#rest.length + this.#data.reduce((sum, each) => sum + each.length, 0);
    if (held > MOST_CHARACTERS) throw new Error("Cannot read events: one must not be longer than 8 MiB");
    return lines.flatMap((line) => this.#take(line.endsWith("\r") ? line.slice(0, -1) : line));
  }

  /**
   * @param {string} line
   * @returns {StreamEvent[]}
   */
  #take(line) {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    if (field === "data") this.#data.push(value);
    return [];
  }

  #end() {
    const events = this.#data.length === 0 ? [] : [{ name: this.#name || "message", data: this.#data.join("\n") }];
    this.#name = "";
    this.#data = [];
    return events;
  }
}
