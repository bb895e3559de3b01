/**
 * One port for WebSockets over our own frames and for small HTTP requests.
 *
 *   socket → (TLS) → request head ─┬─ asks for a WebSocket → `onWebsocket`, which takes the socket or refuses
 *                                  └─ anything else → body → `fetch` → answer → closed
 *
 * Why not `Deno.serve`: its WebSockets have no backpressure and weigh 17 KiB each, and it waits for a request's head
 * without end. Here every request has a deadline and every table a limit; when too many are at the door, the next waits
 * until one is done or the oldest has dawdled, and that one goes.
 * What it does not do: keep HTTP connections alive, chunked request bodies, or answers without an end.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type RequestHead, valuesOf } from "../protocol/http_head.ts";
import type { Log } from "../protocol/log.ts";
import { readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { Deadlines } from "./deadlines.ts";
import { acceptWebsocket, readWebsocketRequest } from "./websocket.ts";

export interface WebPortLimits {
  /** Connections that have not finished their request. Default 4,096: thousands may come back at once. */
  readonly maxHandshakes?: number;
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
  /** The address that the connection came from. */
  readonly remoteAddress: string;
}

export type WebsocketAnswer =
  /** Takes the socket once the handshake is done, with the bytes that came after it. */
  | { readonly take: (stream: Stream, first: Uint8Array) => void }
  | { readonly status: 401 | 404 | 503 };

export interface WebPortOptions {
  readonly listen: { readonly hostname: string; readonly port: number };
  /** PEM. Without it the port is plain, for loopback or behind a TLS proxy. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  onWebsocket(call: WebsocketCall): WebsocketAnswer;
  fetch(request: Request, remoteAddress: string): Response | Promise<Response>;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: WebPortLimits;
}

/**
 * Connections that wait to be accepted, as far as the kernel allows (`net.core.somaxconn`, usually 4,096). Beyond it the
 * kernel drops what peers say, and who has not been heard asks again only after a second, three, seven.
 */
const BACKLOG = 4096;
/** So long a connection may be at the door when others wait for its place; at ease it has the whole deadline. */
const CROWDED_MS = 2_000;
/** How long to wait before accepting again after a failure, such as too many open files. */
const ACCEPT_PAUSE_MS = 50;
const REASONS: Readonly<Record<number, string>> = { 401: "Unauthorized", 404: "Not Found", 503: "Service Unavailable" };

export class WebPort implements Disposable {
  readonly #options: WebPortOptions;
  readonly #listener: Deno.Listener<Deno.TcpConn | Deno.TlsConn, Deno.NetAddr>;
  readonly #handshakes: Deadlines<Stream>;
  readonly #tasks = new Set<Promise<void>>();
  /** Those at the door and since when, the oldest first. */
  readonly #atDoor = new Map<Stream, number>();
  #onPlace: () => void = () => {};
  #closed = false;

  constructor(options: WebPortOptions) {
    this.#options = options;
    const { listen, tls, clock, limits } = options;
    this.#handshakes = new Deadlines<Stream>(clock, limits?.handshakeTimeoutMs ?? 10_000, closeQuietly);
    this.#listener = tls
      ? Deno.listenTls({ ...listen, tcpBacklog: BACKLOG, ...tls, alpnProtocols: ["http/1.1"] })
      : Deno.listen({ ...listen, tcpBacklog: BACKLOG });
    this.#spawn(this.#acceptAll());
  }

  get address(): Deno.NetAddr {
    return this.#listener.addr;
  }

  /** Stops listening, and ends what has not finished its request. WebSockets belong to whoever took them. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#listener);
    for (const stream of this.#handshakes) closeQuietly(stream);
    this.#handshakes[Symbol.dispose]();
    this.#onPlace();
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
        await this.#place();
        const conn = await this.#listener.accept();
        this.#spawn(this.#greet(conn));
      } catch (error) {
        if (this.#closed || error instanceof Deno.errors.BadResource) return;
        // That one connection was over before it was accepted. The next is not to wait for it.
        if (error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted) continue;
        log.warn("Cannot accept a connection", { error: messageOf(error) });
        await delay(clock, ACCEPT_PAUSE_MS);
      }
    }
  }

  /** Waits until there is a place at the door, which the oldest has to leave once it has dawdled. */
  async #place(): Promise<void> {
    const { clock, limits } = this.#options;
    while (this.#atDoor.size >= (limits?.maxHandshakes ?? 4096) && !this.#closed) {
      const [[oldest, sinceMs]] = this.#atDoor as unknown as [[Stream, number]];
      const leftMs = sinceMs + CROWDED_MS - clock.now();
      if (leftMs <= 0) {
        this.#atDoor.delete(oldest);
        return closeQuietly(oldest);
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onPlace = resolve;
      using _timer = clock.after(leftMs, resolve);
      await promise;
    }
  }

