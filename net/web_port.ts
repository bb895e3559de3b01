/**
 * One port for WebSockets over our own frames and for small HTTP requests.
 *
 *   socket → (TLS) → request head ─┬─ asks for a WebSocket → `onWebsocket`, which takes the socket or refuses
 *                                  └─ anything else → body → `fetch` → answer → the next request, or closed
 *
 * Why not `Deno.serve`: its WebSockets have no backpressure and weigh 17 KiB each, and it waits for a request's head
 * without end. Here every request has a deadline and every table a limit (`newcomers.ts`), and the certificate can be
 * exchanged. Whoever got what it asked for may ask again on the same connection, as supernodes do with each other; it is a
 * newcomer again meanwhile. What it does not do: pipelining, chunked request bodies, or answers without an end.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type RequestHead, tokensOf, valuesOf } from "../protocol/http_head.ts";
import type { Log } from "../protocol/log.ts";
import { type Metrics, noMetrics } from "../protocol/metrics.ts";
import { readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { answerHead, requestOf } from "./http_messages.ts";
import { Newcomers } from "./newcomers.ts";
import { type CertificateAndKey, RenewableListener } from "./renewable_listener.ts";
import { isClosedError, isEarlyEnd, type NetAddr, type Socket } from "./runtime.ts";
import { acceptWebsocket, readWebsocketRequest, type WebsocketRequest } from "./websocket.ts";

export interface WebPortLimits {
  /** Connections that have not finished their request. Default 4,096; beyond that they wait, or the oldest is dropped. */
  readonly maxHandshakes?: number;
  /** Connections of one address whose owner is not known yet. Default 200; beyond that the oldest is dropped. */
  readonly maxStrangersPerAddress?: number;
  /** TLS, head, body and answer. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
  /** Default 64 KiB. */
  readonly maxBodyBytes?: number;
}

/** A request for a WebSocket, before it is answered. */
export interface WebsocketCall {
  /** Without the query. */
  readonly path: string;
  readonly authorization: string | undefined;
  /** All of it, such as for its signature to be checked; undefined for what no request can be made of. */
  request(): Request | undefined;
  /** The address that the connection came from. */
  readonly remoteAddress: string;
}

export type WebsocketAnswer =
  /**
   * Takes the socket once the handshake is done, with the bytes that came after it, and calls `settled` once it is known
   * whose it is, or it is gone.
   */
  | { readonly take: (stream: Stream, first: Uint8Array, settled: () => void) => void }
  | { readonly status: keyof typeof REASONS }
  /** Refuses with an answer of its own. */
  | { readonly response: Response };

/** Why a request is not handed on. */
export type UnfitRequest = "malformed" | "too_large";

export interface WebPortOptions {
  readonly listen: { readonly hostname: string; readonly port: number };
  /** PEM. Without it the port is plain, for loopback or behind a TLS proxy. */
  readonly tls?: CertificateAndKey | undefined;
  onWebsocket(call: WebsocketCall): WebsocketAnswer | Promise<WebsocketAnswer>;
  fetch(request: Request, remoteAddress: string): Response | Promise<Response>;
  /** Answers what cannot be handed on; in a line of text when left out. */
  answerUnfit?(why: UnfitRequest, detail: string): Response;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly limits?: WebPortLimits;
}

/** How long to wait before accepting again after a failure, such as too many open files. */
const ACCEPT_PAUSE_MS = 50;
const DEFAULT_MAX_BODY_BYTES = 64 * 1024;
/** Of a body that is not taken so much is read and dropped, or our answer might be lost with it. */
const MAX_DROPPED_BYTES = 256 * 1024;
const REASONS = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  429: "Too Many Requests",
  503: "Service Unavailable",
} as const;
const REFUSALS = { 401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "too_often", 503: "full" } as const;

export class WebPort implements Disposable {
  readonly #options: WebPortOptions;
  readonly #listener: RenewableListener;
  readonly #newcomers: Newcomers;
  readonly #tasks = new Set<Promise<void>>();
  readonly #refused;
  #closed = false;

