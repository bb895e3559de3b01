/**
 * A port for many small HTTP/1.1 requests on few processors: one read and one write each, and nothing made for those that are
 * answered straight away.
 *
 *   socket → (TLS) → head → body ─┬─ `quick` knows the answer ──────────────→ text ─┐
 *                                 └─ `fetch` → Response, whole or as it comes ──────┴→ the next request, or closed
 *
 * Why not `Deno.serve`: it waits for a request's head without end. Why not `node:http`: each request costs several times as much.
 * Here every head, body and answer has a deadline, there are so many connections at most and so many of one address
 * (`newcomers.ts`), and the certificate can be exchanged. Requests of one connection are answered one after the other, also
 * when they were sent together. Only what are streams of events may go on without end.
 *
 * What it does not do: WebSockets (`web_port.ts`), chunked requests, HTTP/2.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { messageOf } from "../protocol/errors.ts";
import { EVENT_STREAM_TYPE } from "../protocol/event_stream.ts";
import { requestFraming } from "../protocol/http_body.ts";
import { type RequestHead, tokensOf } from "../protocol/http_head.ts";
import type { Log } from "../protocol/log.ts";
import { type Metrics, noMetrics } from "../protocol/metrics.ts";
import { writeAll } from "../protocol/stream.ts";
import { AnswerDate } from "./answer_date.ts";
import { closeQuietly } from "./close.ts";
import { answerHead, hostOf, requestOf } from "./http_messages.ts";
import { HttpRequestReader } from "./http_request_reader.ts";
import { Newcomers } from "./newcomers.ts";
import { type CertificateAndKey, RenewableListener } from "./renewable_listener.ts";
import { isClosedError, isEarlyEnd, type NetAddr, type Socket } from "./runtime.ts";

/** A request as it came. */
export interface PlainRequest {
  readonly head: RequestHead;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly remoteAddress: string;
}

/** JSON of an answer with the status 200, which no cache may keep; or what `fetch` would give. */
export type QuickAnswer = string | Response;

export interface HttpPortLimits {
  /** Default 10,000; more are closed as they come. */
  readonly maxConnections?: number;
  /** Default 512; beyond that the oldest is closed. */
  readonly maxPerAddress?: number;
  /** From the start, or from the last answer, to the end of a request; and for its answer. Default 10 s. */
  readonly timeoutMs?: number;
  /** Default 64 KiB. */
  readonly maxBodyBytes?: number;
}

export interface HttpPortOptions {
  readonly listen: { readonly hostname: string; readonly port: number };
  /** PEM. Without it the port is plain. */
  readonly tls?: CertificateAndKey | undefined;
  /** Undefined leaves the request to `fetch`. */
  quick?(request: PlainRequest): QuickAnswer | undefined | Promise<QuickAnswer>;
  fetch(request: Request, remoteAddress: string): Response | Promise<Response>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly limits?: HttpPortLimits;
}

interface Connection {
  readonly conn: Socket;
  readonly remoteAddress: string;
  /** A request has begun and is not answered. */
  isBusy: boolean;
}

const ACCEPT_PAUSE_MS = 50;
const DEFAULT_MAX_BODY_BYTES = 64 * 1024;
const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_DROPPED_BYTES = 256 * 1024;

/** What is refused here, and why. */
const REFUSALS = {
  400: "it must be HTTP/1.1, with a head of at most 16 KiB whose host and path make sense",
  411: "its body must have a Content-Length",
  413: "its body must be shorter",
} as const;
type Refusal = `${keyof typeof REFUSALS}`;
const QUICK_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n" +
  "x-content-type-options: nosniff\r\n";
const encoder = new TextEncoder();

export class HttpPort implements AsyncDisposable {
  readonly #options: HttpPortOptions;
  readonly #listener: RenewableListener;
  readonly #newcomers: Newcomers;
  readonly #open = new Map<Connection, Promise<void>>();
  readonly #accepting: Promise<void>;
  readonly #refused;
  #isClosed = false;
  /** What `quick` has answered last, and how that is sent: most answers are the same. */
  #lastAnswer = "";
  #lastDate = "";
  #lastBytes: Uint8Array = new Uint8Array();
  readonly #date: AnswerDate;

