/**
 * The client's side of HTTP/1.1 on one Stream, RFC 9112: one exchange after another, a body read straight into the caller's
 * buffers. Only what came with the head is copied.
 *
 *   ask(request) ─▶ head ─▶ read(into) … null ─▶ ask(next) while `isFree`
 *
 * A body that ends early rejects with `cut_short`: it is never taken for a whole one. Silence is the caller's to watch.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { ChunkedDecoder, type Framing, responseFraming } from "../../protocol/http_body.ts";
import {
  encodeRequestHead,
  type Field,
  parseResponseHead,
  type ResponseHead,
  tokensOf,
  valuesOf,
} from "../../protocol/http_head.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import type { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { Inbox } from "../proxy/inbox.ts";

const MAX_HEAD_BYTES = 16 * 1024;
/** Informational answers before the one that counts. */
const MAX_EARLY_HEADS = 8;

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT";
  /** Origin form: a path, and perhaps a query. */
  readonly target: string;
  readonly fields?: readonly Field[];
  readonly body?: Uint8Array;
}

export class HttpStream implements Disposable {
  readonly #stream: Stream;
  readonly #inbox: Inbox;
  #body: Framing = { kind: "none" };
  /** Of a body of known length. */
  #leftBytes = 0;
  #decoder: ChunkedDecoder | undefined;
  #state: "free" | "busy" | "closed" = "free";
  #isLast = false;

  constructor(stream: Stream, pool: BufferPool) {
    this.#stream = stream;
    this.#inbox = new Inbox(stream, pool, MAX_HEAD_BYTES);
  }

  /** Whether another request may be sent on it. */
  get isFree(): boolean {
    return this.#state === "free";
  }

  /** Whether the body has been read to its end. */
  get isOver(): boolean {
    return this.#body.kind === "none";
  }

  /** Bytes of the body that are still to come, where its length was said. */
  get leftBytes(): number | undefined {
    return this.#body.kind === "length" ? this.#leftBytes : this.#body.kind === "none" ? 0 : undefined;
  }

  async ask(request: HttpRequest): Promise<ResponseHead> {
    if (this.#state !== "free") throw new CulvertError("busy", "Cannot ask: another exchange is under way");
    this.#state = "busy";
    const { method, target, fields = [], body } = request;
    const lengths = body ? [{ name: "Content-Length", value: String(body.length) }] : [];
    const host = { name: "Host", value: "localhost" };
    await writeAll(this.#stream, encodeRequestHead({ method, target, fields: [host, ...fields, ...lengths] }));
    if (body) await writeAll(this.#stream, body);
    const head = await this.#finalHead();
    this.#begin(head, method);
    return head;
  }

  /** Fills the start of `into` with the body's next bytes; null once it has all been read. */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.isOver) return null;
    if (this.#state === "closed") throw new CulvertError("closed", "Cannot read a body after close()");
    switch (this.#body.kind) {
      case "length":
        return await this.#readOfLength(into);
      case "chunked":
        return await this.#readChunked(into);
      case "close": {
        const count = await this.#readRaw(into);
        return count ?? this.#over();
      }
      default:
        return null; // there is none
    }
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    closeQuietly(this.#stream);
    this.#inbox.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #finalHead(): Promise<ResponseHead> {
    for (let heads = 0; heads < MAX_EARLY_HEADS; heads++) {
      const head = await this.#head();
      if (head.status >= 200) return head;
    }
    throw malformed("it says 100 and never the answer");
  }

  async #head(): Promise<ResponseHead> {
    const inbox = this.#inbox;
    for (let scannedBytes = 0;;) {
      const parsed = parseResponseHead(inbox.head, scannedBytes);
      if (parsed.status === "bad") throw malformed(parsed.reason);
      if (parsed.status === "done") {
        inbox.consume(parsed.length);
        return parsed.value;
      }
      if (inbox.full) throw malformed("its head is too long");
      scannedBytes = inbox.length;
      if (!await inbox.fill()) {
        throw new CulvertError("cut_short", "Cannot read the answer: the stream ended before it");
      }
    }
  }

  #begin(head: ResponseHead, method: string): void {
    this.#body = responseFraming(head, method);
    if (this.#body.kind === "bad") throw malformed(this.#body.reason);
    const says = tokensOf(head.fields, "connection");
    this.#isLast = says.includes("close") || (head.minor === 0 && !says.includes("keep-alive")) ||
      this.#body.kind === "close";
    this.#leftBytes = this.#body.kind === "length" ? this.#body.bytes : 0;
    this.#decoder = this.#body.kind === "chunked" ? new ChunkedDecoder() : undefined;
    if (this.leftBytes === 0) this.#over();
  }

  /** The exchange is complete. */
  #over(): null {
    this.#body = { kind: "none" };
    if (this.#isLast) this.close();
    else this.#state = "free";
    return null;
  }

  async #readOfLength(into: Uint8Array): Promise<number | null> {
    const count = await this.#readRaw(into.length > this.#leftBytes ? into.subarray(0, this.#leftBytes) : into);
    if (count === null) throw cutShort();
    this.#leftBytes -= count;
    if (this.#leftBytes === 0) this.#over();
    return count;
  }

  async #readChunked(into: Uint8Array): Promise<number | null> {
    while (!this.#decoder!.finished) {
      const count = await this.#readRaw(into);
      if (count === null) throw cutShort();
      if (!this.#decoder!.decode(into, 0, count)) throw malformed("its chunks make no sense");
      if (this.#decoder!.next < count) this.#isLast = true; // it talks on, unasked
      if (this.#decoder!.dataEnd > 0) return this.#decoder!.dataEnd;
    }
    return this.#over();
  }

  /** What came with the head first, then what the stream has. */
  async #readRaw(into: Uint8Array): Promise<number | null> {
    const inbox = this.#inbox;
    if (inbox.length === 0) return await this.#stream.read(into);
    const bytes = inbox.bytes.subarray(0, into.length);
    into.set(bytes);
    inbox.consume(bytes.length);
    return bytes.length;
  }
}

/** The one value of a field; undefined when there is none. */
export function fieldOf(head: Pick<ResponseHead, "fields">, lowerCaseName: string): string | undefined {
  return valuesOf(head.fields, lowerCaseName)[0];
}

function malformed(why: string): CulvertError {
  return new CulvertError("bad_answer", `Cannot read the answer: ${why}`);
}

function cutShort(): CulvertError {
  return new CulvertError("cut_short", "Cannot read the answer: it ended too soon");
}
