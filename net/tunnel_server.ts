/**
 * The far end of a tunnel: the port at which links come in. `tunnel_link.ts` serves them.
 *
 *   socket → (TLS) → HTTP upgrade → WebSocket → link
 *
 * To whoever does not know the path and the token it looks like a web server with nothing on it: 404, always the same.
 * Every handshake has a deadline, every table a limit. What it does not do: choose where traffic may go; that is the
 * policy of `onward`.
 */

import { delay } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { valuesOf } from "../protocol/http_head.ts";
import type { Log } from "../protocol/log.ts";
import { formatTarget, type Path, type Stream, writeAll } from "../protocol/stream.ts";
import { isTunnelToken } from "../protocol/tunnel.ts";
import { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import type { Link } from "./link.ts";
import { type CertificateAndKey, RenewableListener } from "./renewable_listener.ts";
import { type TunnelLinkLimits, type TunnelLinkOptions, TunnelLinks } from "./tunnel_link.ts";
import { acceptWebsocket, readWebsocketRequest, WebsocketLink } from "./websocket.ts";
import { isClosedError, isEarlyEnd, type ListenAt, type NetAddr, type Socket, type TcpListener } from "./runtime.ts";

/** How much a tunnel server takes at once. */
export interface TunnelLimits extends TunnelLinkLimits {
  /** Links at once. Default 1,024. */
  readonly maxLinks?: number;
  /** Connections that have not finished their handshake. Default 256; beyond that the oldest is dropped. */
  readonly maxHandshakes?: number;
  /** The whole of TLS, HTTP and upgrade. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

/** What the far end of a tunnel is made of. */
export interface TunnelServerOptions extends TunnelLinkOptions {
  /** Where to listen, or a listener to take over and close in the end, which has no TLS then. */
  readonly listen: ListenAt | TcpListener;
  /** PEM, never with a listener that is taken over. Without it the tunnel is plain WebSocket, for loopback or behind a TLS proxy. */
  readonly tls?: CertificateAndKey;
  /** The only request target that is answered. Default "/". */
  readonly urlPath?: string;
  /** What a client must know. Without it everyone may use the tunnel. */
  readonly token?: string;
  /** What the streams that come in go through. Not closed with the server. */
  readonly onward: Path;
  /** Where it writes what happens. */
  readonly log: Log;
  /** How much it takes at once. */
  readonly limits?: TunnelLimits;
}

const NOTHING_HERE = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n" +
  "Connection: close\r\n\r\nNot found\n";
/** How long to wait before accepting again after a failure, such as too many open files. */
const ACCEPT_PAUSE_MS = 50;

/** The far end of a tunnel: a port that speaks WebSocket, and streams within. */
export class TunnelServer implements Disposable {
  readonly #options: TunnelServerOptions;
  readonly #listener: RenewableListener;
  /** Links have buffers of their own: however many streams there are, what carries them must not slow down. */
  readonly #linkPool = new BufferPool({ bufferBytes: 256 * 1024 });
  readonly #handshakes = new Set<Stream>();
  readonly #links: TunnelLinks;
  /** Those of the handshakes that will become links, and count as such. */
  readonly #upgrading = new Set<Stream>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #metrics;
  readonly #token: Promise<Uint8Array> | undefined;

  /** Listens at once; throws when the port is taken, and `bad_option` for a listener that is there with `tls`. */
  constructor(options: TunnelServerOptions) {
    if (options.token !== undefined && !isTunnelToken(options.token)) {
      throw new CulvertError("bad_token", "Cannot serve a tunnel: the token must be printable ASCII without spaces");
    }
    this.#options = options;
    this.#token = options.token === undefined ? undefined : digest(`Bearer ${options.token}`);
    const { listen, tls, metrics } = options;
    this.#links = new TunnelLinks(options);
    this.#listener = new RenewableListener(listen, tls);
    this.#metrics = {
      refused: metrics.counter("tunnel_server_refused_total", "Connections turned away, by reason", ["reason"]),
    };
    this.#spawn(this.#acceptAll());
  }

  /** Where it listens. */
  get address(): NetAddr {
    return this.#listener.address;
  }

  /** Links that are open. */
  get linkCount(): number {
    return this.#links.size;
  }

  /** Streams that are open, on all links. */
  get streamCount(): number {
    return this.#links.streamCount;
  }

  /** Connections that come from now on get this certificate. Only for a server that had one. */
  renewTls(tls: CertificateAndKey): void {
    this.#listener.renewTls(tls);
  }

  /** Takes no more links or streams, waits until every stream has ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#listener.close();
    await this.#links.drain(signal);
    this.close();
    await this.closed();
  }

  /** Closes it, and what is open through it. May be repeated. */
  close(): void {
    this.#stop.abort(new CulvertError("closed", "The tunnel server is closing"));
    this.#listener.close();
    for (const stream of this.#handshakes) closeQuietly(stream);
    this.#links.close();
  }

  /** Settles when nothing of the server runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    await this.#links.closed();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Serves a link that came in some other way, such as through an edge app's WebSocket, or closes it when as many as
   * allowed are open. `at` is told in trails.
   *
   * @internal
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
    this.#links.serve(link, { onward: this.#options.onward, hops: [{ name: "tunnel server", at }] });
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
        if (this.#stop.signal.aborted || isClosedError(error)) return;
        // That one connection was over before it was accepted. The next is not to wait for it.
        if (isEarlyEnd(error)) continue;
        log.warn("Cannot accept a connection", { error: messageOf(error) });
        await delay(clock, ACCEPT_PAUSE_MS, this.#stop.signal).catch(() => {});
      }
    }
  }

  /** The handshake, within its deadline; a connection that fails it is closed without a word to the log above debug. */
  async #greet(conn: Socket): Promise<void> {
    const { clock, log, limits } = this.#options;
    const timer = clock.after(limits?.handshakeTimeoutMs ?? 10_000, () => closeQuietly(conn));
    let accepted = false;
    try {
      conn.setNoDelay?.(true);
      const first = await this.#admit(conn);
      if (!first) return;
      accepted = true;
      const { hostname, port } = conn.localAddr;
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
