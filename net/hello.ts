/**
 * The page `http://hello.culvert/`: an egress answers it itself and tells which way the request came.
 *
 *   dial hello.culvert:80 ─▶ memory stream ─▶ a small HTTP/1.1 responder with the trail of hops
 *   dial anything else    ─▶ the inner Path, its own Stream, without the trail
 *
 * The responder knows GET and HEAD, keep-alive and nothing else (RFC 9112 §9.3): any request with a body is answered
 * and the connection closed, as the body is not read. The hops' texts come from other machines: they are cut to size,
 * stripped of whatever a terminal might obey, and escaped in HTML.
 */

import { type Clock, clockOf, type Timer } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";
import {
  type Datagrams,
  type DialOptions,
  type Hop,
  type Path,
  type Stream,
  type Target,
  writeAll,
} from "../protocol/stream.ts";
import { htmlPage, jsonPage, textPage, type Travel } from "./hello_page.ts";
import { memoryStreamPair } from "./memory.ts";

/** What the page needs. */
export interface HelloOptions {
  /** Where time comes from. Default: the host's. */
  readonly clock?: Clock;
  /** How the page calls this place. Default: the egress, where traffic leaves. */
  readonly hop?: Hop;
}

/** A top-level name of our own that no DNS has; only `hello` means anything so far. */
const OUR_NAME = /\.culvert\.?$/i;
const HELLO_NAME = /^hello\.culvert\.?$/i;
const HELLO_PORT = 80;
const EGRESS_HOP: Hop = { name: "egress", at: "this is where traffic leaves" };

/** A request head beyond this is not from a person with a browser. */
const MAX_HEAD_BYTES = 8 * 1024;
/** Connections answered at once; beyond it `busy`. No policy caps them, and each costs three small buffers. */
const MAX_ANSWERING = 1024;
const PIPE_BYTES = 4 * 1024;
/** Between requests, and for the whole of one head. */
const IDLE_MS = 10_000;

/** The egress Path with the answer to `hello.culvert` added. Closing it closes the inner Path. */
export function withHello(path: Path, options: HelloOptions = {}): Path {
  return new HelloPath(path, options);
}

class HelloPath implements Path {
  readonly #inner: Path;
  readonly #clock: Clock;
  readonly #hop: Hop;
  readonly #answering = new Set<Stream>();
  #closed = false;
  declare readonly datagrams?: (options?: DialOptions) => Promise<Datagrams>;

  constructor(inner: Path, options: HelloOptions) {
    this.#inner = inner;
    this.#clock = options.clock ?? clockOf(globalThis);
    this.#hop = options.hop ?? EGRESS_HOP;
    if (inner.datagrams) this.datagrams = (options) => inner.datagrams!(withoutTrail(options));
  }

