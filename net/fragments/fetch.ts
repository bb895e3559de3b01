/**
 * `fetch` in fragments: the central makes the request, and the answer streams back (`protocol/request_mode.ts`).
 *
 *   const fetch = createFragmentFetch(path);   await fetch("https://example.org/");
 *
 * Bodies stream both ways, and the answer may come before the request's has gone. Redirects are followed there, as the
 * request wishes. What cannot be answered rejects with a TypeError, as fetch does, whose cause says why.
 *
 * Unlike a stream dialled through the path, of which it sees nothing within TLS, the central sees request and answer.
 * Nothing of this host is added to the request. Not here: cookies, caches, other schemes than http: and https:.
 */

import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import { endToEnd } from "../../protocol/http_proxy.ts";
import {
  encodeRequestModeHead,
  fieldsOf,
  type RequestModeHead,
  type ResponseModeHead,
} from "../../protocol/request_mode.ts";
import { type DialOptions, type Stream, writeAll } from "../../protocol/stream.ts";
import { readResponseHead } from "../read_frame.ts";

/** What opens a stream on which the far end makes a request. `FragmentPath` is one. */
export interface RequestPath {
  /** A stream to a central that makes requests itself. */
  request(options?: DialOptions): Promise<Stream>;
}

type Answer = Extract<ResponseModeHead, { status: number }>;

/** A `fetch` whose requests leave by that path. */
export function createFragmentFetch(path: RequestPath): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { signal } = request;
    signal.throwIfAborted();
    const head = await headOf(request, isStreamed(input, init));
    const stream = await openStream(path, signal);
    return await new Exchange(stream, signal).run(head);
  };
}

interface Outgoing {
  readonly head: Uint8Array;
  readonly body: ReadableStream<Uint8Array> | Uint8Array | undefined;
  readonly method: string;
}

/** Whether the body is one whose length nobody knows. */
function isStreamed(input: RequestInfo | URL, init: RequestInit | undefined): boolean {
  const body = init?.body ?? (input instanceof Request ? input.body : undefined);
  return body instanceof ReadableStream;
}

