/**
 * Server-sent events: named messages over an HTTP answer that does not end. HTML Living Standard §9.2.
 *
 *   event: joined\ndata: {…}\n\n        lines end in \n, \r\n or \r; an empty line ends an event
 *   : anything\n                        a comment, which keeps the connection in use
 *
 * `EventStreamReader` takes text in whatever pieces and never holds more than a bound: an event longer than that is
 * `undefined` from then on, and so is everything after it. `id` and `retry` are read and not used.
 */

export const EVENT_STREAM_TYPE = "text/event-stream";

/** A comment, to be sent now and then. */
export const KEEP_ALIVE = ":\n\n";

export interface StreamEvent {
  /** `message` where none is named. */
  readonly event: string;
  readonly data: string;
}

/** `event` is one line; `data` may be several. */
export function formatStreamEvent({ event, data }: StreamEvent): string {
  return `event: ${event}\ndata: ${data.replace(/\r\n|\r|\n/g, "\ndata: ")}\n\n`;
}

const DEFAULT_MAX_CHARACTERS = 64 * 1024;

export class EventStreamReader {
  readonly #maxCharacters: number;
  #rest = "";
  #event = "";
  #data: string | undefined;
  #isFirst = true;
  #isBroken = false;

  /** `maxCharacters` of an event, and of a line. */
  constructor(maxCharacters = DEFAULT_MAX_CHARACTERS) {
    this.#maxCharacters = maxCharacters;
  }

  /** The events that end in this piece; undefined once one was too long. */
  push(text: string): StreamEvent[] | undefined {
    if (this.#isBroken) return undefined;
    if (this.#isFirst && text !== "") {
      this.#isFirst = false;
      text = text.replace(/^\uFEFF/, "");
    }
    // A \r at the end may be the first half of a line's end: it waits for what comes.
    const whole = this.#rest + text;
    const end = whole.endsWith("\r") ? whole.length - 1 : whole.length;
    const lines = whole.slice(0, end).split(/\r\n|\r|\n/);
    this.#rest = lines.pop()! + whole.slice(end);
    const events: StreamEvent[] = [];
    for (const line of lines) {
      const event = this.#take(line);
      if (event) events.push(event);
    }
    if (this.#rest.length + (this.#data?.length ?? 0) > this.#maxCharacters) this.#isBroken = true;
    return this.#isBroken ? undefined : events;
  }

  #take(line: string): StreamEvent | undefined {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "event") this.#event = value;
    if (name === "data") this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    if ((this.#data?.length ?? 0) > this.#maxCharacters) this.#isBroken = true;
    return undefined;
  }

  #end(): StreamEvent | undefined {
    const [event, data] = [this.#event, this.#data];
    this.#event = "";
    this.#data = undefined;
    return data === undefined ? undefined : { event: event || "message", data };
  }
}