  async #greet(conn: Deno.TcpConn | Deno.TlsConn): Promise<void> {
    this.#handshakes.add(conn);
    this.#atDoor.set(conn, this.#options.clock.now());
    let taken = false;
    try {
      if ("setNoDelay" in conn) conn.setNoDelay(true);
      taken = await this.#serve(conn, (conn.remoteAddr as Deno.NetAddr).hostname);
    } catch (error) {
      this.#options.log.debug("A request failed", { error: messageOf(error) });
    } finally {
      this.#handshakes.delete(conn);
      this.#atDoor.delete(conn);
      this.#onPlace();
      if (!taken) closeQuietly(conn);
    }
  }

  /** Whether somebody has taken the socket. */
  async #serve(conn: Stream, remoteAddress: string): Promise<boolean> {
    const request = await readWebsocketRequest(conn);
    if (!request) return false;
    const { head, key, rest } = request;
    if (key === undefined) {
      await this.#answer(conn, head, rest, remoteAddress);
      return false;
    }
    const [path = "/"] = head.target.split("?", 1);
    const [authorization] = valuesOf(head.fields, "authorization");
    const answer = this.#options.onWebsocket({ path, authorization, remoteAddress });
    if ("status" in answer) {
      const retry = answer.status === 503 ? "Retry-After: 10\r\n" : "";
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
    await acceptWebsocket(conn, key);
    if (this.#closed) return false;
    answer.take(conn, rest);
    return true;
  }

  async #answer(conn: Stream, head: RequestHead, rest: Uint8Array, remoteAddress: string): Promise<void> {
    const body = await this.#readBody(conn, head, rest);
    const request = body && requestOf(head, body, this.#options.tls !== undefined);
    const response = request
      ? await this.#options.fetch(request, remoteAddress)
      : new Response(null, { status: body ? 400 : 413 });
    const content = new Uint8Array(await response.arrayBuffer());
    let text = `HTTP/1.1 ${response.status} ${response.statusText || "Answer"}\r\nConnection: close\r\n` +
      `Content-Length: ${content.length}\r\n`;
    for (const [name, value] of response.headers) if (name !== "content-length") text += `${name}: ${value}\r\n`;
    await writeAll(conn, ascii(text + "\r\n"));
    if (head.method !== "HEAD") await writeAll(conn, content);
    await conn.closeWrite();
  }

  /** Undefined if it is too long, or of a length nobody tells. */
  async #readBody(conn: Stream, head: RequestHead, rest: Uint8Array): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const lengths = valuesOf(head.fields, "content-length");
    if (valuesOf(head.fields, "transfer-encoding").length > 0 || lengths.length > 1) return undefined;
    const [length = "0"] = lengths;
    if (!/^\d{1,9}$/.test(length) || Number(length) > (this.#options.limits?.maxBodyBytes ?? 64 * 1024)) {
      return undefined;
    }
    const body = new Uint8Array(Number(length));
    const known = rest.subarray(0, body.length);
    body.set(known);
    if (await readFull(conn, body.subarray(known.length))) return body;
    throw new CulvertError("protocol", "the request ended before its body");
  }
}

/** Undefined for what no request can be made of. */
function requestOf(head: RequestHead, body: Uint8Array<ArrayBuffer>, isSecure: boolean): Request | undefined {
  const [host] = valuesOf(head.fields, "host");
  if (host === undefined || !head.target.startsWith("/")) return undefined;
  try {
    const headers = new Headers(head.fields.map(({ name, value }): [string, string] => [name, value]));
    const { method } = head;
    const hasBody = method !== "GET" && method !== "HEAD";
    const url = new URL(head.target, `${isSecure ? "https" : "http"}://${host}`);
    return new Request(url, { method, headers, ...(hasBody && { body }) });
  } catch {
    return undefined; // a method or a header that fetch has no room for
  }
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