async function headOf(request: Request, isBodyStreamed: boolean): Promise<Outgoing> {
  const { method, redirect } = request;
  const url = new URL(request.url);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`Cannot fetch: the URL must be http: or https:, got ${url.protocol}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("Cannot fetch: the URL must have no user and no password in it");
  }
  url.hash = "";
  // A length that is known is told: not every server takes a body without one.
  const body = request.body === null ? undefined : isBodyStreamed ? request.body : await request.bytes();
  const headers = headersOf(request.headers);
  if (body instanceof Uint8Array) headers.push(["content-length", String(body.length)]);
  const hasBody = body !== undefined && (!(body instanceof Uint8Array) || body.length > 0);
  const head: RequestModeHead = { method, url: url.href, headers, redirect, hasBody };
  const encoded = encodeRequestModeHead(head);
  if (!encoded) throw new TypeError("Cannot fetch: the headers must be shorter");
  return { head: encoded, body: hasBody ? body : undefined, method };
}

/** What says how a message is cut, or where to, is the carrier's to say. */
const CARRIERS: readonly string[] = ["host", "content-length", "transfer-encoding", "expect"];
/** What `DecompressionStream` undoes. */
const CODINGS: Readonly<Record<string, CompressionFormat>> = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate" };

function headersOf(headers: Headers): [string, string][] {
  const kept = endToEnd(fieldsOf([...headers])).filter(({ name }) => !CARRIERS.includes(name.toLowerCase()));
  const pairs = kept.map(({ name, value }): [string, string] => [name, value]);
  const missing: [string, string][] = [["accept", "*/*"], ["accept-encoding", "gzip, deflate"]];
  return [...pairs, ...missing.filter(([name]) => !headers.has(name))];
}

async function openStream(path: RequestPath, signal: AbortSignal): Promise<Stream> {
  try {
    return await path.request({ signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new TypeError(`Cannot fetch: ${messageOf(error)}`, { cause: error });
  }
}

/** How much of a body is read at once. */
const CHUNK_BYTES = 64 * 1024;
/** Statuses that have no body. Fetch standard, §2.2.3. */
const NULL_BODY_STATUSES: readonly number[] = [204, 205, 304];

/** One request and its answer on a stream. */
class Exchange {
  readonly #stream: Stream;
  readonly #signal: AbortSignal;
  readonly #onAbort: () => void;
  #sendError: unknown;
  #isOver = false;
  #body: ReadableByteStreamController | undefined;
  /** Of what is sent, while it is. */
  #source: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(stream: Stream, signal: AbortSignal) {
    this.#stream = stream;
    this.#signal = signal;
    this.#onAbort = () => {
      this.#body?.error(signal.reason);
      this.#cut();
    };
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  async run(outgoing: Outgoing): Promise<Response> {
    const sending = this.#send(outgoing).catch((error) => this.#sendFailed(error));
    try {
      const answer = await readResponseHead(this.#stream);
      if ("failure" in answer) throw refusalOf(answer);
      return this.#respond(answer, outgoing.method);
    } catch (error) {
      this.#finish();
      this.#cut();
      await sending;
      this.#signal.throwIfAborted();
      if (error instanceof TypeError) throw error;
      const cause = this.#sendError ?? error;
      throw new TypeError(`Cannot fetch: ${messageOf(cause)}`, { cause });
    }
  }

  async #send({ head, body }: Outgoing): Promise<void> {
    await writeAll(this.#stream, head);
    if (body instanceof Uint8Array) await writeAll(this.#stream, body);
    else if (body) await this.#sendAll(body);
    await this.#stream.closeWrite();
  }

  async #sendAll(body: ReadableStream<Uint8Array>): Promise<void> {
    const source = this.#source = body.getReader();
    if (this.#isOver) this.#stopSending();
    try {
      for (let piece = await source.read(); !piece.done; piece = await source.read()) {
        await this.#sendChunk(piece.value);
      }
    } catch (error) {
      this.#stopSending();
      throw error;
    }
    this.#source = undefined;
  }

  /** A body that yields nothing for now would wait for ever. */
  #stopSending(): void {
    this.#isOver = true;
    this.#source?.cancel(new CulvertError("closed", "Nobody reads the request any more")).catch(() => {});
  }

  async #sendChunk(chunk: unknown): Promise<void> {
    if (!(chunk instanceof Uint8Array)) throw new TypeError("Cannot send a body: its chunks must be Uint8Array");
    await writeAll(this.#stream, chunk);
  }

  /** A body that breaks off must not pass for a whole one. A far end that reads no further may still answer. */
  #sendFailed(error: unknown): void {
    this.#sendError ??= error;
    if (!(error instanceof CulvertError)) this.#cut();
  }

  #respond({ status, statusText, headers: pairs, url, isRedirected }: Answer, method: string): Response {
    const headers = new Headers(pairs.map(([name, value]): [string, string] => [name, value]));
    const isWithoutBody = method === "HEAD" || NULL_BODY_STATUSES.includes(status);
    if (isWithoutBody) {
      this.#finish();
      this.#stopSending();
      this.#stream.close();
    }
    const body = isWithoutBody ? null : decoded(this.#readable(), headers);
    const response = new Response(body, { status, statusText, headers });
    Object.defineProperty(response, "url", { value: url, configurable: true });
    Object.defineProperty(response, "redirected", { value: isRedirected, configurable: true });
    return response;
  }

  #readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      type: "bytes",
      start: (controller) => void (this.#body = controller),
      pull: async (controller) => {
        const chunk = new Uint8Array(CHUNK_BYTES);
        const count = await this.#read(chunk);
        if (this.#signal.aborted) return;
        if (count === null) return this.#end(controller);
        // A short piece is copied, so that it does not keep all the memory it was read into.
        controller.enqueue(count > CHUNK_BYTES / 4 ? chunk.subarray(0, count) : chunk.slice(0, count));
      },
      cancel: () => {
        this.#finish();
        this.#cut();
      },
    });
  }

  async #read(chunk: Uint8Array): Promise<number | null> {
    try {
      return await this.#stream.read(chunk);
    } catch (error) {
      if (this.#signal.aborted) return null;
      this.#finish();
      this.#cut();
      throw new TypeError(`Cannot read the body: ${messageOf(error)}`, { cause: error });
    }
  }

  #end(controller: ReadableByteStreamController): void {
    this.#finish();
    this.#stopSending();
    this.#stream.close();
    controller.close();
    controller.byobRequest?.respond(0);
  }

  #finish(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#body = undefined;
  }

  #cut(): void {
    this.#stopSending();
    if (this.#stream.abort) this.#stream.abort();
    else this.#stream.close();
  }
}

function refusalOf({ failure, message }: Extract<ResponseModeHead, { failure: string }>): TypeError {
  const isDial = failure !== "bad_request" && failure !== "redirect";
  const cause = isDial ? new DialError(failure, message) : new CulvertError(failure, message);
  return new TypeError(`Cannot fetch: ${message === "" ? failure : message}`, { cause });
}

/** The body without its coding, of which nothing stays in the headers, as in fetch. */
function decoded(body: ReadableStream<Uint8Array<ArrayBuffer>>, headers: Headers): ReadableStream<Uint8Array> {
  const coding = CODINGS[headers.get("content-encoding")?.trim().toLowerCase() ?? ""];
  if (!coding) return body;
  headers.delete("content-encoding");
  headers.delete("content-length");
  return body.pipeThrough(new DecompressionStream(coding) as ReadableWritablePair<Uint8Array, Uint8Array<ArrayBuffer>>);
}