  dial(target: Target, options?: DialOptions): Promise<Stream> {
    if (!OUR_NAME.test(target.host)) return this.#inner.dial(target, withoutTrail(options));
    if (!HELLO_NAME.test(target.host)) {
      return Promise.reject(new DialError("unresolved", "Cannot dial: the only name under .culvert is hello.culvert"));
    }
    if (target.port !== HELLO_PORT) {
      return Promise.reject(new DialError("refused", `Cannot dial: hello.culvert answers on port ${HELLO_PORT} only`));
    }
    if (options?.signal?.aborted) return Promise.reject(new DialError("failed", "Cannot dial: it was given up"));
    if (this.#closed) return Promise.reject(new DialError("path_down", "Cannot dial: the egress has closed"));
    if (this.#answering.size >= MAX_ANSWERING) {
      return Promise.reject(new DialError("busy", "Cannot dial: hello.culvert is answering as many as it can"));
    }
    return Promise.resolve(this.#answer([...options?.trail ?? [], this.#hop]));
  }

  close(): void {
    this.#closed = true;
    for (const stream of this.#answering) stream.close();
    this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #answer(hops: readonly Hop[]): Stream {
    const [near, far] = memoryStreamPair(PIPE_BYTES);
    this.#answering.add(far);
    void new Responder(far, hops, this.#clock).run().finally(() => this.#answering.delete(far));
    return near;
  }
}

/** The trail is for the page alone: no other host shall be told where a request came from. */
function withoutTrail(options: DialOptions | undefined): DialOptions | undefined {
  if (options?.trail === undefined) return options;
  return options.signal ? { signal: options.signal } : undefined;
}

/** Answers the requests of one connection. */
class Responder {
  readonly #stream: Stream;
  readonly #hops: readonly Hop[];
  readonly #clock: Clock;
  readonly #buffer = new Uint8Array(MAX_HEAD_BYTES);
  #filled = 0;

  constructor(stream: Stream, hops: readonly Hop[], clock: Clock) {
    this.#stream = stream;
    this.#hops = hops;
    this.#clock = clock;
  }

  async run(): Promise<void> {
    const stream = this.#stream;
    try {
      for (let goesOn = true; goesOn;) {
        using _idle: Timer = this.#clock.after(IDLE_MS, () => stream.close());
        const head = await this.#readHead();
        if (head === undefined) return;
        const answer = head === "too long" ? failure("431 Request Header Fields Too Large") : this.#respond(head);
        await writeAll(stream, answer.bytes);
        goesOn = answer.keepsAlive;
      }
      await stream.closeWrite();
    } catch {
      // The other side has gone, or the time was up: there is no one left to tell.
    } finally {
      stream.close();
    }
  }

  /** The text of the next request head, or undefined at the end of the stream. What follows it stays for the next. */
  async #readHead(): Promise<string | "too long" | undefined> {
    for (let searchedFrom = 0;;) {
      const text = latin1(this.#buffer.subarray(0, this.#filled));
      const end = text.indexOf("\r\n\r\n", searchedFrom);
      if (end >= 0) {
        this.#buffer.copyWithin(0, end + 4, this.#filled);
        this.#filled -= end + 4;
        return text.slice(0, end);
      }
      if (this.#filled === this.#buffer.length) return "too long";
      searchedFrom = Math.max(0, this.#filled - 3);
      const count = await this.#stream.read(this.#buffer.subarray(this.#filled));
      if (count === null) return undefined;
      this.#filled += count;
    }
  }

  #respond(head: string): Answer {
    const request = parseHead(head);
    if (!request) return failure("400 Bad Request");
    if (request.method !== "GET" && request.method !== "HEAD") {
      return failure("405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    }
    const travel: Travel = { hops: this.#hops, atMs: this.#clock.wallNow() };
    const form = formFor(request.headers.get("accept") ?? "");
    const body = encoder.encode(form.page(travel));
    const keepsAlive = keepsConnection(request);
    const headers = [
      "HTTP/1.1 200 OK",
      `Date: ${new Date(travel.atMs).toUTCString()}`,
      `Content-Type: ${form.type}`,
      `Content-Length: ${body.length}`,
      "Vary: Accept",
      "Cache-Control: no-store",
      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " +
      "frame-ancestors 'none'",
      "X-Content-Type-Options: nosniff",
      "Referrer-Policy: no-referrer",
      `Connection: ${keepsAlive ? "keep-alive" : "close"}`,
    ];
    const headBytes = encoder.encode(`${headers.join("\r\n")}\r\n\r\n`);
    return { bytes: request.method === "HEAD" ? headBytes : joined(headBytes, body), keepsAlive };
  }
}

/** What the page can be had as; plain text for whoever asks for none of these. */
const FORMS = [
  { accepts: "text/html", type: "text/html; charset=utf-8", page: htmlPage },
  { accepts: "application/json", type: "application/json", page: jsonPage },
];
const TEXT_FORM = { type: "text/plain; charset=utf-8", page: textPage };

function formFor(accept: string): { readonly type: string; page(travel: Travel): string } {
  return FORMS.find(({ accepts }) => accept.toLowerCase().includes(accepts)) ?? TEXT_FORM;
}

interface Answer {
  readonly bytes: Uint8Array;
  readonly keepsAlive: boolean;
}

interface Request {
  readonly method: string;
  readonly minor: number;
  readonly headers: ReadonlyMap<string, string>;
}

const encoder = new TextEncoder();

/** Reads a request line and its headers, RFC 9112 §3 and §5; undefined if they are not well formed. */
function parseHead(head: string): Request | undefined {
  const [first, ...lines] = head.replace(/^(?:\r\n)+/, "").split("\r\n");
  const line = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) [\x21-\x7e\x80-\xff]+ HTTP\/1\.([01])$/.exec(first!);
  if (!line) return undefined;
  const headers = new Map<string, string>();
  for (const field of lines) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*$/.exec(field);
    if (!match) return undefined;
    const name = match[1]!.toLowerCase();
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${match[2]}` : match[2]!);
  }
  const minor = Number(line[2]);
  return minor === 1 && !headers.has("host") ? undefined : { method: line[1]!, minor, headers };
}

function keepsConnection({ minor, headers }: Request): boolean {
  if (minor === 0 || headers.has("transfer-encoding") || (headers.get("content-length") ?? "0") !== "0") return false;
  const options = (headers.get("connection") ?? "").toLowerCase().split(",").map((option) => option.trim());
  return !options.includes("close");
}

function failure(status: string, header = ""): Answer {
  const head = `HTTP/1.1 ${status}\r\n${header}Content-Length: 0\r\nConnection: close\r\n\r\n`;
  return { bytes: encoder.encode(head), keepsAlive: false };
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
