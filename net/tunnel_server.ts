/**
 * The far end of a tunnel: links come in, each stream on them asks for a target, and `onward` dials it.
 *
 *   socket → (TLS) → HTTP upgrade → WebSocket → mux → per stream: request → onward.dial → reply → bytes both ways
 *
 * To whoever does not know the path and the token it looks like a web server with nothing on it: 404, always the same.
 * Every handshake has a deadline, every table a limit. What it does not do: choose where traffic may go; that is the
 * policy of `onward`.
 */

import type { Clock } from "../protocol/clock.ts";
import { deadline, delay } from "../protocol/clock.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../protocol/errors.ts";
import { valuesOf } from "../protocol/http_head.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import type { Parsed } from "../protocol/parse.ts";
import { type Datagrams, formatTarget, type Hop, type Path, type Stream, writeAll } from "../protocol/stream.ts";
import {
  encodeTunnelReply,
  isTunnelToken,
  MAX_TUNNEL_BODY_BYTES,
  parseTunnelRequest,
  type TunnelRequest,
} from "../protocol/tunnel.ts";
import { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import type { Link } from "./link.ts";
import { MuxConnection, type MuxStream } from "./mux.ts";
import { Deadlines, sharedWait } from "./deadlines.ts";
import { splice, type SpliceOptions } from "./splice.ts";
import { joinDatagrams, StreamDatagrams } from "./stream_datagrams.ts";
import { acceptWebsocket, readWebsocketRequest, WebsocketLink } from "./websocket.ts";

export interface TunnelLimits {
  /** Links at once. Default 1,024. */
  readonly maxLinks?: number;
  /** Connections that have not finished their handshake. Default 256; beyond that the oldest is dropped. */
  readonly maxHandshakes?: number;
  /** The whole of TLS, HTTP and upgrade. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
  /** From a stream's opening to the end of its dial. Default 30 s. */
  readonly dialTimeoutMs?: number;
  /** A stream with one half ended and nothing moving in the other. Default 5 min. */
  readonly halfClosedTimeoutMs?: number;
}

export interface TunnelServerOptions {
  readonly listen: { readonly hostname: string; readonly port: number };
  /** PEM. Without it the tunnel is plain WebSocket, for loopback or behind a TLS proxy. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** The only request target that is answered. Default "/". */
  readonly urlPath?: string;
  /** What a client must know. Without it everyone may use the tunnel. */
  readonly token?: string;
  readonly onward: Path;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: TunnelLimits;
  readonly mux?: Omit<MuxOptions, "role" | "version" | "extensions">;
}

const NOTHING_HERE = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n" +
  "Connection: close\r\n\r\nNot found\n";
/** How long to wait before accepting again after a failure, such as too many open files. */
const ACCEPT_PAUSE_MS = 50;
/** How often a server that drains looks whether it is done. */
const DRAIN_LOOK_MS = 50;

export class TunnelServer implements Disposable {
  readonly #options: TunnelServerOptions;
  readonly #listener: Deno.Listener<Deno.TcpConn | Deno.TlsConn, Deno.NetAddr>;
  /** Links have buffers of their own: however many streams there are, what carries them must not slow down. */
  readonly #linkPool = new BufferPool({ bufferBytes: 256 * 1024 });
  readonly #streamPool = new BufferPool();
  readonly #handshakes = new Set<Stream>();
  readonly #links = new Set<MuxConnection>();
  /** Those of the handshakes that will become links, and count as such. */
  readonly #upgrading = new Set<Stream>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #halfClosed: Deadlines<() => void>;
  /** Every stream is half closed for a moment, so these waits share a timer. */
  readonly #halfClosedWatch: NonNullable<SpliceOptions["halfClosed"]>;
  #draining = false;
  readonly #metrics;
  readonly #token: Promise<Uint8Array> | undefined;

  constructor(options: TunnelServerOptions) {
    if (options.token !== undefined && !isTunnelToken(options.token)) {
      throw new CulvertError("bad_token", "Cannot serve a tunnel: the token must be printable ASCII without spaces");
    }
    this.#options = options;
    this.#token = options.token === undefined ? undefined : digest(`Bearer ${options.token}`);
    const { clock, limits, listen, tls, metrics } = options;
    const idleTimeoutMs = limits?.halfClosedTimeoutMs ?? 300_000;
    this.#halfClosed = new Deadlines(clock, idleTimeoutMs, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs, clock: sharedWait(this.#halfClosed) };
    this.#listener = tls
      ? Deno.listenTls({ ...listen, ...tls, alpnProtocols: ["http/1.1"] })
      : Deno.listen({ ...listen });
    this.#metrics = {
      links: metrics.gauge("tunnel_server_links_active", "Links open to this tunnel server"),
      streams: metrics.counter("tunnel_server_streams_total", "Streams asked for, by outcome", ["outcome"]),
      refused: metrics.counter("tunnel_server_refused_total", "Connections turned away, by reason", ["reason"]),
      bytes: metrics.counter("tunnel_server_bytes_total", "Bytes carried, by direction", ["direction"]),
    };
    this.#spawn(this.#acceptAll());
  }

  /** Where it listens. */
  get address(): Deno.NetAddr {
    return this.#listener.addr;
  }

  get linkCount(): number {
    return this.#links.size;
  }

  get streamCount(): number {
    let count = 0;
    for (const link of this.#links) count += link.streamCount;
    return count;
  }

  /** Takes no more links or streams, waits until every stream has ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    closeQuietly(this.#listener);
    while ([...this.#links].some((link) => !link.idle) && !signal.aborted) {
      await delay(this.#options.clock, DRAIN_LOOK_MS, signal).catch(() => {});
    }
    this.close();
    await this.closed();
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The tunnel server is closing"));
    closeQuietly(this.#listener);
    for (const stream of this.#handshakes) closeQuietly(stream);
    for (const link of this.#links) link.close();
    this.#halfClosed[Symbol.dispose]();
  }

  /** Settles when nothing of the server runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Serves a link that came in some other way, such as through an edge app's WebSocket, or closes it when as many as
   * allowed are open. `at` is told in trails.
   */
  serveLink(link: Link, at: string): void {
    if (!this.#isFull) return this.#carry(link, at);
    this.#metrics.refused.add(1, { reason: "links" });
    link.close();
  }

  get #isFull(): boolean {
    return this.#links.size + this.#upgrading.size >= (this.#options.limits?.maxLinks ?? 1024);
  }

  #carry(link: Link, at: string): void {
    if (this.#stop.signal.aborted || this.#draining) return link.close();
    const { clock, mux } = this.#options;
    const connection = new MuxConnection(link, clock, { ...mux, role: "server", extensions: true });
    connection.onStream = (stream) => this.#spawn(this.#serveStream(stream, at));
    this.#links.add(connection);
    this.#metrics.links.set(this.#links.size);
    connection.start();
    this.#spawn(connection.ended.then(() => {
      this.#links.delete(connection);
      this.#metrics.links.set(this.#links.size);
    }));
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #acceptAll(): Promise<void> {
    const { clock, log, limits } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        const conn = await this.#listener.accept();
        if (this.#handshakes.size >= (limits?.maxHandshakes ?? 256)) {
          this.#metrics.refused.add(1, { reason: "handshakes" });
          const oldest = this.#handshakes.values().next().value!;
          this.#handshakes.delete(oldest);
          closeQuietly(oldest);
        }
        this.#handshakes.add(conn);
        this.#spawn(this.#greet(conn));
      } catch (error) {
        if (this.#stop.signal.aborted || error instanceof Deno.errors.BadResource) return;
        // That one connection was over before it was accepted. The next is not to wait for it.
        if (error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted) continue;
        log.warn("Cannot accept a connection", { error: messageOf(error) });
        await delay(clock, ACCEPT_PAUSE_MS, this.#stop.signal).catch(() => {});
      }
    }
  }

  /** The handshake, within its deadline; a connection that fails it is closed without a word to the log above debug. */
  async #greet(conn: Deno.TcpConn | Deno.TlsConn): Promise<void> {
    const { clock, log, limits } = this.#options;
    const timer = clock.after(limits?.handshakeTimeoutMs ?? 10_000, () => closeQuietly(conn));
    let accepted = false;
    try {
      if ("setNoDelay" in conn) conn.setNoDelay(true);
      const first = await this.#admit(conn);
      if (!first) return;
      accepted = true;
      const { hostname, port } = conn.localAddr as Deno.NetAddr;
      this.#carry(new WebsocketLink(conn, this.#linkPool, { first }), formatTarget({ host: hostname, port }));
    } catch (error) {
      log.debug("A tunnel handshake failed", { error: messageOf(error) });
    } finally {
      timer.cancel();
      this.#handshakes.delete(conn);
      this.#upgrading.delete(conn);
      if (!accepted) closeQuietly(conn);
    }
  }

  /** Reads and answers the request; gives the bytes after it when it becomes a link. */
  async #admit(conn: Stream): Promise<Uint8Array | undefined> {
    const request = await readWebsocketRequest(conn);
    if (!request) return undefined;
    const { urlPath = "/" } = this.#options;
    const presented = await digest(valuesOf(request.head.fields, "authorization")[0] ?? "");
    const known = this.#token === undefined || equal(presented, await this.#token);
    if (request.key === undefined || request.head.target !== urlPath || !known) {
      this.#metrics.refused.add(1, { reason: known ? "not_a_tunnel_request" : "token" });
      if (!known) this.#options.log.info("A tunnel link was refused: it did not know the token");
      await writeAll(conn, new TextEncoder().encode(NOTHING_HERE));
      return undefined;
    }
    if (this.#isFull) {
      this.#metrics.refused.add(1, { reason: "links" });
      await writeAll(conn, new TextEncoder().encode("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n\r\n"));
      return undefined;
    }
    this.#upgrading.add(conn);
    await acceptWebsocket(conn, request.key);
    return request.rest;
  }

  async #serveStream(stream: MuxStream, at: string): Promise<void> {
    if (this.#draining) return await this.#refuse(stream, new DialError("path_down", "The tunnel server is closing"));
    const { clock, limits, onward } = this.#options;
    // A client that goes away, or loses its link, leaves no dial behind.
    const gone = new AbortController();
    stream.onUnheard = () => gone.abort(new CulvertError("closed", "The client has gone"));
    using limit = deadline(clock, limits?.dialTimeoutMs ?? 30_000, "dial", gone.signal);
    const onAbort = () => stream.abort();
    limit.signal.addEventListener("abort", onAbort, { once: true });
    let far: Stream | undefined;
    try {
      const request = await readRequest(stream);
      limit.signal.removeEventListener("abort", onAbort);
      if (!request) return stream.abort();
      const trail = request.trail.length > 0 ? [...request.trail, { name: "tunnel server", at }] : undefined;
      const options = { signal: limit.signal, ...(trail && { trail }) };
      if (request.kind === "datagrams") {
        using datagrams = await this.#openDatagrams(stream, onward, options);
        limit[Symbol.dispose]();
        return await joinDatagrams(new StreamDatagrams(stream), datagrams);
      }
      far = await onward.dial(request.target, options);
      await this.#reply(stream, "ok");
      limit[Symbol.dispose]();
      const { aToB, bToA } = await splice(stream, far, {
        pool: this.#streamPool,
        signal: this.#stop.signal,
        halfClosed: this.#halfClosedWatch,
      });
      this.#metrics.bytes.add(aToB, { direction: "out" });
      this.#metrics.bytes.add(bToA, { direction: "in" });
    } catch (error) {
      if (far) closeQuietly(far);
      await this.#refuse(stream, error);
    }
  }

  async #openDatagrams(
    stream: MuxStream,
    onward: Path,
    options: { signal: AbortSignal; trail?: readonly Hop[] },
  ): Promise<Datagrams> {
    if (!onward.datagrams) throw new DialError("unsupported", "This way out carries no datagrams");
    const far = await onward.datagrams(options);
    try {
      await this.#reply(stream, "datagrams");
    } catch (error) {
      far.close();
      throw error;
    }
    return far;
  }

  async #reply(stream: MuxStream, outcome: string): Promise<void> {
    this.#metrics.streams.add(1, { outcome });
    await writeAll(stream, encodeTunnelReply({ message: "" }));
  }

  async #refuse(stream: MuxStream, error: unknown): Promise<void> {
    const failure = dialFailureOf(error);
    this.#metrics.streams.add(1, { outcome: failure });
    try {
      await writeAll(stream, encodeTunnelReply({ failure, message: messageOf(error) }));
      stream.close();
    } catch {
      stream.abort(); // the client has gone: there is nobody to tell
    }
  }
}

/** Reads a request; undefined when it is malformed or the stream ended. Nothing follows a request before its reply. */
async function readRequest(stream: Stream): Promise<TunnelRequest | undefined> {
  const buffer = new Uint8Array(512);
  let held = buffer;
  let filled = 0;
  while (true) {
    const count = await stream.read(held.subarray(filled));
    if (count === null) return undefined;
    filled += count;
    const parsed: Parsed<TunnelRequest> = parseTunnelRequest(held.subarray(0, filled));
    if (parsed.status === "bad") return undefined;
    if (parsed.status === "done") return parsed.length === filled ? parsed.value : undefined;
    if (filled < held.length) continue;
    held = new Uint8Array(MAX_TUNNEL_BODY_BYTES + 4);
    held.set(buffer);
  }
}

/** Digests have one length, so comparing them tells nothing about the token. */
async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a[at]! ^ b[at]!;
  return difference === 0;
}