  /** Throws as `Deno.listen` does. */
  constructor(options: HttpPortOptions) {
    this.#options = options;
    this.#date = new AnswerDate(options.clock);
    const { listen, tls, clock, limits, metrics = noMetrics } = options;
    this.#refused = metrics.counter("http_port_refused_total", "Connections and requests turned away, by reason", [
      "reason",
    ]);
    this.#newcomers = new Newcomers({
      clock,
      timeoutMs: limits?.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      max: this.#maxConnections,
      maxPerAddress: limits?.maxPerAddress ?? 512,
      onDrop: (reason) => this.#refused.add(1, { reason }),
    });
    this.#listener = new RenewableListener(listen, tls);
    this.#accepting = this.#acceptAll();
  }

  get address(): NetAddr {
    return this.#listener.address;
  }

  /** Connections that come from now on get this certificate. Only for a port that had one. */
  renewTls(tls: CertificateAndKey): void {
    this.#listener.renewTls(tls);
  }

  /** Takes no more connections, and lets requests under way end until `hardSignal` is aborted. */
  async shutdown(hardSignal: AbortSignal): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    for (const { conn, isBusy } of this.#open.keys()) if (!isBusy) closeQuietly(conn);
    const cut = () => {
      for (const { conn } of this.#open.keys()) closeQuietly(conn);
    };
    if (hardSignal.aborted) cut();
    hardSignal.addEventListener("abort", cut, { once: true });
    await this.#accepting;
    while (this.#open.size > 0) await Promise.all(this.#open.values());
    hardSignal.removeEventListener("abort", cut);
    this.#newcomers[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown(AbortSignal.abort());
  }

  get #maxConnections(): number {
    return this.#options.limits?.maxConnections ?? 10_000;
  }

  async #acceptAll(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#isClosed) {
      try {
        this.#arrived(await this.#listener.accept());
      } catch (error) {
        if (this.#isClosed || isClosedError(error)) return;
        // That one connection was over before it was accepted. The next is not to wait for it.
        if (isEarlyEnd(error)) continue;
        log.warn("Cannot accept a connection", { error: messageOf(error) });
        await delay(clock, ACCEPT_PAUSE_MS);
      }
    }
  }

  #arrived(conn: Socket): void {
    if (this.#isClosed || this.#open.size >= this.#maxConnections) {
      this.#refused.add(1, { reason: "full" });
      return closeQuietly(conn);
    }
    const connection = { conn, remoteAddress: conn.remoteAddr.hostname, isBusy: false };
    this.#open.set(connection, this.#serve(connection).finally(() => this.#open.delete(connection)));
  }

  async #serve(connection: Connection): Promise<void> {
    const { conn, remoteAddress } = connection;
    this.#newcomers.arrived(conn, remoteAddress);
    try {
      if ("setNoDelay" in conn) conn.setNoDelay(true);
      const reader = new HttpRequestReader(conn);
      // The deadline is for all of a request: also for an answer that nobody reads.
      while (await this.#serveOne(connection, reader) && !this.#isClosed) this.#newcomers.again(conn, remoteAddress);
    } catch (error) {
      // Such as a TLS handshake that led to nothing, or a connection that was reset. What was dropped has been counted.
      this.#options.log.debug("A connection failed", { error: messageOf(error) });
    } finally {
      this.#newcomers.settled(conn);
      closeQuietly(conn);
    }
  }

  /** Whether the connection is good for another request. */
  async #serveOne(connection: Connection, reader: HttpRequestReader): Promise<boolean> {
    const { conn, remoteAddress } = connection;
    connection.isBusy = false;
    const head = await reader.head();
    connection.isBusy = true;
    if (!head) return false;
    if (typeof head === "string" || hostOf(head) === undefined) return await this.#refuse(conn, "400");
    const length = this.#lengthOf(head);
    if (typeof length === "string") return await this.#refuse(conn, length);
    const body = await reader.body(length);
    if (!body) return false;
    const answer = await this.#options.quick?.({ head, body, remoteAddress });
    if (typeof answer !== "string") return await this.#answer(conn, { head, body, remoteAddress }, answer);
    const isKept = this.#isKept(head);
    const date = this.#date.text;
    if (isKept && (answer !== this.#lastAnswer || date !== this.#lastDate)) {
      [this.#lastAnswer, this.#lastDate] = [answer, date];
      this.#lastBytes = quickBytes(answer, { date, isKept: true });
    }
    await writeAll(conn, isKept ? this.#lastBytes : quickBytes(answer, { date, isKept: false }));
    return isKept;
  }

  /** Whether the connection is for more requests; asked when the answer is there. */
  #isKept(head: RequestHead): boolean {
    return !this.#isClosed && head.minor === 1 && !tokensOf(head.fields, "connection").includes("close");
  }

  /** Of the body that follows; or the status to refuse it with. */
  #lengthOf(head: RequestHead): number | Refusal {
    const framing = requestFraming(head);
    if (framing.kind === "none") return 0;
    if (framing.kind === "bad") return "400";
    if (framing.kind !== "length") return "411";
    return framing.bytes > (this.#options.limits?.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES) ? "413" : framing.bytes;
  }

  async #answer(
    conn: Socket,
    { head, body, remoteAddress }: PlainRequest,
    known: Response | undefined,
  ): Promise<boolean> {
    const request = known ? undefined : requestOf(head, body, this.#options.tls !== undefined);
    if (!known && !request) return await this.#refuse(conn, "400");
    const response = known ?? await this.#options.fetch(request!, remoteAddress);
    const isStream = response.headers.get("content-type")?.startsWith(EVENT_STREAM_TYPE) ?? false;
    if (isStream && response.body && head.method !== "HEAD") {
      await this.#stream(conn, head, response);
      return false;
    }
    const content = new Uint8Array(await response.arrayBuffer());
    const isKept = this.#isKept(head);
    const length = head.method === "HEAD" && !response.body ? saidLength(response) : content.length;
    const headBytes = encoder.encode(
      answerHead(response, { ...length !== undefined && { length }, isKept, date: this.#date.text }),
    );
    await writeAll(conn, head.method === "HEAD" ? headBytes : joined(headBytes, content));
    return isKept;
  }

  /** Passes on what comes until there is no more, or nobody at the other end. */
  async #stream(conn: Socket, head: RequestHead, response: Response): Promise<void> {
    this.#newcomers.requested(conn);
    const isChunked = head.minor === 1;
    const reader = response.body!.getReader();
    const gone = untilGone(conn).then(() => reader.cancel()).catch(() => {});
    try {
      await this.#write(
        conn,
        encoder.encode(answerHead(response, { isChunked, isKept: false, date: this.#date.text })),
      );
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        await this.#write(conn, isChunked ? chunkOf(value) : value);
      }
      if (isChunked) await this.#write(conn, LAST_CHUNK);
    } finally {
      await reader.cancel();
      closeQuietly(conn);
      await gone;
    }
  }

  /** A part of a stream, which has a deadline of its own. */
  async #write(conn: Socket, bytes: Uint8Array): Promise<void> {
    const { clock, limits } = this.#options;
    using _timer = clock.after(limits?.timeoutMs ?? DEFAULT_TIMEOUT_MS, () => closeQuietly(conn));
    await writeAll(conn, bytes);
  }

  async #refuse(conn: Socket, status: Refusal): Promise<false> {
    this.#refused.add(1, { reason: `status_${status}` });
    const content = encoder.encode(`Cannot take the request: ${REFUSALS[status]}\n`);
    const response = new Response(null, { status: Number(status), headers: { "content-type": "text/plain" } });
    await writeAll(
      conn,
      joined(
        encoder.encode(answerHead(response, { length: content.length, isKept: false, date: this.#date.text })),
        content,
      ),
    );
    await conn.closeWrite().catch(() => {});
    // What still comes is read, so that the kernel does not reset the connection before the answer has been read.
    await untilGone(conn, MAX_DROPPED_BYTES);
    return false;
  }
}

/** How long an answer says the content is that a HEAD asks about; undefined if it does not. */
function saidLength({ headers }: Response): number | undefined {
  const said = headers.get("content-length");
  return said !== null && /^\d{1,15}$/.test(said) ? Number(said) : undefined;
}

const LAST_CHUNK = encoder.encode("0\r\n\r\n");

/** What `quick` gives is ASCII: its characters are its bytes. */
function quickBytes(answer: string, { date, isKept }: { readonly date: string; readonly isKept: boolean }): Uint8Array {
  const close = isKept ? "" : "connection: close\r\n";
  return encoder.encode(`${QUICK_HEAD}date: ${date}\r\n${close}content-length: ${answer.length}\r\n\r\n${answer}`);
}

function chunkOf(bytes: Uint8Array): Uint8Array {
  return joined(encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, encoder.encode("\r\n"));
}

/** Settles when the other end has closed, or has said more than that. Never rejects. */
async function untilGone(conn: Socket, maxBytes = Infinity): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    for (let dropped = 0; dropped < maxBytes;) {
      const count = await conn.read(buffer);
      if (count === null) return;
      dropped += count;
    }
  } catch {
    // It is gone in another way.
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