  constructor(options: WebPortOptions) {
    this.#options = options;
    const { listen, tls, clock, limits, metrics = noMetrics } = options;
    this.#refused = metrics.counter("web_port_refused_total", "Connections and requests turned away, by reason", [
      "reason",
    ]);
    this.#newcomers = new Newcomers({
      clock,
      timeoutMs: limits?.handshakeTimeoutMs ?? 10_000,
      max: limits?.maxHandshakes ?? 4096,
      maxPerAddress: limits?.maxStrangersPerAddress ?? 200,
      onDrop: (reason) => this.#refused.add(1, { reason }),
    });
    this.#listener = new RenewableListener(listen, tls);
    this.#spawn(this.#acceptAll());
  }

  get address(): NetAddr {
    return this.#listener.address;
  }

  /** Connections that come from now on get this certificate. Only for a port that had one. */
  renewTls(tls: CertificateAndKey): void {
    this.#listener.renewTls(tls);
  }

  /** Stops listening, and ends what has not finished its request. WebSockets belong to whoever took them. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    this.#newcomers[Symbol.dispose]();
  }

  /** Settles when nothing of the port runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #acceptAll(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#closed) {
      try {
        await this.#newcomers.place();
        this.#spawn(this.#greet(await this.#listener.accept()));
      } catch (error) {
        if (this.#closed || isClosedError(error)) return;
        // That one connection was over before it was accepted. The next is not to wait for it.
        if (isEarlyEnd(error)) continue;
        log.warn("Cannot accept a connection", { error: messageOf(error) });
        await delay(clock, ACCEPT_PAUSE_MS);
      }
    }
  }

  async #greet(conn: Socket): Promise<void> {
    const remoteAddress = conn.remoteAddr.hostname;
    this.#newcomers.arrived(conn, remoteAddress);
    let taken = false;
    try {
      conn.setNoDelay?.(true);
      taken = await this.#serve(conn, remoteAddress);
    } catch (error) {
      // Such as a TLS handshake that led to nothing. What was dropped has been counted.
      if (this.#newcomers.has(conn)) this.#refused.add(1, { reason: "failed" });
      this.#options.log.debug("A request failed", { error: messageOf(error) });
    } finally {
      if (!taken) {
        this.#newcomers.settled(conn);
        closeQuietly(conn);
      }
    }
  }

  /** Whether somebody has taken the socket. */
  async #serve(conn: Socket, remoteAddress: string): Promise<boolean> {
    for (let isFirst = true;; isFirst = false) {
      const request = await readWebsocketRequest(conn);
      if (!request) {
        if (isFirst) this.#refused.add(1, { reason: "malformed" });
        return false;
      }
      if (!isFirst) this.#newcomers.again(conn, remoteAddress);
      if (request.key !== undefined) return await this.#upgrade(conn, request, remoteAddress);
      if (!await this.#answer(conn, request, remoteAddress)) return false;
      this.#newcomers.again(conn, remoteAddress);
    }
  }

  /** Whether somebody has taken the socket. */
  async #upgrade(
    conn: Socket,
    { head, key, rest }: WebsocketRequest,
    remoteAddress: string,
  ): Promise<boolean> {
    const [path = "/"] = head.target.split("?", 1);
    const [authorization] = valuesOf(head.fields, "authorization");
    const isSecure = this.#options.tls !== undefined;
    const whole = () => requestOf(head, new Uint8Array(), isSecure);
    const answer = await this.#options.onWebsocket({ path, authorization, remoteAddress, request: whole });
    if ("response" in answer) {
      const { response } = answer;
      const content = await bytesOf(response);
      await writeAll(conn, joined(ascii(answerHead(response, { length: content.length, isKept: false })), content));
      return false;
    }
    if ("status" in answer) {
      this.#refused.add(1, { reason: REFUSALS[answer.status] });
      const retry = answer.status === 503 || answer.status === 429 ? "Retry-After: 10\r\n" : "";
      await writeAll(
        conn,
        ascii(
          `HTTP/1.1 ${answer.status} ${
            REASONS[answer.status]
          }\r\n${retry}Content-Length: 0\r\nConnection: close\r\n\r\n`,
        ),
      );
      return false;
    }
    await acceptWebsocket(conn, key!);
    if (this.#closed) return false;
    this.#newcomers.requested(conn);
    answer.take(conn, rest, () => this.#newcomers.settled(conn));
    return true;
  }

  /** Whether the connection is good for another request. */
  async #answer(conn: Stream, { head, rest }: WebsocketRequest, remoteAddress: string): Promise<boolean> {
    const body = await this.#readBody(conn, head, rest);
    const request = body && requestOf(head, body, this.#options.tls !== undefined);
    const response = request ? await this.#options.fetch(request, remoteAddress) : this.#refusal(body !== undefined);
    const isKept = response.ok && !this.#closed && head.minor === 1 && rest.length <= body!.length &&
      !tokensOf(head.fields, "connection").includes("close");
    const content = await bytesOf(response);
    const headBytes = ascii(answerHead(response, { length: content.length, isKept }));
    await writeAll(conn, head.method === "HEAD" ? headBytes : joined(headBytes, content));
    if (isKept) return true;
    await conn.closeWrite();
    if (!body) await drop(conn);
    return false;
  }

  #refusal(hasBody: boolean): Response {
    const why = hasBody ? "malformed" : "too_large";
    this.#refused.add(1, { reason: why });
    const maxBytes = this.#options.limits?.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
    const detail = hasBody
      ? "Cannot take the request: its host, path and headers must make sense"
      : `Cannot take the request: its body must have a length of at most ${maxBytes} bytes`;
    return this.#options.answerUnfit?.(why, detail) ??
      new Response(`${detail}\n`, { status: hasBody ? 400 : 413 });
  }

  /** Undefined if it is too long, or of a length nobody tells. */
  async #readBody(conn: Stream, head: RequestHead, rest: Uint8Array): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const lengths = valuesOf(head.fields, "content-length");
    if (valuesOf(head.fields, "transfer-encoding").length > 0 || lengths.length > 1) return undefined;
    const [length = "0"] = lengths;
    if (!/^\d{1,9}$/.test(length) || Number(length) > (this.#options.limits?.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES)) {
      return undefined;
    }
    const body = new Uint8Array(Number(length));
    const known = rest.subarray(0, body.length);
    body.set(known);
    if (await readFull(conn, body.subarray(known.length))) return body;
    throw new CulvertError("protocol", "the request ended before its body");
  }
}

/** Reads what still comes, so that the kernel does not reset the connection before the answer has been read. */
async function drop(stream: Stream): Promise<void> {
  const buffer = new Uint8Array(8 * 1024);
  for (let dropped = 0; dropped < MAX_DROPPED_BYTES;) {
    const count = await stream.read(buffer);
    if (count === null) return;
    dropped += count;
  }
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

function joined(head: Uint8Array, content: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + content.length);
  whole.set(head);
  whole.set(content, head.length);
  return whole;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
